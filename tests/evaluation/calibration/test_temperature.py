import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from delineate.errors import DataError
from delineate.evaluation.calibration import Temperature, tempered
from delineate.evaluation.calibration.temperature import Sample, fitted, sampled


def world(seed, n=4000, classes=3, heat=1.0, sharp=2.0):
    """Probabilities (class, n) of logits that are `heat` times too large, and what is there."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, sharp, (classes, n))
    truth = (softmax(logits, axis=0).cumsum(axis=0) < rng.random(n)).sum(axis=0)
    return softmax(logits * heat, axis=0), truth


def fit(p, truth, kept=10**9):
    return fitted([sampled(p, truth, np.random.default_rng(0), kept=kept)], ["a"])


# --- what a temperature does


probabilities = st.integers(0, 10_000).map(
    lambda seed: np.random.default_rng(seed).dirichlet(np.full(4, 0.3), 50).T
)


@given(probabilities, st.floats(0.05, 20))
def test_a_temperature_never_changes_what_is_most_probable(p, temperature):
    warm = tempered(p, temperature)
    winner = p.argmax(axis=0)
    assert (np.take_along_axis(warm, winner[None], axis=0)[0] == warm.max(axis=0)).all()
    assert warm.sum(axis=0) == pytest.approx(1)
    order = np.argsort(p, axis=0)
    assert (np.diff(np.take_along_axis(warm, order, axis=0), axis=0) >= -1e-15).all()


@given(probabilities, st.floats(0.05, 20))
def test_a_region_stays_on_its_side_of_one_half(p, temperature):
    warm = tempered(p, temperature, exclusive=False)
    assert ((p > 0.5) == (warm > 0.5)).all()
    assert ((warm >= 0) & (warm <= 1)).all()


@given(st.integers(0, 10_000), st.floats(0.2, 5))
def test_it_is_the_softmax_of_logits_divided_by_it(seed, temperature):
    logits = np.random.default_rng(seed).normal(0, 2, (3, 20))
    assert tempered(softmax(logits, axis=0), temperature) == pytest.approx(
        softmax(logits / temperature, axis=0)
    )
    sigmoid = 1 / (1 + np.exp(-logits))
    expected = 1 / (1 + np.exp(-logits / temperature))
    assert tempered(sigmoid, temperature, exclusive=False) == pytest.approx(expected)


@given(probabilities, st.floats(0.5, 2), st.floats(0.5, 2))
def test_two_temperatures_are_their_product(p, one, other):
    p = np.maximum(p, 1e-3)
    p /= p.sum(axis=0)
    assert tempered(tempered(p, one), other) == pytest.approx(tempered(p, one * other), abs=1e-6)


def test_one_changes_nothing_and_types_stay():
    p = np.array([[0.2], [0.8]], np.float32)
    assert tempered(p, 1.0) is p
    assert tempered(p, 2.0).dtype == np.float32
    assert tempered(p, 1e6) == pytest.approx(0.5, abs=1e-5)
    assert tempered(p, 1e-3)[1] == 1


def test_zeros_stay_next_to_zero():
    warm = tempered(np.array([[0.0], [1.0]], np.float32), 2.0)
    assert warm[:, 0] == pytest.approx([1e-6, 1], abs=2e-6)
    assert np.isfinite(tempered(np.array([[0.0, 1.0]]), 0.5, exclusive=False)).all()


@pytest.mark.parametrize("temperature", [0, -1, float("inf"), float("nan")])
def test_what_is_no_temperature_is_refused(temperature):
    with pytest.raises(DataError, match="a temperature is a number above 0, got"):
        tempered(np.ones((1, 1)), temperature)


# --- what it is


@pytest.mark.parametrize("heat", [0.5, 1.0, 2.0, 4.0])
def test_the_heat_that_was_put_in_is_found(heat):
    found = fit(*world(1, n=20_000, heat=heat))
    assert found.value == pytest.approx(heat, rel=0.05)
    assert found.after <= found.before
    assert found.note == ""


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_minimum_that_scipy_finds(seed):
    p, truth = world(seed, classes=4, heat=1.7)
    logs = np.log(p)

    def cost(beta):
        return -log_softmax(beta * logs, axis=0)[truth, np.arange(len(truth))].mean()

    best = minimize_scalar(cost, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-10})
    found = fit(p, truth)
    assert 1 / found.value == pytest.approx(best.x, rel=1e-5)
    assert found.after == pytest.approx(best.fun, abs=1e-6)
    assert found.before == pytest.approx(cost(1.0), abs=1e-6)


def test_a_sample_tells_about_what_all_voxels_tell():
    p, truth = world(5, n=60_000, heat=2.5, sharp=6)
    whole, some = fit(p, truth), fit(p, truth, kept=5000)
    assert some.value == pytest.approx(whole.value, rel=0.05)
    assert some.before == pytest.approx(whole.before, rel=0.1)


def test_a_sample_stands_for_all_voxels_that_somebody_knows():
    p, truth = world(6, n=3000, sharp=6)
    truth[:1000] = -1
    sample = sampled(p, truth, np.random.default_rng(0), kept=100)
    assert len(sample.truth) == 200
    assert sample.weight.sum() == pytest.approx(2000)
    assert (sample.truth >= 0).all()


def test_regions_are_questions_with_two_answers():
    rng = np.random.default_rng(7)
    logits = rng.normal(0, 2, 20_000)
    there = rng.random(20_000) < 1 / (1 + np.exp(-logits))
    hot = 1 / (1 + np.exp(-3 * logits))
    found = fit(np.stack([1 - hot, hot]), there.astype(int))
    assert found.value == pytest.approx(3, rel=0.05)


# --- how sure


def test_how_well_it_is_known_follows_from_the_cases_and_not_from_their_voxels():
    heats = (1.6, 1.8, 2.0, 2.2, 2.4)

    def found(n):
        samples = [
            sampled(*world(k, n=n, heat=heat), np.random.default_rng(k)) for k, heat in enumerate(heats)
        ]
        return fitted(samples, list("abcde"))

    few, many = found(1000), found(4000)
    for each in (few, many):
        assert each.low < 2.0 < each.high
    assert (many.high - many.low) == pytest.approx(few.high - few.low, rel=0.5)


def test_two_scans_of_a_patient_are_one_patient():
    samples = [sampled(*world(k, heat=1 + k / 4), np.random.default_rng(k)) for k in range(4)]
    apart, together = fitted(samples, list("abcd")), fitted(samples, list("aabb"))
    assert apart.value == pytest.approx(together.value)
    assert together.high - together.low > apart.high - apart.low
    assert fitted(samples, list("aaaa")).low is None


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    hits = 0
    for trial in range(40):
        samples = [
            sampled(*world(100 * trial + k, n=400, heat=2.0), np.random.default_rng(k)) for k in range(8)
        ]
        found = fitted(samples, list("abcdefgh"))
        hits += found.low <= 2.0 <= found.high
    assert hits >= 34


# --- where there is nothing to learn from


def test_forecasts_that_are_never_wrong_have_no_temperature():
    p = np.tile([[0.9], [0.1]], 500)
    found = fit(p, np.zeros(500, int))
    assert found.value == pytest.approx(0.05)
    assert found.note == "no temperature down to 0.05 is low enough: hardly anything is wrong"
    assert found.low is None


def test_forecasts_that_say_nothing_have_no_temperature():
    rng = np.random.default_rng(0)
    p = np.where(rng.random(4000) < 0.5, 0.99, 0.01)
    found = fit(np.stack([p, 1 - p]), np.arange(4000) % 2)
    assert found.value == pytest.approx(20)
    assert found.note == "no temperature up to 20 is high enough: the forecasts say nothing"


def test_without_a_voxel_that_somebody_knows_there_is_none():
    p, truth = world(0, n=10)
    with pytest.raises(DataError, match="fitted to annotated voxels, and there are none"):
        fit(p, np.full_like(truth, -1))


def test_a_temperature_lives_as_json():
    found = fit(*world(0, n=100))
    assert Temperature.from_json(found.to_json(), where="here") == found
    assert isinstance(sampled(*world(0, n=5), np.random.default_rng(0)), Sample)
