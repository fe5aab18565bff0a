"""Labels on any grid become a result on the slices, openly."""

import numpy as np
import pytest
from clinic_stacks import MAKER, WHEN, Stack, blobs, result_of, write_images

from delineate.clinic import Tracking, make_result, open_series, with_probabilities
from delineate.errors import DataError
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Volume

SCHEMA = LabelSchema.of("liver", "spleen")


def labels_on(grid: Geometry, values=None) -> LabelMap:
    return LabelMap(np.ones(grid.shape, np.uint8) if values is None else values, grid, SCHEMA)


@pytest.mark.parametrize("orientation", ["RAS", "LPI", "SAR", "ILP"])
def test_labels_that_lie_another_way_are_turned_exactly(series_folder, orientation):
    folder, stack = series_folder
    labels = LabelMap(blobs(stack.geometry, 1), stack.geometry, LabelSchema.of("liver", "spleen", "heart"))
    result = make_result(labels.reoriented(orientation), open_series(folder), MAKER, when=WHEN)
    assert np.array_equal(result.array, labels.array)
    assert result.notes == ()


def test_labels_on_another_grid_are_put_on_the_slices_and_it_is_said(series_folder):
    folder, stack = series_folder
    coarse = stack.geometry.respaced((2.0, 2.0, 2.0))
    result = make_result(labels_on(coarse), open_series(folder), MAKER, when=WHEN)
    assert (result.array == 1).all()
    assert any("on another grid" in note for note in result.notes)


def test_labels_of_another_place_are_refused(series_folder):
    folder, stack = series_folder
    affine = stack.geometry.affine.copy()
    affine[:3, 3] += 500
    with pytest.raises(DataError, match="no labelled voxel lies on this series"):
        make_result(labels_on(Geometry(stack.geometry.shape, affine)), open_series(folder), MAKER, when=WHEN)


def test_voxels_that_nobody_annotated_become_background_and_it_is_said(series_folder):
    folder, stack = series_folder
    values = np.ones(stack.geometry.shape, np.uint8)
    values[0] = 9
    labels = LabelMap(values, stack.geometry, SCHEMA.but(ignore=9))
    result = make_result(labels, open_series(folder), MAKER, when=WHEN)
    assert not result.array[0].any()
    assert f"{7 * 5} voxels that nobody annotated were taken as background" in result.notes


def test_every_structure_has_an_identity_of_its_own_or_the_one_it_had(series_folder):
    folder, stack = series_folder
    old = {"spleen": Tracking("1.2.3", "lesion 7")}
    result = make_result(labels_on(stack.geometry), open_series(folder), MAKER, when=WHEN, tracking=old)
    liver, spleen = result.findings
    assert (spleen.tracking_uid, spleen.tracking_id) == ("1.2.3", "lesion 7")
    assert liver.tracking_uid.startswith("2.25.")
    assert liver.tracking_id == "liver"
    assert repr(result).startswith("Result(liver, spleen on Series(")


def test_all_names_that_cannot_be_written_are_said_at_once(series_folder):
    folder, stack = series_folder
    names = ("x" * 65, "a\\b", "hart")
    with pytest.raises(DataError) as error:
        result_of(folder, stack, np.zeros(stack.geometry.shape, np.uint8), names)
    assert str(error.value).count("room for names of 64 letters") == 2
    assert "near: heart" in str(error.value)


def test_probabilities_go_by_the_names_of_their_channels(series_folder):
    folder, stack = series_folder
    result = make_result(labels_on(stack.geometry), open_series(folder), MAKER, when=WHEN)
    rng = np.random.default_rng(0)
    values = rng.random((2, *stack.geometry.shape)).astype(np.float32)
    soft = with_probabilities(result, Volume(values, stack.geometry, ("spleen", "liver")))
    assert np.allclose(soft.probabilities[0], values[1])
    with pytest.raises(DataError, match="no probabilities for spleen"):
        with_probabilities(result, Volume(values[:1], stack.geometry, ("liver",)))


def test_labels_beyond_255_are_kept(tmp_path):
    stack = Stack()
    folder = write_images(tmp_path, stack)
    schema = LabelSchema(labels=(Label(value=700, name="liver"),))
    values = np.full(stack.geometry.shape, 700, np.uint16)
    result = make_result(LabelMap(values, stack.geometry, schema), open_series(folder), MAKER, when=WHEN)
    assert result.array.dtype == np.uint16
    assert result.mask(result.findings[0]).all()
