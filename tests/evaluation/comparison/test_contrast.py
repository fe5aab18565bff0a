import numpy as np
import pytest

from delineate.evaluation.comparison import Contrast, Judged
from delineate.evaluation.comparison.contrast import Evidence, judged_by
from delineate.evaluation.statistics import Bootstrap

DICE = Judged(metric="dice", title="Dice", definition="", unit="1", best="high")
HD95 = Judged(metric="hd95", title="HD95", definition="", unit="mm", best="low")
BLANK = Contrast(
    first="A", second="B", structure="liver", metric="dice", pairs=0, patients=0, only_first=0, only_second=0
)


def known(low, high, *, margin=None, difference=None):
    middle = (low + high) / 2 if difference is None else difference
    return BLANK.but(difference=middle, low=low, high=high, margin=margin, patients=20, pairs=20)


def evidence(first, second, groups=None):
    first, second = np.asarray(first, float), np.asarray(second, float)
    groups = groups or [str(n) for n in range(len(first))]
    return Evidence.of(
        BLANK, first, second, Bootstrap.drawn(list(groups), np.random.default_rng(0), draws=200)
    )


# --- what is known


@pytest.mark.parametrize(
    ("low", "high", "adjusted", "best", "outcome"),
    [
        (0.01, 0.05, 0.01, "high", "first better"),
        (0.01, 0.05, 0.01, "low", "second better"),
        (-0.05, -0.01, 0.01, "high", "second better"),
        (-0.05, -0.01, 0.01, "low", "first better"),
        (0.01, 0.05, 0.06, "high", "not proven"),  # for so many comparisons it is too little
        (-0.001, 0.05, 0.04, "high", "not proven"),  # test and interval do not agree
        (-0.01, 0.02, 0.6, "high", "not proven"),
    ],
)
def test_proven_takes_the_adjusted_p_and_the_interval(low, high, adjusted, best, outcome):
    assert judged_by(known(low, high), adjusted, best, 0.95) == outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(-0.01, 0.02, "equivalent"), (-0.01, 0.021, "not proven"), (-0.03, 0.01, "not proven")],
)
def test_equivalent_takes_the_whole_interval_within_the_margin(low, high, outcome):
    assert judged_by(known(low, high, margin=0.02), 0.5, "high", 0.95) == outcome


def test_a_small_difference_may_be_proven_and_yet_not_matter():
    found = known(0.004, 0.012, margin=0.02)
    found = found.but(outcome=judged_by(found, 0.001, "high", 0.95))
    assert (found.outcome, found.better, found.is_within_margin) == ("first better", "A", True)
    assert found.verdict(DICE).startswith(
        "A better, proven, by less than the margin of 0.02 (difference 0.008"
    )


def test_without_a_difference_or_an_interval_nothing_is_known():
    assert judged_by(BLANK, None, "high", 0.95) == "not compared"
    assert judged_by(BLANK.but(difference=0.3), 0.001, "high", 0.95) == "not proven"


def test_the_words_hold_the_numbers():
    assert known(-0.01, 0.02).but(outcome="not proven").verdict(DICE) == (
        "no difference proven (difference 0.005, -0.010 to 0.020)"
    )
    assert known(-1.5, -0.5, margin=2.0).but(outcome="equivalent").verdict(HD95) == (
        "equivalent within 2 mm (difference -1.00 mm, -1.50 to -0.50)"
    )
    assert known(-1.5, -0.5).but(outcome="second better").verdict(DICE).startswith("B better, proven (")
    assert BLANK.verdict(DICE) == "not compared: no case has a value of both"
    assert BLANK.but(difference=0.1).numbers(DICE) == "difference 0.100, one patient: no interval"
    assert BLANK.numbers(DICE) == "no difference"


# --- what it rests on


def test_values_without_a_partner_are_counted_and_not_compared():
    found = evidence([0.9, 0.8, np.nan, np.nan], [0.8, np.nan, 0.7, np.nan]).weighed("high", "t", 0.95)
    assert (found.pairs, found.only_first, found.only_second, found.patients) == (1, 1, 1, 1)
    assert (found.mean_first, found.mean_second) == (0.9, 0.8)
    assert found.low is None


def test_nothing_in_common_is_not_compared():
    found = evidence([0.9, np.nan], [np.nan, 0.7])
    assert found.differences is None
    assert found.weighed("high", "t", 0.95) == BLANK.but(only_first=1, only_second=1)


def test_ahead_and_effect_speak_of_better_whatever_the_metric():
    high = evidence([5.0, 6.0, 7.0, 1.0], [1.0, 2.0, 3.0, 2.0]).weighed("high", "bca", 0.95)
    low = evidence([5.0, 6.0, 7.0, 1.0], [1.0, 2.0, 3.0, 2.0]).weighed("low", "bca", 0.95)
    assert (high.ahead_first, high.ahead_second, high.effect) == (3, 1, pytest.approx(0.8))
    assert (low.ahead_first, low.ahead_second, low.effect) == (1, 3, pytest.approx(-0.8))
    assert high.difference == low.difference == pytest.approx(2.75)


def test_the_mean_over_structures_is_of_those_that_have_pairs():
    liver, nothing = evidence([0.9, 0.8], [0.7, 0.7]), evidence([0.5, np.nan], [np.nan, np.nan])
    spleen = evidence([0.6, 0.6], [0.5, np.nan])
    found = Evidence.average(BLANK, [liver, nothing, spleen]).weighed("high", "t", 0.95)
    assert (found.pairs, found.only_first, found.only_second) == (3, 2, 0)
    assert found.mean_first == pytest.approx((0.85 + 0.6) / 2)
    assert found.difference == pytest.approx((0.15 + 0.1) / 2)
    assert Evidence.average(BLANK, [nothing]).differences is None
