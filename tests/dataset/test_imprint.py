import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.dataset.imprint import averaged, box_means, imprint, mark, ranked, standardised, turns
from delineate.space import Geometry, Volume


def volume(array, orientation="RAS"):
    names = tuple("abc"[: len(array)])
    return Volume(array, Geometry(array.shape[1:], np.diag([1.0, 1, 2, 1])), names).reoriented(orientation)


def scan(seed=0, shape=(2, 20, 17, 9)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def taken(*parts):
    return imprint("a", [mark(part) for part in parts])


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 2))
@settings(deadline=None)
def test_boxes_average_what_lies_in_them(size, count, axis):
    shape = [3, 4, 5]
    shape[axis] = size
    values = np.random.default_rng(size).normal(size=shape).astype(np.float32)
    expected = np.moveaxis(np.tensordot(box_means(size, count), values, axes=(1, axis)), 0, axis)
    assert averaged(values, axis, count) == pytest.approx(expected, abs=1e-5)
    assert averaged(values, axis, count).mean(axis=axis) == pytest.approx(values.mean(axis=axis), abs=1e-5)


def test_the_digest_is_of_voxels_not_of_files_or_number_types():
    whole = np.round(scan() * 100)
    same = [volume(whole), volume(whole.astype(np.int16)), volume(whole, "LPS"), volume(whole, "SAR")]
    assert len({taken(one).digest for one in same}) == 1
    parts = [Volume(whole[n : n + 1], volume(whole).geometry) for n in range(2)]
    assert taken(*parts).digest == taken(volume(whole)).digest
    whole[0, 0, 0, 0] += 1
    assert taken(volume(whole)).digest != taken(same[0]).digest


def test_the_thumbnail_forgets_size_brightness_and_contrast():
    small = scan()
    large = small.repeat(2, axis=1).repeat(2, axis=2).repeat(2, axis=3) * 7 + 100
    assert taken(volume(large)).thumbnail == pytest.approx(taken(volume(small)).thumbnail, abs=1e-5)
    assert taken(volume(small)).thumbnail.shape == (16, 16, 16)


def test_a_picture_has_a_flat_thumbnail():
    picture = taken(volume(scan(shape=(3, 40, 30, 1))))
    assert picture.is_flat
    assert picture.thumbnail.shape == (32, 32, 1)


def test_a_constant_scan_has_no_thumbnail():
    assert taken(volume(np.full((1, 9, 9, 9), 3.7))).thumbnail is None


def test_nan_does_not_spread():
    array = scan()
    array[0, 0, 0, 0] = np.nan
    assert np.isfinite(taken(volume(array)).thumbnail).all()


def test_ranks_survive_any_increasing_curve():
    values = standardised(np.random.default_rng(0).random((6, 6, 6)))
    assert ranked(values) == pytest.approx(ranked(standardised(np.exp(values * 3))))


def test_equal_values_share_a_rank():
    values = np.zeros((4, 4, 4), np.float32)
    values[0] = 1
    assert len(np.unique(ranked(values))) == 2


@pytest.mark.parametrize(("flat", "count"), [(False, 48), (True, 8)])
def test_the_turns_of_a_cube_and_of_a_square(flat, count):
    shape = (4, 4, 1) if flat else (3, 3, 3)
    array = np.arange(np.prod(shape)).reshape(1, *shape)
    turned = {turn.applied(array).tobytes() for turn in turns(flat=flat)}
    assert len(turned) == count
    assert sum(turn.is_identity for turn in turns(flat=flat)) == 1
