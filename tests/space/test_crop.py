import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from delineate.space import Box, Geometry, Volume, nonzero_box, nonzero_mask


def scan(array):
    array = np.asarray(array)
    return Volume(array, Geometry(array.shape[1:], np.eye(4)), tuple(f"c{n}" for n in range(len(array))))


shapes = npst.array_shapes(min_dims=4, max_dims=4, min_side=1, max_side=8)
scans = st.one_of(
    npst.arrays(np.int16, shapes, elements=st.sampled_from([0, 0, 0, 5])),
    npst.arrays(np.int16, shapes, elements=st.sampled_from([0, -3, 5, 5])),
).map(scan)


@given(scans)
def test_the_mask_is_scipys_filled_mask(volume):
    expected = ndimage.binary_fill_holes((volume.array != 0).any(axis=0))
    assert np.array_equal(nonzero_mask(volume), expected)


@given(scans)
def test_filling_holes_never_changes_the_box(volume):
    assert nonzero_box(volume) == (Box.around(nonzero_mask(volume)) or Box((0, 0, 0), volume.geometry.shape))


@given(st.integers(0, 10_000))
def test_many_random_masks_are_filled_as_scipy_does(seed):
    rng = np.random.default_rng(seed)
    for density in (0.3, 0.6, 0.8, 0.9):
        volume = scan(rng.random((1, *rng.integers(1, 9, 3))) < density)
        expected = ndimage.binary_fill_holes(volume.array[0])
        assert np.array_equal(nonzero_mask(volume), expected)


@given(scans)
def test_nothing_is_lost_outside_the_box(volume):
    box = nonzero_box(volume)
    outside = np.ones(volume.geometry.shape, bool)
    outside[box.slices] = False
    assert not volume.array[:, outside].any()


def test_a_voxel_in_any_channel_counts():
    array = np.zeros((2, 9, 8, 7))
    array[0, 2, 3, 4] = 1
    array[1, 6, 3, 1] = -1
    assert nonzero_box(scan(array)) == Box((2, 3, 1), (7, 4, 5))


def test_a_shell_is_filled_and_a_cup_is_not():
    shell = np.zeros((1, 7, 7, 7))
    shell[0, 1:6, 1:6, 1:6] = 1
    shell[0, 2:5, 2:5, 2:5] = 0
    assert nonzero_mask(scan(shell)).sum() == 125
    shell[0, 3, 3, 5] = 0  # a hole in the lid lets the outside in
    assert nonzero_mask(scan(shell)).sum() == 125 - 27 - 1


@pytest.mark.parametrize("shape", [(5, 4, 3), (5, 4, 1)])
def test_an_empty_scan_keeps_its_grid(shape):
    empty = scan(np.zeros((1, *shape)))
    assert nonzero_box(empty).shape == shape
    assert not nonzero_mask(empty).any()
