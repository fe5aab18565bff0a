"""Nearest voxels: all pairs tried, on any grid, near and far."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.evaluation import nearest as module
from delineate.evaluation.nearest import in_mm, nearest


def linear_of(seed):
    """Any grid: sheared, turned, with voxels from a third to five millimetres."""
    rng = np.random.default_rng(seed)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    return turn @ (np.diag(rng.uniform(0.3, 5, 3)) + rng.uniform(-0.2, 0.2, (3, 3)))


def by_trying_all(here, there, linear):
    a, b = np.argwhere(here) @ linear.T, np.argwhere(there) @ linear.T
    return np.linalg.norm(a[:, None] - b[None], axis=2).min(axis=1)


@given(
    st.integers(0, 2**32 - 1),
    st.tuples(*[st.integers(1, 7)] * 3),
    st.floats(0.02, 0.9),
    st.sampled_from([1, 8, module.STEPS]),
)
@settings(max_examples=150, deadline=None)
def test_distances_are_those_of_trying_all_pairs(seed, shape, share, steps):
    rng = np.random.default_rng(seed)
    here, there = rng.random((2, *shape)) < share
    there[tuple(rng.integers(0, shape))] = True
    before, module.STEPS = module.STEPS, steps  # few steps: the tree finds the rest
    try:
        found = nearest(here, there, linear_of(seed))
    finally:
        module.STEPS = before
    assert found == pytest.approx(by_trying_all(here, there, linear_of(seed)), abs=1e-9)


@pytest.mark.parametrize("shape", [(60, 3, 2), (1, 60, 1), (40, 1, 9)])
def test_what_is_far_away_is_found_too(shape):
    here, there = np.zeros((2, *shape), bool)
    here[0, 0, 0] = here[-1, -1, -1] = True
    there[-1, -1, -1] = True
    linear = np.diag([1.0, 2.0, 3.0])
    assert nearest(here, there, linear) == pytest.approx(by_trying_all(here, there, linear))


def test_voxels_that_both_have_are_no_distance_apart():
    mask = np.random.default_rng(0).random((5, 6, 7)) < 0.5
    assert not nearest(mask, mask, np.eye(3)).any()


def test_the_order_is_that_of_the_array():
    here, there = np.zeros((2, 1, 2, 5), bool)
    here[0, 0, 4] = here[0, 1, 2] = True
    there[0, 0, 0] = True
    assert nearest(here, there, np.eye(3)) == pytest.approx([4, np.sqrt(5)])


def test_nothing_has_no_distances():
    here, there = np.zeros((2, 3, 3, 3), bool)
    there[0, 0, 0] = True
    assert nearest(here, there, np.eye(3)).shape == (0,)


def test_indices_become_places_as_by_the_matrix():
    index = np.random.default_rng(2).integers(0, 9, (3, 4, 5))
    assert in_mm(index, linear_of(3)) == pytest.approx(np.moveaxis(index, 0, -1) @ linear_of(3).T)
