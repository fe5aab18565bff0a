import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.inference.live_pace import REMEMBERED, ROOM, Pace

FACTORS = (1.0, 2.0, 3.0)
PIXELS = 100


def measured(**seconds):
    """A pace that has seen each size often enough to trust it."""
    pace = Pace(FACTORS)
    for factor, each in zip(FACTORS, seconds.values(), strict=False):
        for _ in range(3):
            pace.note(factor, each, PIXELS)
    return pace


def test_nothing_is_expected_before_anything_was_measured_and_the_full_size_is_tried():
    pace = Pace(FACTORS)
    assert pace.expected(1.0, PIXELS) is None
    assert pace.fitting(0.1, PIXELS) == 1.0


def test_the_largest_size_in_time_is_chosen():
    pace = measured(full=0.4, half=0.1, third=0.05)
    assert pace.fitting(1.0, PIXELS) == 1.0
    assert pace.fitting(0.2, PIXELS) == 2.0
    assert pace.fitting(0.1 / ROOM, PIXELS) == 2.0
    assert pace.fitting(0.07, PIXELS) == 3.0
    assert pace.fitting(0.01, PIXELS) is None


def test_a_size_that_was_never_done_is_expected_by_its_pixels():
    pace = measured(full=0.4)
    assert pace.expected(2.0, PIXELS) == pytest.approx(0.1)
    assert pace.expected(1.0, 2 * PIXELS) == pytest.approx(0.8)


def test_the_cold_first_frame_is_not_what_is_expected_of_the_others():
    pace = Pace(FACTORS)
    pace.note(1.0, 5.0, PIXELS)
    assert not pace.is_known
    assert pace.fitting(0.2, PIXELS) == 3.0  # nothing is known yet: the smallest is tried, not nothing
    pace.note(3.0, 0.9, PIXELS)
    pace.note(3.0, 0.01, PIXELS)
    assert pace.fitting(0.2, PIXELS) == 1.0  # by what the smallest took when it was warm
    pace.note(1.0, 0.09, PIXELS)
    assert pace.expected(1.0, PIXELS) == pytest.approx(0.09)


def test_one_slow_frame_makes_the_next_ones_smaller_and_quick_ones_give_the_size_back():
    pace = measured(full=0.1, half=0.03)
    assert pace.fitting(0.2, PIXELS) == 1.0
    pace.note(1.0, 0.4, PIXELS)
    assert pace.fitting(0.2, PIXELS) == 2.0
    for _ in range(REMEMBERED):
        assert pace.fitting(0.2, PIXELS) == 2.0
        pace.note(2.0, 0.03, PIXELS)
    assert pace.fitting(0.2, PIXELS) == 1.0


@given(
    times=st.lists(st.tuples(st.sampled_from(FACTORS), st.floats(1e-3, 10)), min_size=1),
    left=st.floats(1e-3, 5),
)
def test_more_time_never_means_a_smaller_size(times, left):
    pace = Pace(FACTORS)
    for factor, seconds in times:
        pace.note(factor, seconds, PIXELS)
    chosen, later = pace.fitting(left, PIXELS), pace.fitting(2 * left, PIXELS)
    assert chosen is None or (later is not None and later <= chosen)


@given(times=st.lists(st.tuples(st.sampled_from(FACTORS), st.floats(0, 10)), min_size=1))
def test_what_is_expected_is_never_less_than_the_least_that_was_seen_of_a_known_size(times):
    pace = Pace(FACTORS)
    for factor, seconds in times:
        pace.note(factor, seconds, PIXELS)
    for factor in FACTORS:
        seen = [seconds for each, seconds in times if each == factor]
        if len(seen) > 1:
            assert pace.expected(factor, PIXELS) >= min(seen[1:]) * (1 - 1e-9)
