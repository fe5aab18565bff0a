import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from monai.metrics.calibration import CalibrationErrorMetric

from delineate.evaluation.calibration import Reliability
from delineate.evaluation.calibration.reliability import FINE, edges

GOLDEN = json.loads((Path(__file__).parent / "golden" / "torchmetrics.json").read_text())


def forecasts(seed, n=400, sharpness=0.7):
    rng = np.random.default_rng(seed)
    p = rng.beta(sharpness, sharpness, n)
    return p, rng.random(n) < 0.7 * p + 0.1


# --- as others compute it


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda case: f"{case['bins']} bins")
def test_errors_are_those_of_torchmetrics(case):
    p, true = np.array(case["probabilities"]), np.array(case["truth"])
    top = Reliability.of(p.max(axis=0), p.argmax(axis=0) == true, bins=case["bins"])
    one = Reliability.of(p[1], true == 1, bins=case["bins"])
    for ours, name in ((top, "top"), (one, "class_1")):
        assert ours.ece == pytest.approx(case[f"{name}_l1"], abs=1e-6)
        assert ours.mce == pytest.approx(case[f"{name}_max"], abs=1e-6)


@pytest.mark.parametrize("bins", [10, 15, 20])
@pytest.mark.parametrize("seed", range(4))
def test_errors_are_those_of_monai(seed, bins):
    p, true = forecasts(seed)
    found = Reliability.of(p.astype(np.float32), true, bins=bins)
    for how, ours in (("expected", found.ece), ("average", found.ace), ("maximum", found.mce)):
        metric = CalibrationErrorMetric(num_bins=bins, calibration_reduction=how)
        metric(torch.from_numpy(p[None, None]), torch.from_numpy(true[None, None].astype(float)))
        assert ours == pytest.approx(float(metric.aggregate()), abs=1e-5)


def test_the_errors_of_a_textbook_example():
    """Two bins: five forecasts of 0.25 of which two come true, and five of 0.9 of which all do."""
    found = Reliability.of(np.repeat([0.25, 0.9], 5), np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 1], bool), bins=2)
    assert found.ece == pytest.approx((0.15 + 0.1) / 2)
    assert found.ace == pytest.approx((0.15 + 0.1) / 2)
    assert found.mce == pytest.approx(0.15)
    assert found.brier == pytest.approx((2 * 0.75**2 + 3 * 0.25**2 + 5 * 0.1**2) / 10)
    assert found.nll == pytest.approx(-(2 * np.log(0.25) + 3 * np.log(0.75) + 5 * np.log(0.9)) / 10)
    assert (found.n, found.forecast, found.frequency) == (10, pytest.approx(0.575), pytest.approx(0.7))


# --- laws


def test_forecasts_that_are_what_they_say_have_hardly_any_error():
    rng = np.random.default_rng(0)
    p = rng.random(400_000)
    found = Reliability.of(p, rng.random(p.shape) < p)
    assert max(found.ece, found.ace, found.adaptive) < 0.005


@given(st.integers(0, 10_000), st.integers(2, 30))
def test_errors_lie_between_the_mean_gap_and_the_largest(seed, bins):
    p, true = forecasts(seed, 60)
    found = Reliability.of(p, true, bins=bins)
    mean_gap = abs(found.forecast - found.frequency)
    assert mean_gap - 1e-9 <= found.ece <= found.mce + 1e-9 <= 1 + 1e-8
    assert found.ace <= found.mce + 1e-12
    assert mean_gap - 1e-9 <= found.adaptive <= 1


@given(st.integers(0, 10_000), st.integers(0, 60))
def test_parts_add_up_to_the_whole(seed, cut):
    p, true = forecasts(seed, 60)
    whole = Reliability.of(p, true)
    both = Reliability.of(p[:cut], true[:cut]) + Reliability.of(p[cut:], true[cut:])
    for name in ("n", "ece", "ace", "mce", "adaptive", "brier", "nll", "forecast", "frequency"):
        assert getattr(both, name) == pytest.approx(getattr(whole, name))


@given(st.integers(0, 10_000))
def test_turning_the_question_round_turns_the_diagram_round(seed):
    p, true = forecasts(seed, 80)
    p = np.clip(p, 1e-3, 1 - 1e-3)
    there, gone = Reliability.of(p, true), Reliability.of(1 - p, ~true)
    for name in ("ece", "mce", "brier", "nll"):
        assert getattr(there, name) == pytest.approx(getattr(gone, name), abs=1e-9)


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_kinds_are_counted_apart_and_together(seed, kinds):
    p, true = forecasts(seed, 80)
    kind = np.random.default_rng(seed).integers(0, kinds, 80)
    found = Reliability.sorted(p, true, kind, kinds)
    for number in range(kinds):
        one, alone = found.among([number]), Reliability.of(p[kind == number], true[kind == number])
        assert (one.n, one.ece) == (alone.n, pytest.approx(alone.ece))
    assert found.among(range(kinds)).nll == pytest.approx(Reliability.of(p, true).nll)


@given(st.integers(0, 10_000), st.integers(2, 20))
def test_bins_of_equal_mass_hold_about_as_many(seed, bins):
    p, true = forecasts(seed, 5000, sharpness=0.2)
    found = Reliability.of(p, true).fine
    merged = found.merged(bins)
    assert merged.count.sum() == found.count.sum() == 5000
    assert merged.forecast.sum() == pytest.approx(p.sum())
    assert abs(merged.count - 5000 / bins).max() <= found.count.max()


def test_sure_forecasts_are_told_apart_where_masses_are_equal():
    """99.9 % and 99.99 % share a bin of equal width; a model that errs among the surest is found out."""
    p = np.repeat([0.999, 0.9999], 10_000)
    true = np.ones(20_000, bool)
    true[10_000:10_200] = False
    found = Reliability.of(p, true, bins=15)
    assert found.adaptive == pytest.approx((0.001 + 0.0199) / 2, abs=1e-6)
    assert found.ece == pytest.approx(0.99945 - 0.99, abs=1e-6)
    assert found.ece < found.adaptive


# --- edges


def test_zero_and_one_are_in_the_outermost_bins():
    for kind in (np.float32, np.float64):
        found = Reliability.of(np.array([0, 1, 1], kind), np.array([False, True, True]))
        assert found.wide.count[[0, -1]].tolist() == [1, 2]
        assert found.fine.count[[0, FINE - 1]].tolist() == [1, 2]
        assert (found.ece, found.mce, found.brier, found.nll) == (0, 0, 0, 0)


def test_what_was_called_impossible_and_happened_costs_much_but_not_infinitely():
    found = Reliability.of(np.array([0.0]), np.array([True]))
    assert found.nll == pytest.approx(12 * np.log(10))
    assert (found.ece, found.brier) == (1, 1)


def test_a_forecast_at_an_edge_belongs_to_the_upper_bin():
    found = Reliability.of(np.array([0.2, 0.4], np.float32), np.array([True, True]), bins=5)
    assert found.wide.count.tolist() == [0, 1, 1, 0, 0]
    assert edges(5) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8, 1])


def test_of_no_forecasts_nothing_is_said():
    found = Reliability.of(np.empty(0), np.empty(0, bool))
    assert found.n == 0
    for name in ("ece", "ace", "mce", "adaptive", "brier", "nll", "forecast", "frequency"):
        assert getattr(found, name) is None
