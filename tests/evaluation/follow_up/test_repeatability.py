import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.evaluation.follow_up import Repeatability

sizes = st.lists(st.tuples(st.floats(1, 100), st.floats(1, 100)), min_size=2, max_size=8).filter(
    lambda pairs: any(abs(a - b) > 1e-3 for a, b in pairs)
)


@given(sizes)
def test_pairs_have_the_within_subject_deviation_of_bland_and_altman(pairs):
    """Half the mean squared difference, in ml or of logarithms."""
    a, b = np.array(pairs).T
    absolute = Repeatability.of(pairs, "absolute", source="x")
    assert absolute.sd == pytest.approx(math.sqrt(((a - b) ** 2 / 2).mean()))
    relative = Repeatability.of(pairs, "relative", source="x")
    assert relative.sd == pytest.approx(math.sqrt((np.log(a / b) ** 2 / 2).mean()))
    assert absolute.freedom == len(pairs)


@given(sizes, st.floats(0.1, 10))
def test_relative_errors_do_not_depend_on_the_unit_and_absolute_ones_grow_with_it(pairs, scale):
    scaled = [(scale * a, scale * b) for a, b in pairs]
    one, other = (Repeatability.of(p, "relative", source="x").sd for p in (pairs, scaled))
    assert other == pytest.approx(one)
    one, other = (Repeatability.of(p, "absolute", source="x").sd for p in (pairs, scaled))
    assert other == pytest.approx(scale * one)


def test_several_raters_count_with_their_degrees_of_freedom():
    found = Repeatability.of([(1, 2, 3), (5, 7)], "absolute", source="x")
    assert found.sd == pytest.approx(math.sqrt((2 + 2) / 3))
    assert (found.freedom, found.cases) == (3, 2)


def test_a_given_coefficient_is_the_change_that_is_still_error():
    ml = Repeatability.given("0.8 ml")
    assert ml.limits == pytest.approx((-0.8, 0.8))
    assert ml.sd == pytest.approx(0.8 / 2.77, rel=1e-3)
    percent = Repeatability.given("25%")
    assert percent.limits == pytest.approx((-0.2, 0.25))
    assert percent.sd_interval is None
    assert percent.words == "-20.0% to +25.0% (given: 25 %)"


@pytest.mark.parametrize("text", ["", "25", "-3%", "0 ml", "0.0%", "3 mm", "ml", "1e3 ml"])
def test_a_coefficient_without_a_meaning_is_refused(text):
    with pytest.raises(
        DataError, match=r"number of ml or percent above 0, got .*For example: 0\.8ml, or 25%"
    ):
        Repeatability.given(text)


def test_no_change_is_claimed_in_more_than_one_of_twenty_however_few_cases_it_was_found_from():
    """Nothing changed, and an error of 10 %: the share of verdicts that say otherwise."""
    rng = np.random.default_rng(0)
    for cases in (2, 5, 40):
        wrong = 0
        for _ in range(1500):
            pairs = np.exp(rng.normal(3, 1, (cases, 1)) + rng.normal(0, 0.1, (cases, 2)))
            found = Repeatability.of(pairs.tolist(), "relative", source="x")
            before, after = np.exp(rng.normal(0, 0.1, 2))
            wrong += abs(math.log(after / before)) > found.half
        assert wrong / 1500 == pytest.approx(0.05, abs=0.017)


def test_the_interval_of_the_deviation_holds_what_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(1000):
        found = Repeatability.of(rng.normal(10, 2, (8, 2)).tolist(), "absolute", source="x")
        low, high = found.sd_interval
        inside += low <= 2 <= high
    assert inside / 1000 == pytest.approx(0.95, abs=0.02)


def test_few_cases_are_told():
    found = Repeatability.of([(10, 11), (20, 21)], "relative", source="two readers")
    assert "found from 2 cases, fewer than 35, two readers" in found.words
    many = Repeatability.of([(10, 11)] * 35, "absolute", source="two readers")
    assert "found from 35 cases, two readers" in many.words
    assert many.words.startswith("-2.03 to +2.03 ml")


def test_cases_measured_once_or_empty_say_nothing_about_relative_errors():
    found = Repeatability.of([(10, 12), (5,), (0, 3)], "relative", source="x")
    assert found.cases == 1
    assert Repeatability.of([(10, 12), (5,), (0, 3)], "absolute", source="x").cases == 2


@pytest.mark.parametrize(
    ("repeats", "kind", "message"),
    [
        ([], "absolute", "x: no case has two measurements to tell how repeatable they are, of 0 cases"),
        ([(3,), (0, 4)], "relative", "no case has two measurements above 0 ml to tell .* of 2 cases"),
        ([(3, 3), (4, 4)], "absolute", "all equal in 2 cases, .*Are they the same files"),
    ],
)
def test_what_cannot_tell_an_error_is_refused(repeats, kind, message):
    with pytest.raises(DataError, match=message):
        Repeatability.of(repeats, kind, source="x")


def test_a_repeatability_can_be_kept():
    found = Repeatability.of([(10, 11), (20, 21)], "relative", source="x")
    assert Repeatability.from_json(found.to_json(), where="here") == found
