import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from delineate.evaluation.calibration.regions import boundary, foreground
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of("a", "b")


def label_map(array, spacing=(1, 1, 1)):
    array = np.asarray(array, np.uint8)
    return LabelMap(array, Geometry(array.shape, np.diag([*spacing, 1.0])), SCHEMA)


@given(st.integers(0, 10_000), st.integers(5, 40).map(lambda tenths: tenths / 10 + 0.03))
def test_the_band_is_what_lies_near_another_label(seed, band_mm):
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.normal(size=(9, 8, 7)), 1)
    array = np.digitize(blobs, np.quantile(blobs, [0.6, 0.85]))
    spacing = rng.choice([0.7, 1.0, 2.5], 3)
    found = boundary(label_map(array, spacing), band_mm)
    expected = np.zeros(array.shape, bool)
    for value in (0, 1, 2):
        other = array != value
        if other.any():
            distance = ndimage.distance_transform_edt(~other, sampling=spacing)
            expected |= ~other & (distance <= band_mm * (1 + 1e-5))
    assert (found == expected).all()


def test_two_labels_that_touch_have_a_boundary_between_them():
    array = np.ones((10, 3, 3), int)
    array[5:] = 2
    near = boundary(label_map(array), 2.0)
    assert near[:, 1, 1].tolist() == [False] * 3 + [True] * 4 + [False] * 3


def test_the_edge_of_the_scan_is_no_boundary():
    assert not boundary(label_map(np.ones((4, 4, 4))), 2.0).any()


def test_where_nothing_is_seen_there_is_neither():
    nothing = label_map(np.zeros((4, 4, 4)))
    assert not boundary(nothing, 2.0).any()
    assert not foreground(nothing).any()


def test_thick_slices_are_farther_apart():
    array = np.zeros((5, 5, 5), int)
    array[2, 2, 2] = 1
    near = boundary(label_map(array, (1, 1, 5)), 1.0)
    assert near.sum() == 5
    assert near[2, 2, 1] == near[2, 2, 3] == False  # noqa: E712


def test_a_picture_has_a_band_too():
    array = np.zeros((9, 9, 1), int)
    array[3:6, 3:6] = 1
    assert boundary(label_map(array), 1.0).sum() == 8 + 12


@pytest.mark.parametrize("value", [1, 2])
def test_any_label_is_foreground(value):
    array = np.zeros((3, 3, 3), int)
    array[1] = value
    assert foreground(label_map(array)).sum() == 9
