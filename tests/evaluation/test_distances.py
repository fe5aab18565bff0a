"""Lists of distances: what is made of them, worked out by hand and by NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.evaluation import Directed, SurfaceDistances

UNEQUAL = Directed(np.array([3.0, 1.0, 2.0]), np.array([1.0, 1.0, 2.0]))
EQUAL = Directed(np.array([0.0, 4.0]), np.ones(2))
BOTH = SurfaceDistances(UNEQUAL, EQUAL)

lists = st.lists(st.tuples(st.floats(0, 50), st.floats(0.1, 3)), min_size=1, max_size=30)


def test_one_direction_by_hand():
    assert UNEQUAL.largest() == 3
    assert UNEQUAL.mean() == (3 + 1 + 4) / 4
    assert UNEQUAL.weight == 4
    assert [UNEQUAL.within(mm) for mm in (0.5, 1, 2.5, 3)] == [0, 0.25, 0.75, 1]
    assert UNEQUAL.percentile(50) == 2  # weights are not used
    assert [UNEQUAL.percentile_weighted(p) for p in (20, 30, 75, 76, 100)] == [1, 2, 2, 3, 3]


def test_both_directions_by_hand():
    assert BOTH.hausdorff() == 4
    assert BOTH.pooled_mean() == (8 + 4) / 6
    assert BOTH.mean_of_directed() == (2 + 2) / 2
    assert BOTH.within(1) == (1 + 1) / 6
    assert BOTH.percentile_pooled(50) == 2
    assert BOTH.percentile_directed(50) == 2
    assert BOTH.percentile_directed(100) == BOTH.percentile_weighted(100) == 4


@given(lists, lists)
@settings(max_examples=60, deadline=None)
def test_with_weights_of_one_numbers_are_those_of_numpy(one, other):
    a, b = (np.array([distance for distance, _ in some]) for some in (one, other))
    apart = SurfaceDistances(Directed(a, np.ones(len(a))), Directed(b, np.ones(len(b))))
    assert apart.percentile_pooled() == pytest.approx(np.percentile([*a, *b], 95))
    assert apart.percentile_directed() == pytest.approx(max(np.percentile(a, 95), np.percentile(b, 95)))
    assert apart.pooled_mean() == pytest.approx(np.mean([*a, *b]))
    assert apart.mean_of_directed() == pytest.approx((a.mean() + b.mean()) / 2)
    assert apart.within(7) == pytest.approx(np.mean(np.array([*a, *b]) <= 7))


@given(lists, st.integers(1, 99))
@settings(max_examples=60, deadline=None)
def test_at_least_so_much_weight_lies_below_its_percentile_and_less_below_the_one_before(some, percent):
    distances, weights = np.array(some).T
    one = Directed(distances, weights)
    found = one.percentile_weighted(percent)
    assert found in distances
    assert weights[distances <= found].sum() >= (percent / 100 - 1e-9) * one.weight
    assert weights[distances < found].sum() < (percent / 100 + 1e-9) * one.weight


@given(lists, lists)
@settings(max_examples=60, deadline=None)
def test_no_number_is_larger_than_the_largest_distance_or_depends_on_who_is_the_reference(one, other):
    there, back = (Directed(*np.array(some).T) for some in (one, other))
    apart, turned = SurfaceDistances(there, back), SurfaceDistances(back, there)
    for number in (
        "percentile_pooled",
        "percentile_directed",
        "percentile_weighted",
        "pooled_mean",
        "mean_of_directed",
    ):
        value = getattr(apart, number)()
        assert value == pytest.approx(getattr(turned, number)())
        assert value <= apart.hausdorff() * (1 + 1e-12)
    assert apart.within(3) == pytest.approx(turned.within(3))
