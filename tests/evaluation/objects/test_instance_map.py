"""Maps of objects: from ids, from label maps, from files."""

import numpy as np
import pytest

from delineate.errors import DataError, GeometryError
from delineate.evaluation import InstanceMap, read_instances
from delineate.evaluation.objects.instance_map import components
from delineate.io import write_labels
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region

GRID = Geometry((4, 5, 3), np.eye(4))


def corner_pair():
    """Two voxels that touch by an edge, a third that touches the second by a corner."""
    mask = np.zeros(GRID.shape, bool)
    mask[0, 0, 0] = mask[1, 1, 0] = mask[2, 2, 1] = True
    return mask


@pytest.mark.parametrize(("neighbours", "count"), [(6, 3), (18, 2), (26, 1)])
def test_what_is_connected_is_a_choice(neighbours, count):
    pieces, found = components(corner_pair(), neighbours)
    assert found == count == pieces.max()


@pytest.mark.parametrize(("neighbours", "count"), [(6, 2), (18, 1), (26, 1)])
def test_in_a_picture_corners_are_edges(neighbours, count):
    assert components(corner_pair()[:, :, :1], neighbours)[1] == count


def test_nothing_has_no_pieces():
    pieces, count = components(np.zeros(GRID.shape, bool), 26)
    assert count == 0
    assert not pieces.any()


def test_pieces_of_one_structure_or_of_every_label():
    array = np.zeros(GRID.shape, np.uint8)
    array[0, 0], array[0, 4], array[3, 0], array[3, 4] = 1, 1, 2, 9
    schema = LabelSchema(labels=(Label(value=1, name="cyst"), Label(value=2, name="tumour")), ignore=9)
    labels = LabelMap(array, GRID, schema)
    both = InstanceMap.of_labels(labels)
    assert both.kinds == {1: "cyst", 2: "cyst", 3: "tumour"}
    assert both.ids.tolist() == [1, 2, 3]
    assert not both.known[3, 4].any()
    assert both.known.sum() == array.size - 3
    one = InstanceMap.of_labels(labels, "tumour", connectivity=6)
    assert (one.ids.tolist(), one.kinds) == ([1], {})
    assert one.array[3, 0, 0] == 1
    assert one.ignore == 2


def test_a_region_is_a_structure_too():
    array = np.zeros(GRID.shape, np.uint8)
    array[0, 0], array[0, 1] = 1, 2
    labels = (Label(value=1, name="core"), Label(value=2, name="oedema"))
    schema = LabelSchema(labels=labels, regions=(Region(name="whole", values=(1, 2), paints=1),))
    found = InstanceMap.of_labels(LabelMap(array, GRID, schema), "whole")
    assert found.ids.tolist() == [1]
    assert (found.array > 0).sum() == 6


def test_ids_are_read_from_a_file(tmp_path):
    array = np.zeros(GRID.shape, np.uint16)
    array[1], array[3] = 700, 65535
    schema = LabelSchema(labels=(Label(value=700, name="a"), Label(value=65535, name="b")))
    write_labels(LabelMap(array, GRID, schema), tmp_path / "ids.nii.gz")
    assert read_instances(tmp_path / "ids.nii.gz").ids.tolist() == [700, 65535]
    found = read_instances(tmp_path / "ids.nii.gz", ignore=65535)
    assert found.ids.tolist() == [700]
    assert found.geometry.same_place(GRID)


def test_everything_known_needs_no_mask():
    assert InstanceMap(np.zeros(GRID.shape, int), GRID).known is None


def test_ids_that_do_not_fit_the_grid_are_refused():
    with pytest.raises(GeometryError, match=r"\(2, 2, 2\) ids do not fit on Geometry\(4 x 5 x 3"):
        InstanceMap(np.zeros((2, 2, 2), int), GRID)


def test_ids_that_are_no_ids_are_refused():
    with pytest.raises(DataError, match="whole numbers, got float64"):
        InstanceMap(np.zeros(GRID.shape), GRID)
    with pytest.raises(DataError, match="positive and 0 is background, got -1"):
        InstanceMap(np.full(GRID.shape, -1), GRID)
    with pytest.raises(DataError, match="0 is background, and cannot be what is ignored"):
        InstanceMap(np.zeros(GRID.shape, int), GRID, ignore=0)


@pytest.mark.parametrize("what", ["kinds", "scores"])
def test_what_is_said_of_some_objects_only_is_refused(what):
    array = np.zeros(GRID.shape, int)
    array[0], array[1] = 4, 5
    with pytest.raises(DataError, match=rf"{what} are given for all objects or for none; \[5\] have none"):
        InstanceMap(array, GRID, **{what: {4: "cell" if what == "kinds" else 0.5}})
