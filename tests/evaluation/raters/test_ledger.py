"""Rows become columns over the cases, and columns means."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from delineate.evaluation.raters.ledger import Ledger, chance, mean_of, median_of
from delineate.evaluation.raters.readings import CaseReadings, Pairing
from delineate.evaluation.statistics import Bootstrap

tables = hnp.arrays(float, (4, 5), elements=st.one_of(st.just(np.nan), st.floats(-9, 9)))


def bootstrap(groups):
    return Bootstrap.drawn(groups, np.random.default_rng(0))


def pairing(case, dice, bias):
    return Pairing(
        case=case, structure="s", one="ann", other="bob", dice=dice, kappa=None, hd95_mm=None,
        volume_bias=bias, offset_mm=None,
    )  # fmt: skip


@pytest.fixture
def ledger():
    rows = [CaseReadings((pairing("a", 0.8, 0.1),), (), ()), CaseReadings((pairing("c", 0.6, -0.3),), (), ())]
    groups = {"a": "p", "b": "p", "c": "q"}
    return Ledger.of(rows, groups, np.random.default_rng(0))


def test_a_column_has_a_place_for_every_case(ledger):
    np.testing.assert_array_equal(ledger.pair("s", "ann", "bob", "dice"), [0.8, np.nan, 0.6])


def test_asked_the_other_way_round_only_signed_values_turn(ledger):
    np.testing.assert_array_equal(ledger.pair("s", "bob", "ann", "dice"), [0.8, np.nan, 0.6])
    np.testing.assert_array_equal(ledger.pair("s", "bob", "ann", "volume_bias"), [-0.1, np.nan, 0.3])


def test_readers_who_never_met_have_an_empty_column(ledger):
    assert np.isnan(ledger.pair("s", "ann", "eve", "dice")).all()
    assert np.isnan(ledger.reading("s", "eve", "dice")).all()
    assert ledger.average(ledger.pair("s", "ann", "eve", "dice")).n == 0


def test_the_interval_for_a_verdict_is_the_outermost_of_two(ledger):
    rng = np.random.default_rng(4)
    values = rng.exponential(size=12)
    many = Ledger.of([], {str(n): str(n) for n in range(12)}, rng)
    ends = [many.bootstrap.mean(values).interval(method) for method in ("bca_expanded", "t")]
    widest = many.widest(values)
    assert (widest.low, widest.high) == (min(e[0] for e in ends), max(e[1] for e in ends))
    assert widest.mean == pytest.approx(values.mean())
    one = Ledger.of([], {"a": "p"}, rng).widest(np.array([3.0]))
    assert (one.mean, one.low, one.patients) == (3.0, None, 1)


@given(tables)
def test_means_and_medians_are_of_what_is_there(table):
    for column, mean, median in zip(table.T, mean_of(list(table)), median_of(list(table)), strict=True):
        there = column[~np.isnan(column)]
        if not len(there):
            assert np.isnan(mean)
            assert np.isnan(median)
        else:
            assert mean == pytest.approx(there.mean())
            assert median == pytest.approx(np.median(there))


def test_chance_is_that_of_a_t_test_over_patients():
    values = np.random.default_rng(1).normal(0.4, 1, 15)
    expected = stats.ttest_1samp(values, 0).pvalue
    assert chance(bootstrap(list("abcdefghijklmno")).mean(values)) == pytest.approx(expected)


def test_ten_scans_of_a_patient_are_no_ten_patients():
    values = np.repeat(np.random.default_rng(1).normal(0.4, 1, 6), 10)
    one_each = chance(bootstrap([str(n) for n in range(60)]).mean(values))
    clustered = chance(bootstrap([str(n // 10) for n in range(60)]).mean(values))
    assert clustered > 10 * one_each


def test_chance_needs_two_patients_and_knows_constants():
    two = bootstrap(["a", "b"])
    assert chance(bootstrap(["a"]).mean(np.array([1.0]))) is None
    assert chance(two.mean(np.array([np.nan, np.nan]))) is None
    assert chance(two.mean(np.zeros(2))) == 1.0
    assert chance(two.mean(np.full(2, 0.25))) == 0.0
