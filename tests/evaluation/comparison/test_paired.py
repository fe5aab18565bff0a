import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from delineate.errors import DataError
from delineate.evaluation.comparison.paired import Differences, holm, permutation_p, smallest_p, wilcoxon_p
from delineate.evaluation.statistics import Bootstrap

GOLDEN = json.loads((Path(__file__).parent / "golden" / "paired.json").read_text())


def rng(seed=0):
    return np.random.default_rng(seed)


def differences(first, second=None, groups=None):
    first = np.asarray(first, float)
    second = np.zeros_like(first) if second is None else np.asarray(second, float)
    groups = [str(n) for n in range(len(first))] if groups is None else groups
    return Differences.of(first, second, Bootstrap.drawn(list(groups), rng(1), draws=200))


def exact(values):
    return stats.permutation_test(
        (values,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=False
    ).pvalue


# --- the tests


@pytest.mark.parametrize("count", [2, 5, 9, 12])
def test_of_few_patients_all_signs_are_tried_as_scipy_does(count):
    values = rng(count).normal(0.3, 1, count)
    (found,) = permutation_p([differences(values)], rng())
    assert found == pytest.approx(exact(values), rel=1e-12)


def test_equal_sums_count_however_they_are_rounded():
    values = np.array([0.1, 0.2, 0.3, -0.1, 0.4, 0.1])
    (found,) = permutation_p([differences(values)], rng())
    assert found == pytest.approx(exact((values * 10).round()))


def test_of_many_patients_the_random_signs_come_close_to_all_of_them():
    values = rng(3).normal(0.25, 1, 18)
    (found,) = permutation_p([differences(values)], rng(4))
    sums = np.array([0.0])
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    truth = np.mean(np.abs(sums) >= abs(values.sum()) - 1e-9)
    assert found == pytest.approx(truth, abs=3 * np.sqrt(truth * (1 - truth) / 10_000))


def test_the_smallest_p_of_random_signs_is_not_zero():
    (found,) = permutation_p([differences(np.ones(40))], rng())
    assert found == pytest.approx(1e-4)
    many = permutation_p([differences(np.ones(40))] * 300, rng())
    assert max(many) * 300 <= 0.0101  # still provable after Holm


def test_the_same_generator_gives_the_same_p():
    found = [differences(rng(n).normal(0, 1, 30)) for n in range(3)]
    assert permutation_p(found, rng(5)) == permutation_p(found, rng(5))


@pytest.mark.parametrize("golden", GOLDEN["wilcoxon"], ids=lambda g: f"{len(g['first'])}")
def test_signed_ranks_and_effect_are_those_of_pingouin(golden):
    found = differences(golden["first"], golden["second"])
    assert wilcoxon_p(found) == pytest.approx(golden["p"], rel=1e-9)
    assert found.effect == pytest.approx(golden["effect"], rel=1e-9)


@given(st.integers(5, 60), st.integers(0, 50))
def test_signed_ranks_are_those_of_scipy(count, seed):
    values = rng(seed).normal(0.2, 1, count)
    assert wilcoxon_p(differences(values)) == stats.wilcoxon(values).pvalue


@given(st.integers(2, 25), st.integers(0, 50))
def test_exchanging_the_two_changes_signs_and_nothing_else(count, seed):
    first, second = rng(seed).random((2, count))
    here, there = differences(first, second), differences(second, first)
    assert permutation_p([here], rng(1)) == permutation_p([there], rng(1))
    assert wilcoxon_p(here) == wilcoxon_p(there)
    assert here.effect == pytest.approx(-there.effect)
    assert here.signs == (there.signs[1], there.signs[0], there.signs[2])
    low, high = here.estimate.interval()
    assert there.estimate.interval() == pytest.approx((-high, -low))


# --- patients


def test_scans_of_one_patient_change_sign_together():
    values = rng(2).normal(0.3, 1, 24)
    groups = [str(n // 3) for n in range(24)]
    (found,) = permutation_p([differences(values, groups=groups)], rng())
    assert found == pytest.approx(exact(values.reshape(8, 3).sum(1)))


def test_copies_of_scans_prove_nothing_more():
    values = rng(7).normal(0.4, 1, 10)
    once = differences(values)
    often = differences(np.repeat(values, 6), groups=[str(n // 6) for n in range(60)])
    assert permutation_p([often], rng()) == pytest.approx(permutation_p([once], rng()))
    assert wilcoxon_p(often) == wilcoxon_p(once)
    assert often.effect == pytest.approx(once.effect)
    assert often.signs == once.signs


def test_the_difference_of_a_patient_is_the_mean_of_its_cases_and_that_of_all_the_mean_of_cases():
    found = differences([1.0, 3.0, 8.0], groups="aab")
    assert found.means.tolist() == [2.0, 8.0]
    assert found.estimate.value == 4.0
    assert found.shares.sum() == pytest.approx(4.0)


def test_a_case_counts_only_where_both_have_a_value():
    found = differences([0.9, np.nan, 0.8, np.nan], [0.8, 0.5, np.nan, np.nan])
    assert found.by_patient == pytest.approx([0.1])
    assert found.estimate.patients == 1
    assert differences([np.nan, 0.5], [0.5, np.nan]) is None


def test_over_structures_the_mean_of_their_mean_differences_is_tested():
    bootstrap = Bootstrap.drawn(list("abcdefgh"), rng(1), draws=200)
    liver, cyst = rng(3).normal(0.5, 1, 8), rng(4).normal(0.2, 1, 8)
    cyst[5:] = np.nan
    parts = [Differences.of(each, np.zeros(8), bootstrap) for each in (liver, cyst)]
    both = Differences.average(parts)
    assert both.estimate.value == pytest.approx((liver.mean() + cyst[:5].mean()) / 2)
    assert both.shares.sum() == pytest.approx(both.estimate.value)
    assert both.means[7] == liver[7]
    assert both.means[0] == pytest.approx((liver[0] + cyst[0]) / 2)
    weights = liver / 16 + np.nan_to_num(cyst) / 10
    assert permutation_p([both], rng())[0] == pytest.approx(exact(weights))


# --- degenerate


def test_where_nothing_differs_nothing_is_proven():
    same = differences(np.full(20, 0.9), np.full(20, 0.9))
    assert permutation_p([same], rng()) == [1.0]
    assert wilcoxon_p(same) == 1.0
    assert same.effect is None
    assert same.signs == (0, 0, 20)
    assert same.estimate.interval() == (0.0, 0.0)


def test_one_patient_proves_nothing():
    one = differences([0.9], [0.1])
    assert permutation_p([one], rng()) == [1.0]
    assert wilcoxon_p(one) == 1.0
    assert one.effect == 1.0
    assert one.estimate.interval() is None


@pytest.mark.parametrize("count", [1, 3, 6, 10])
def test_the_smallest_p_is_that_of_differences_of_one_sign(count):
    assert permutation_p([differences(np.arange(1.0, count + 1))], rng())[0] == smallest_p(count)


# --- many


@pytest.mark.parametrize("golden", GOLDEN["holm"], ids=lambda g: f"{len(g['p'])}")
def test_holm_is_that_of_statsmodels(golden):
    assert holm(golden["p"]) == pytest.approx(golden["adjusted"], abs=1e-12)


def test_what_was_not_tested_is_not_counted():
    assert holm([0.04, None, 0.01]) == (0.04, None, 0.02)
    assert holm([None]) == (None,)
    assert holm([]) == ()


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_keeps_the_order_and_lies_between_the_p_and_bonferroni(values):
    adjusted = holm(values)
    for p, q in zip(values, adjusted, strict=True):
        assert p <= q <= min(1.0, p * len(values)) + 1e-15
    order = np.argsort(values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_a_number_that_is_no_p_is_refused():
    with pytest.raises(DataError, match=r"a p-value lies between 0 and 1, got 1\.2"):
        holm([0.1, 1.2])


# --- how often it errs


def errors(test, repeats, *, count=12, copies=1, shift=0.0):
    """How often p < 0.05 for two models, the second of which is `shift` worse on average."""
    groups = [str(n // copies) for n in range(count * copies)]
    bootstrap = Bootstrap.drawn(groups, rng(0), draws=2)
    found = []
    for seed in range(repeats):
        g = rng((seed, count))
        patient = np.repeat(g.standard_t(3, count), copies)  # heavy tails: some patients differ a lot
        values = patient + 0.1 * g.normal(size=count * copies) + shift
        found.append(Differences.of(values, np.zeros_like(values), bootstrap))
    p = permutation_p(found, rng(9)) if test == "permutation" else [wilcoxon_p(each) for each in found]
    return np.mean(np.array(p) < 0.05)


@pytest.mark.parametrize("test", ["permutation", "wilcoxon"])
@pytest.mark.parametrize(("count", "copies"), [(12, 1), (30, 1), (10, 4)])
def test_of_equal_models_one_in_twenty_is_called_different(test, count, copies):
    assert 0.03 <= errors(test, 1000, count=count, copies=copies) <= 0.07


@pytest.mark.parametrize("test", ["permutation", "wilcoxon"])
def test_a_large_difference_is_found_and_more_patients_find_more(test):
    few, many = (errors(test, 300, count=count, shift=1.0) for count in (10, 40))
    assert 0.2 < few < many
    assert many > 0.85
