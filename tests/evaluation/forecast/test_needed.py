from math import sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from delineate.errors import DataError
from delineate.evaluation.forecast.needed import LIKELY, MOST, SoFar, cases_for, cases_to_prove, needs
from delineate.evaluation.statistics import half_width


def rng(seed=0):
    return np.random.default_rng(seed)


def sample(mean, sd, cases, seed=0):
    """Values with exactly this mean and spread."""
    values = rng(seed).normal(0, 1, cases)
    return mean + sd * (values - values.mean()) / values.std(ddof=1)


def lower_end(mean, sd, cases):
    return stats.t.interval(0.95, cases - 1, mean, sd / sqrt(cases))[0]


def test_with_so_many_more_the_interval_clears_the_threshold_and_with_one_fewer_not():
    found = cases_to_prove(sample(0.92, 0.1, 44), 0.9)
    total = 44 + found.more
    assert lower_end(0.92, 0.1, total) >= 0.9 > lower_end(0.92, 0.1, total - 1)
    assert found.sentence == (
        "You need about 55 more cases to prove 0.9, if they are like those so far; "
        "621 for a chance of four in five."
    )


def test_what_the_issue_asks_for_can_be_said():
    found = cases_to_prove(sample(0.92, 0.113, 44), 0.90)
    assert 70 <= found.more <= 90
    assert found.sentence.startswith(f"You need about {found.more} more cases to prove 0.9")
    assert (found.patients, found.units) == (44, "cases")
    assert (found.mean, found.spread) == pytest.approx((0.92, 0.113))


def test_a_mean_that_does_not_clear_the_threshold_gets_no_number():
    found = cases_to_prove(sample(0.88, 0.1, 44), 0.9)
    assert found.more is None
    assert found.sentence.startswith(
        "The mean so far, 0.88, does not clear 0.9: more cases like these would not"
    )
    assert cases_to_prove(sample(0.9, 0.1, 44), 0.95).more is None


def test_what_is_shown_already_needs_no_more():
    found = cases_to_prove(sample(0.95, 0.05, 44), 0.9)
    assert (found.more, found.likely, found.sentence) == (0, 0, "0.9 is cleared already.")


def test_a_mean_that_nearly_is_the_threshold_would_need_too_many():
    found = cases_to_prove(sample(0.9003, 0.1, 20), 0.9)
    assert found.more is None
    assert f"so close that {MOST} would not suffice" in found.sentence


def test_where_less_is_better_it_is_the_other_end():
    upward = cases_to_prove(sample(0.92, 0.1, 44), 0.9)
    downward = cases_to_prove(-sample(0.92, 0.1, 44), -0.9, best="low")
    assert (downward.more, downward.likely) == (upward.more, upward.likely)
    assert cases_to_prove(sample(3.0, 1.0, 20), 5.0, best="low").more == 0


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "No patients with a value; a forecast needs two."),
        ([None, None], "No patients with a value; a forecast needs two."),
        ([0.95, None], "1 patient with a value; a forecast needs two."),
        ([0.95, 0.95, 0.95], "All cases have the same value: nothing tells how others would differ."),
    ],
)
def test_too_little_to_tell_is_said(values, said):
    found = cases_to_prove(values, 0.9)
    assert found.more is None
    assert found.sentence == said


def test_scans_of_one_patient_count_as_one():
    values = sample(0.92, 0.1, 20)
    alone = cases_to_prove(values, 0.9)
    copied = cases_to_prove(np.repeat(values, 3), 0.9, groups=[str(n // 3) for n in range(60)])
    assert (copied.more, copied.patients, copied.units) == (alone.more, 20, "patients")
    assert f"{copied.more} more patients" in copied.sentence


def test_each_case_has_a_patient():
    with pytest.raises(DataError, match="expected a patient for each of 3 cases, got 2"):
        cases_to_prove([0.1, 0.2, 0.3], 0.1, groups=["a", "b"])


@given(st.integers(5, 80), st.floats(0.001, 0.1), st.integers(0, 20))
def test_a_forecast_agrees_with_the_interval_that_decides(cases, room, seed):
    """Whatever interval is asked: if its end is short of the threshold, at least one more is needed."""
    values = sample(0.9, 0.1, cases, seed)
    end = 0.9 - room
    found = cases_to_prove(values, 0.9 - room / 2, end=end)
    assert found.more > 0
    wider = cases_to_prove(values, 0.9 - room / 2, end=end - 0.01)
    assert wider.more >= found.more
    assert cases_to_prove(values, 0.9 - room, end=end).more == 0


def test_half_the_interval_needs_four_times_the_cases():
    """Of many cases, to which Student's t hardly differs from the normal curve."""
    found = cases_to_prove(sample(0.92, 0.3, 200), 0.92 - half_width(0.3, 800))
    assert found.more == pytest.approx(600, abs=5)


@pytest.mark.parametrize("more", [10, 60, 400])
def test_the_chance_is_what_happens(more):
    """Truths drawn from what 30 patients tell under a flat prior, then further patients of each truth."""
    known, g, repeats = SoFar(30, 0.03, 0.1, 0.95), rng(7), 4000
    sd = 0.1 * np.sqrt(29 / g.chisquare(29, repeats))
    truth = 0.03 + sd / sqrt(30) * g.normal(size=repeats)
    further = truth + sd / sqrt(more) * g.normal(size=repeats)
    mean = (30 * 0.03 + more * further) / (30 + more)
    assert known.chance(more) == pytest.approx(np.mean(mean >= known.half(30 + more)), abs=0.025)


def test_the_number_named_is_an_even_chance_and_the_likely_one_is_likely():
    known = SoFar(44, 0.02, 0.1, 0.95)
    assert known.chance(known.more()) == pytest.approx(0.5, abs=0.05)
    assert known.chance(known.likely()) >= LIKELY > known.chance(known.likely() - 1)


def test_a_mean_close_to_the_threshold_cannot_be_made_likely_by_any_number():
    found = cases_to_prove(sample(0.91, 0.08, 44), 0.9)
    assert found.more == 205
    assert found.likely is None
    assert found.sentence.endswith("too close to it for any number to make that likely.")


@pytest.mark.parametrize(
    ("half", "sd", "cases"), [(0.00499, 0.03, 139), (0.0277, 0.1, 51), (0.0124, 0.2, 1000)]
)
def test_planning_ahead_is_the_half_width_turned_around(half, sd, cases):
    assert cases_for(half, sd) == pytest.approx(cases, abs=1)
    assert half_width(sd, cases_for(half, sd)) <= half < half_width(sd, cases_for(half, sd) - 1)
    assert cases_for(half_width(sd, cases), sd) == cases


def test_one_per_cent_wide_needs_what_the_literature_says():
    """El Jurdi 2025: one per cent wide takes 100 to 200 cases at sd 3 %, and many more at a wide one."""
    assert 100 <= cases_for(0.005, 0.03) <= 200
    assert cases_for(0.005, 0.1) > 1000


def test_a_width_of_nothing_is_refused():
    with pytest.raises(DataError, match=r"half-width above 0 and a spread of 0 or more, got 0 and 0\.1"):
        cases_for(0, 0.1)


# --- of a report


def test_of_a_report_every_structure_gets_its_forecast_by_the_interval_of_the_report(made_report):
    values = {
        "liver": {"dice": sample(0.92, 0.1, 40), "hd95": sample(4.0, 2.0, 40)},
        "cyst": {"dice": [None if n > 30 else v for n, v in enumerate(sample(0.7, 0.2, 40))]},
    }
    values["cyst"]["hd95"] = sample(9.0, 2.0, 40)
    report = made_report(values, title="Fold 0")
    found = needs(report, 0.9)
    assert found.structures["liver"].end == report.summary("liver", "dice").ci_low
    assert found.structures["liver"].more > 0
    assert found.structures["cyst"].patients == 31
    text = found.to_markdown()
    assert text.startswith(
        "Dice, 0.9\n\n| structure | patients | mean | spread | end of the interval | more |"
    )
    assert "| cyst | 31 | 0." in text
    assert "- cyst: The mean so far, 0." in text
    below = needs(report, 5.0, "hd95").structures
    assert below["liver"].more == 0
    assert below["liver"].end == report.summary("liver", "hd95").ci_high
    assert below["cyst"].more is None


def test_of_what_was_not_measured_or_is_best_at_zero_there_is_no_forecast(made_report):
    report = made_report({"liver": {"dice": [0.9, 0.8], "volume_error": [1.0, -1.0]}})
    for metric in ("nsd", "volume_error", "style"):
        with pytest.raises(DataError, match=f"no forecast of '{metric}': there can be one of dice"):
            needs(report, 0.9, metric)


def test_scans_of_patients_are_forecast_as_patients(made_report):
    report = made_report(
        {"liver": {"dice": sample(0.92, 0.1, 40)}}, patients=[f"p{n // 2}" for n in range(40)]
    )
    found = needs(report, 0.9).structures["liver"]
    assert (found.units, found.patients) == ("patients", 20)
