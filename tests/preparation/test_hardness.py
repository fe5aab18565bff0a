"""Hardness: who is drawn how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.preparation.hardness import chances

IDS = ("a", "b", "c", "d")


@given(st.dictionaries(st.sampled_from(IDS), st.floats(0, 5)), st.floats(0, 1))
def test_chances_sum_to_one_and_the_other_share_goes_to_all_alike(hardness, share):
    found = chances(IDS, hardness, share)
    assert sum(found) == pytest.approx(1)
    assert min(found) >= (1 - share) / len(IDS) - 1e-12


def test_a_case_twice_as_hard_is_drawn_twice_as_often_within_the_share():
    found = chances(IDS, {"a": 1, "b": 2, "c": 0, "d": 1}, 0.5)
    assert found == pytest.approx([0.125 + 0.125, 0.125 + 0.25, 0.125, 0.125 + 0.125])


def test_a_case_that_was_not_seen_counts_as_the_hardest():
    assert chances(("a", "b"), {"a": 3.0}, 1.0) == (0.5, 0.5)
    assert chances(("a", "b"), {}, 1.0) == (0.5, 0.5)
    assert chances(("a", "b"), {"a": 0.0, "b": 0.0}, 1.0) == (0.5, 0.5)
