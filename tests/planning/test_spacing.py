import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.planning.spacing import (
    FLAT,
    Frame,
    along_ijk,
    coarsest_first,
    measured_spacings,
    resampled,
    target_spacing,
)

SIZES = np.full((10, 3), 300)


def spacings(*rows):
    return np.array(rows, dtype=float)


def test_the_target_is_the_median_of_each_axis():
    measured = spacings((1, 2, 3), (1, 4, 3), (7, 5, 3))
    assert target_spacing(measured, SIZES[:3]).tolist() == [1, 4, 3]


def test_few_thick_slices_take_the_tenth_percentile_of_their_axis():
    measured = spacings(*[(10, 1.5, 1.5)] * 8, (5, 1.5, 1.5), (6, 1.5, 1.5))
    few = np.array([(10, 256, 256)] * 10)
    assert target_spacing(measured, few)[0] == pytest.approx(np.percentile(measured[:, 0], 10))
    assert target_spacing(measured, few)[1:].tolist() == [1.5, 1.5]


def test_many_thick_slices_keep_the_median():
    measured = spacings(*[(10, 1.5, 1.5)] * 8, (5, 1.5, 1.5), (6, 1.5, 1.5))
    assert target_spacing(measured, np.array([(100, 256, 256)] * 10))[0] == 10


def test_few_slices_never_become_finer_than_the_plane():
    measured = spacings(*[(0.5, 1.5, 1.5)] * 3, *[(5, 1.5, 1.5)] * 7)
    assert target_spacing(measured, np.array([(20, 256, 256)] * 10))[0] == pytest.approx(1.5, abs=1e-4)


@given(st.lists(st.tuples(*[st.floats(0.2, 8)] * 3), min_size=1, max_size=9), st.permutations([0, 1, 2]))
def test_the_target_does_not_depend_on_the_order_of_the_axes(rows, order):
    measured = np.array(rows)
    target = target_spacing(measured, SIZES[: len(rows)])
    if len(set(np.percentile(measured, 50, axis=0))) == 3:  # ties are decided by the order
        assert target_spacing(measured[:, order], SIZES[: len(rows)]).tolist() == target[order].tolist()


@given(st.tuples(*[st.floats(0.2, 8)] * 3))
def test_the_coarsest_axis_comes_first_and_the_others_stay_in_order(spacing):
    order = coarsest_first(np.array(spacing))
    assert spacing[order[0]] == max(spacing)
    assert order[1] < order[2]


def test_among_equals_the_first_axis_is_the_coarsest():
    assert coarsest_first(np.array([1.0, 2.0, 2.0])) == [1, 0, 2]


@given(st.permutations([0, 1, 2]), st.tuples(*[st.integers()] * 3))
def test_what_runs_along_axes_comes_back_in_the_order_i_j_k(axes, values):
    assert along_ijk([values[axis] for axis in axes], axes) == values


def test_two_values_come_back_in_the_order_of_their_axes():
    assert along_ijk(("k", "i"), (2, 0)) == ("i", "k")


def test_a_resampled_size_is_rounded_to_whole_voxels():
    assert resampled(np.array([10, 10, 5]), np.array([1.0, 1.0, 2.5]), np.array([2.0, 3.0, 1.0])) == [
        5,
        3,
        12,
    ]


def test_the_frame_puts_the_coarsest_axis_first(fingerprint_of):
    frame = Frame.of(fingerprint_of([(256, 20, 200)] * 3, (1, 4, 0.9)))
    assert frame.axes == (1, 2, 0)
    assert frame.spacing == (4, 0.9, 1)
    assert frame.median == (20, 200, 256)
    assert frame.slice_axis == 1
    assert frame.voxels == 3 * 256 * 20 * 200
    assert not frame.is_flat


def test_isotropic_scans_take_k_as_their_coarsest_axis(fingerprint_of):
    assert Frame.of(fingerprint_of([(50, 60, 40)], (1, 1, 1))).axes == (2, 1, 0)


def test_the_median_size_may_be_half_a_voxel(fingerprint_of):
    assert Frame.of(fingerprint_of([(50, 60, 40), (51, 60, 40)], (1, 1, 1))).median == (40, 60, 50.5)


def test_a_frame_says_when_slices_are_few(fingerprint_of):
    thick = [(1.5, 1.5, 10)] * 8 + [(1.5, 1.5, 5)] * 2
    frame = Frame.of(fingerprint_of([(256, 256, 10)] * 10, thick))
    assert frame.sparse
    assert (frame.medians[0], frame.spacing[0]) == (10, pytest.approx(5))


@pytest.mark.parametrize("shape", [(120, 110, 1), (1, 120, 110), (120, 1, 110)])
def test_pictures_are_flat_whichever_axis_is_thin(shape, fingerprint_of):
    frame = Frame.of(fingerprint_of([shape] * 4, (1, 1, 1)))
    assert frame.is_flat
    assert frame.slice_axis == shape.index(1)
    assert frame.spacing == (FLAT, 1, 1)


def test_a_thin_slice_of_a_volume_is_no_picture(fingerprint_of):
    found = fingerprint_of([(120, 110, 1), (120, 110, 1), (120, 110, 30)], (0.5, 0.4, 5))
    assert measured_spacings(found)[:, 2].tolist() == [FLAT * 0.5, FLAT * 0.5, 5]
    single = fingerprint_of([(1, 1, 1)], (0.5, 0.4, 5))
    assert measured_spacings(single).tolist() == [[0.5, 0.4, 5]]
