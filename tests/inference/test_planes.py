import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import GeometryError
from delineate.inference.planes import Planes
from delineate.preparation.prepared import thick_axis
from delineate.space import Box, Geometry, resample

sizes = st.integers(1, 9)
spacings = st.tuples(*[st.sampled_from([0.7, 1.0, 1.3, 2.9, 4.0])] * 3)


class Whole:
    """Planes of an array that is all there; only the last two may still be asked for."""

    def __init__(self, array, axis):
        self.planes, self.last = torch.from_numpy(np.moveaxis(array, axis + 1, 0).copy()), -1

    def plane(self, number, classes):
        assert number >= self.last - 1, "a plane that was forgotten"
        self.last = max(self.last, number)
        return self.planes[number][classes]


def read(array, source, onto, axis):
    planes = Planes(Whole(array, axis), source, onto, axis)
    return np.stack([planes.plane(n, slice(None)).numpy() for n in range(onto.shape[axis])], axis=axis + 1)


@settings(deadline=None, max_examples=150)
@given(st.tuples(sizes, sizes, sizes), spacings, spacings, st.sampled_from([0, 1, 2]), st.integers(0, 9))
def test_planes_equal_resampling_the_whole_array(shape, spacing, network_spacing, axis, seed):
    scan = Geometry(shape, np.diag([*spacing, 1.0]))
    network = scan.respaced(network_spacing)
    array = np.random.default_rng(seed).normal(size=(2, *network.shape)).astype(np.float32)
    thick = thick_axis(network.spacing, scan.spacing)
    orders = tuple(0 if n == thick else 1 for n in range(3))
    expected = resample(array, network, scan, order=orders, outside=0)
    assert np.allclose(read(array, network, scan, axis), expected, atol=1e-5)


def test_thick_slices_are_not_mixed():
    scan = Geometry((4, 4, 7), np.diag([1.0, 1, 2, 1]))
    network = scan.respaced((1.0, 1.0, 4.7))
    array = np.broadcast_to(np.arange(3, dtype=np.float32), (1, 4, 4, 3)).copy()
    for axis in range(3):
        assert set(np.unique(read(array, network, scan, axis))) == {0, 1, 2}


def test_some_classes_are_those_of_all():
    scan = Geometry((5, 6, 7), np.eye(4))
    network = scan.respaced((1.4, 1.3, 0.8))
    array = np.random.default_rng(0).normal(size=(4, *network.shape)).astype(np.float32)
    planes = Planes(Whole(array, 0), network, scan, 0)
    assert torch.equal(planes.plane(2, slice(1, 3)), planes.plane(2, slice(None))[1:3])


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_same_grid_gives_the_same_bits(axis):
    grid = Geometry((3, 4, 5), np.diag([0.9, 0.9, 3.0, 1]))
    array = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype(np.float32)
    assert np.array_equal(read(array, grid, grid, axis), array)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_grid_with_other_faces_is_read_where_it_is(axis):
    grid = Geometry((9, 9, 9), np.eye(4))
    onto = grid.cropped(Box((2, 1, 3), (8, 8, 7))).respaced((0.8, 1.4, 0.9))
    array = np.random.default_rng(0).normal(size=(2, *grid.shape)).astype(np.float32)
    expected = resample(array, grid, onto, order=1, outside=0)
    assert np.allclose(read(array, grid, onto, axis), expected, atol=1e-5)


def test_grids_that_run_differently_are_refused():
    grid = Geometry((4, 4, 4), np.eye(4))
    with pytest.raises(GeometryError, match="do not run along the same axes"):
        Planes(Whole(np.zeros((1, 4, 4, 4)), 0), grid, grid.reoriented("SAR"), 0)
