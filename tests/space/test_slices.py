"""Slices at any distances, shifted against each other, become an even grid on which nothing has moved."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.space import Slices

UNKNOWN = 9


def stack(gaps, lean=0.0, columns=24, rows=30, thickness=0.0, turn=None) -> Slices:
    """Slices of 1 x 1 mm with these distances, shifted by `lean` mm per mm along j."""
    turn = np.eye(3) if turn is None else turn
    along = np.concatenate([[0.0], np.cumsum(gaps)])
    positions = along[:, None] * (turn[2] + lean * turn[1])
    return Slices((columns, rows), (1.0, 1.0), turn[:2], positions, (thickness,) * len(along))


def places(slices: Slices) -> np.ndarray:
    """(i, j, k, 3) world places of the pixels of all slices."""
    i, j = np.meshgrid(*(np.arange(n) for n in slices.shape), indexing="ij")
    plane = (
        i[..., None] * slices.axes[0] * slices.spacing[0] + j[..., None] * slices.axes[1] * slices.spacing[1]
    )
    return plane[:, :, None] + slices.positions


def even_places(slices: Slices) -> np.ndarray:
    return slices.even.to_world(np.moveaxis(np.indices(slices.even.shape), 0, -1).astype(float))


gap_lists = st.lists(st.sampled_from([1.08, 2.0, 2.5, 4.0, 6.99]), min_size=1, max_size=7)


@given(gap_lists, st.floats(0, 25), st.integers(0, 99))
def test_a_field_that_is_linear_in_space_is_the_same_field_on_the_even_grid(gaps, degrees, seed):
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0].T
    turn[2] = np.cross(turn[0], turn[1])
    slices = stack(gaps, np.tan(np.radians(degrees)), turn=turn)
    slope = rng.normal(size=3)
    image = (places(slices) @ slope).astype(np.float32)
    even = slices.image_on_even(image[None])[0]
    truth = even_places(slices) @ slope
    inner = np.zeros(even.shape, bool)  # where every slice reaches
    ends = np.sort(slices.aside - slices.aside.min(axis=0), axis=0)[-1]
    inner[tuple(slice(int(np.ceil(end)) + 1, n - 1) for end, n in zip(ends, slices.shape, strict=True))] = (
        True
    )
    assert np.abs(even - truth)[inner].max(initial=0) < 2e-3


@given(gap_lists, st.floats(0, 25))
def test_the_even_grid_holds_every_pixel_of_every_slice(gaps, degrees):
    slices = stack(gaps, np.tan(np.radians(degrees)))
    index = slices.even.to_index(places(slices).reshape(-1, 3))
    assert index.min() > -0.01
    assert (index < np.array(slices.even.shape) - 1 + 0.01).all()
    low, high = (
        slices.even.to_world(np.array([[0.0, 0, 0], [0, 0, slices.even.shape[2] - 1]])) @ slices.normal
    )
    assert (low, high) == pytest.approx((0, slices.along[-1]))


def test_even_upright_slices_are_copied_bit_for_bit():
    slices = stack([2.0] * 4)
    image = np.random.default_rng(0).normal(size=(2, 24, 30, 5)).astype(np.float32)
    labels = np.random.default_rng(1).integers(0, 4, (24, 30, 5)).astype(np.uint8)
    assert np.array_equal(slices.image_on_even(image), image)
    assert np.array_equal(slices.labels_on_even(labels, UNKNOWN), labels)


@pytest.mark.parametrize("degrees", [0, 7.5, 18.5, 25])
def test_a_ball_drawn_on_leaning_slices_is_the_same_ball(degrees):
    slices = stack([2.0] * 5 + [1.0] * 3 + [3.0] * 4, np.tan(np.radians(degrees)), rows=34)
    centre = places(slices)[12, 17, 6]
    drawn = np.linalg.norm(places(slices) - centre, axis=-1) < 8
    even = slices.labels_on_even(np.where(drawn, 3, 0).astype(np.uint8), UNKNOWN)
    known = even != UNKNOWN
    truth = np.linalg.norm(even_places(slices) - centre, axis=-1) < 8
    ours = even == 3
    assert set(np.unique(even).tolist()) <= {0, 3, UNKNOWN}
    dice = 2 * (ours & truth)[known].sum() / (ours.sum() + truth[known].sum())
    assert dice > 0.93  # a pixel more or less at the rim
    off = even_places(slices)[ours].mean(0) - even_places(slices)[truth & known].mean(0)
    assert np.abs(off[:2]).max() < 0.1
    assert abs(off[2]) < 0.5  # of slices 1 to 3 mm apart


def test_planes_in_a_gap_are_unknown_unless_slices_are_thick():
    gaps = [2.0, 2.0, 8.0, 2.0]
    ones = np.ones((4, 4, 5), np.uint8)
    thin = stack(gaps, columns=4, rows=4).labels_on_even(ones, UNKNOWN)
    assert thin[0, 0].tolist() == [1, 1, 1, UNKNOWN, UNKNOWN, UNKNOWN, 1, 1]
    thick = stack(gaps, columns=4, rows=4, thickness=8.0).labels_on_even(ones, UNKNOWN)
    assert (thick == 1).all()


def test_planes_are_as_near_as_the_nearest_slices_within_reason():
    assert stack([4.0, 4.0, 1.08, 7.0, 7.0]).even.spacing[2] == pytest.approx(1.08, abs=0.03)
    assert stack([4.0, 4.0, 0.05, 4.0]).even.spacing[2] == pytest.approx(1.0, abs=0.03)  # a quarter


def test_where_no_slice_reaches_the_image_is_as_low_as_it_gets():
    slices = stack([2.0] * 3, lean=0.5)
    image = np.full((1, 24, 30, 4), 5.0)
    image[0, 0, 0, 0] = -1000
    even = slices.image_on_even(image)
    assert even[0, 5, -1, 0] == -1000
    assert even[0, 5, 15, 0] == 5
