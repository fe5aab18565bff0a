import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from delineate.evaluation.comparison.ranking import mean_ranks, rank
from delineate.evaluation.statistics import Bootstrap


def rng(seed=0):
    return np.random.default_rng(seed)


def bootstrap(cases, draws=500):
    return Bootstrap.drawn([str(n) for n in range(cases)], rng(1), draws=draws)


def models(*shifts, cases=40, structures=2, noise=0.05, seed=0):
    """Values (model, structure, case): the same hard cases for all."""
    g = rng(seed)
    hard = g.normal(0.8, 0.1, (structures, cases))
    return np.array([hard + shift + noise * g.normal(size=hard.shape) for shift in shifts])


def ranked(names, values, best="high"):
    return rank(names, values, bootstrap(values.shape[2]), metric="dice", best=best)


def test_the_best_mean_comes_first_and_clear_orders_are_stable():
    found = ranked("abc", models(0.0, 0.2, 0.1))
    assert found.names == ("b", "c", "a")
    assert [place.place for place in found.places] == [1, 2, 3]
    assert [place.first for place in found.places] == [1, 0, 0]
    assert (found.tau, found.tau_low) == (1, 1)
    assert found.is_the_same_by_ranks


def test_where_less_is_better_the_order_is_turned():
    found = ranked("abc", models(0.0, 0.2, 0.1), best="low")
    assert found.names == ("a", "c", "b")
    assert found.places[0].mean == pytest.approx(models(0.0, 0.2, 0.1)[0].mean())


def test_an_order_of_equals_is_that_of_the_draw():
    shares = np.mean(
        [[p.first for p in ranked("ab", models(0, 0, seed=seed)).places] for seed in range(20)], axis=0
    )
    assert shares.sum() == pytest.approx(1)
    assert 0.5 < shares[0] < 0.95  # who is ahead in all patients is ahead in more than half of the draws
    assert ranked("ab", models(0, 0)).tau < 0.9


@given(st.integers(2, 5), st.integers(0, 30))
def test_places_of_draws_are_those_of_their_means_and_tau_that_of_scipy(count, seed):
    values = models(*rng(seed).normal(0, 0.02, count), seed=seed, structures=1, cases=9)
    draws = bootstrap(9, draws=30)
    found = rank([str(n) for n in range(count)], values, draws, metric="dice", best="high")
    means = values[:, 0].mean(axis=1)
    again = np.array([draws.means(values[n, 0]) for n in range(count)]).T
    taus = [stats.kendalltau(row, means).statistic for row in again]
    assert found.tau == pytest.approx(np.mean(taus))
    winners = np.bincount(again.argmax(axis=1), minlength=count) / 30
    assert {p.name: p.first for p in found.places} == {str(n): winners[n] for n in range(count)}
    for place in found.places:
        assert sum(place.shares) == pytest.approx(1)


def test_tau_counts_ties_as_scipy_does():
    values = np.array([[[0.9, 0.8, 0.7]], [[0.9, 0.8, 0.7]], [[0.5, 0.9, 0.6]]])
    draws = bootstrap(3, draws=40)
    found = rank("abc", values, draws, metric="dice", best="high")
    again = np.array([draws.means(values[n, 0]) for n in range(3)]).T
    taus = [stats.kendalltau(row, values[:, 0].mean(axis=1)).statistic for row in again]
    assert found.tau == pytest.approx(np.nanmean(taus))


def test_equal_models_share_a_place():
    values = models(0.0, 0.1)
    found = ranked("abc", np.array([values[0], values[1], values[1]]))
    assert [place.place for place in found.places] == [1, 1, 3]
    assert [place.first for place in found.places] == [1, 1, 0]
    same = ranked("ab", np.array([values[0], values[0]]))
    assert same.tau is None
    assert same.tau_low is None


def test_means_are_over_cases_that_every_model_has_a_value_in():
    values = np.array([[[0.9, 0.1, 0.8]], [[0.8, np.nan, 0.7]]])
    found = ranked("ab", values)
    assert (found.cases, found.patients) == (2, 2)
    assert [place.mean for place in found.places] == pytest.approx([0.85, 0.75])
    assert ranked("ab", np.array([[[0.9, np.nan]], [[np.nan, 0.8]]])) is None


def test_a_structure_that_nobody_has_is_left_out():
    values = np.concatenate([models(0, 0.1, structures=1), np.full((2, 1, 40), np.nan)], axis=1)
    assert ranked("ab", values) == ranked("ab", values[:, :1])


def test_ranks_in_cases_are_those_of_scipy_and_missing_is_the_last():
    values = rng(3).integers(0, 4, (4, 1, 20)) / 4
    peer = stats.rankdata(-values[:, 0], axis=0).mean(axis=1)
    assert mean_ranks(values) == pytest.approx(peer)
    missing = np.array([[[0.5, np.nan]], [[np.nan, np.nan]], [[0.7, np.nan]]])
    assert mean_ranks(missing).tolist() == [2, 3, 1]


def test_an_order_that_ranks_do_not_share_is_told():
    """One failure costs a mean much and a rank little."""
    often_better = np.array([0.9] * 9 + [0.0])
    found = ranked("ab", np.array([[often_better], [np.full(10, 0.88)]]))
    assert found.names == ("b", "a")
    assert not found.is_the_same_by_ranks


def test_scans_of_one_patient_are_drawn_together():
    groups = [str(n // 10) for n in range(40)]
    draws = Bootstrap.drawn(groups, rng(1), draws=500)
    patient = np.repeat(rng(5).normal(0.02, 0.05, 4), 10)
    values = np.array([[np.full(40, 0.8)], [0.8 + patient]])
    clustered = rank("ab", values, draws, metric="dice", best="high")
    naive = ranked("ab", values)
    assert clustered.patients == 4
    assert abs(clustered.places[0].first - 0.5) < abs(naive.places[0].first - 0.5)
