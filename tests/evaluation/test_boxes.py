"""Boxes of values: SciPy's answer, whatever the layout of the array."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from delineate.evaluation import boxes
from delineate.evaluation.boxes import value_boxes
from delineate.space import Box, triple

maps = hnp.arrays(
    st.sampled_from([np.uint8, np.int16, np.int64]),
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.integers(0, 4),
)


def by_scipy(array):
    found = ndimage.find_objects(array)
    return {
        value: Box(triple(s.start for s in there), triple(s.stop for s in there))
        for value, there in enumerate(found, 1)
        if there is not None
    }


@given(maps, st.permutations(range(3)))
@settings(max_examples=150, deadline=None)
def test_boxes_are_those_of_scipy_in_any_order_of_memory(array, order):
    stored = np.ascontiguousarray(array.transpose(order)).transpose(np.argsort(order))
    assert value_boxes(stored) == by_scipy(array)


def test_boxes_do_not_depend_on_how_the_map_is_cut_into_slabs(monkeypatch):
    rng = np.random.default_rng(0)
    array = rng.integers(0, 3, (17, 5, 6)) * (rng.random((17, 5, 6)) < 0.1)
    monkeypatch.setattr(boxes, "SLAB", 30)  # one plane at a time
    assert value_boxes(array) == by_scipy(array)


def test_a_value_that_fills_its_rows_ends_with_them():
    array = np.zeros((3, 3, 4), np.uint8)
    array[1, 1:] = 7
    assert value_boxes(array) == {7: Box((1, 1, 0), (2, 3, 4))}


@pytest.mark.parametrize("view", [lambda a: a[::-1], lambda a: a[:, ::-1, ::2], lambda a: a[1:, :, 1:-1]])
def test_views_are_looked_at_as_they_are_seen(view):
    array = view(np.random.default_rng(1).integers(0, 3, (6, 7, 9)).astype(np.uint8))
    assert value_boxes(array) == by_scipy(array)


def test_nothing_and_negative_values_have_no_box():
    assert value_boxes(np.zeros((3, 4, 5), np.uint8)) == {}
    array = np.zeros((3, 4, 5), np.int16)
    array[0, 0, 0], array[2, 2, 2] = -1, 3
    assert value_boxes(array) == {3: Box((2, 2, 2), (3, 3, 3))}
