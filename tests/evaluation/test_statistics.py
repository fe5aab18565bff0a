import numpy as np
import pytest
from scipy import stats

from delineate.evaluation import Bootstrap
from delineate.evaluation.statistics import percentile_interval


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_interval_is_that_of_scipy():
    values = rng(1).normal(0.8, 0.1, 60)
    ours = Bootstrap.drawn([str(n) for n in range(60)], rng(2), draws=20000).interval(values)
    peer = stats.bootstrap((values,), np.mean, n_resamples=20000, method="percentile", rng=rng(3))
    assert ours == pytest.approx(tuple(peer.confidence_interval), abs=1e-3)


@pytest.mark.parametrize(("sd", "n", "half"), [(0.03, 100, 0.00588), (0.03, 200, 0.00416), (0.1, 50, 0.0277)])
def test_its_width_is_what_theory_says(sd, n, half):
    widths = []
    for seed in range(20):
        values = rng(seed).normal(0.8, sd, n)
        low, high = Bootstrap.drawn([str(k) for k in range(n)], rng(seed)).interval(values)
        widths.append((high - low) / 2)
    assert np.mean(widths) == pytest.approx(half, rel=0.08)


def test_it_holds_the_truth_as_often_as_it_says():
    bootstrap = Bootstrap.drawn([str(n) for n in range(60)], rng(0), draws=1000)
    hits = 0
    for seed in range(400):
        low, high = bootstrap.interval(rng(seed).normal(0.5, 0.2, 60))
        hits += low <= 0.5 <= high
    assert 0.91 <= hits / 400 <= 0.98


def test_ten_scans_of_one_patient_are_not_ten_patients():
    patients = np.repeat(rng(5).normal(0.8, 0.1, 12), 10)
    groups = [str(n // 10) for n in range(120)]
    low, high = Bootstrap.drawn(groups, rng(6)).interval(patients)
    naive_low, naive_high = Bootstrap.drawn([str(n) for n in range(120)], rng(6)).interval(patients)
    assert (high - low) > 2.5 * (naive_high - naive_low)


def test_missing_values_are_left_out_and_not_zero():
    values = np.array([0.5, np.nan, 0.7, np.nan, 0.6, 0.8])
    bootstrap = Bootstrap.drawn(list("abcdef"), rng(0))
    low, high = bootstrap.interval(values)
    assert 0.5 <= low < 0.65 < high <= 0.8
    assert np.isnan(bootstrap.means(np.full(6, np.nan))).all()


def test_one_patient_has_no_interval():
    bootstrap = Bootstrap.drawn(["a", "a", "b"], rng(0))
    assert bootstrap.interval(np.array([0.1, 0.2, np.nan])) is None
    assert bootstrap.interval(np.full(3, np.nan)) is None
    assert percentile_interval(np.full(5, np.nan)) is None


def test_one_generator_gives_the_same_draws():
    groups = list("abcd")
    assert np.array_equal(Bootstrap.drawn(groups, rng(9)).weights, Bootstrap.drawn(groups, rng(9)).weights)
    assert (Bootstrap.drawn(groups, rng(9)).weights.sum(axis=1) == 4).all()
