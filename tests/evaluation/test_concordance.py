import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from delineate.errors import DataError
from delineate.evaluation.concordance import REACH, BlandAltman, intraclass, lin

GOLDEN = json.loads((Path(__file__).parent / "golden" / "concordance.json").read_text())
values = st.floats(-1e3, 1e3)
tables = st.tuples(st.integers(2, 8), st.integers(2, 4)).flatmap(
    lambda shape: hnp.arrays(float, shape, elements=values)
)

# --- Bland and Altman


@pytest.mark.parametrize("case", GOLDEN["limits"], ids=lambda case: f"{len(case['reference'])} cases")
def test_bias_and_limits_equal_statsmodels_and_pingouin(case):
    differences = np.array(case["prediction"]) - case["reference"]
    found = BlandAltman.of(differences)
    assert (found.lower, found.bias, found.upper) == pytest.approx(case["pingouin"])
    assert found.bias_interval == pytest.approx(case["bias_interval"])
    # statsmodels takes 1.96, and an sd that divides by n where Bland and Altman divide by n - 1
    shrunk = 1.96 * found.sd * np.sqrt((found.n - 1) / found.n)
    assert [found.bias - shrunk, found.bias, found.bias + shrunk] == pytest.approx(case["statsmodels"])


@given(hnp.arrays(float, st.integers(2, 20), elements=values), st.floats(-100, 100), st.floats(0.01, 100))
@settings(max_examples=60)
def test_limits_move_and_grow_with_the_differences(differences, shift, scale):
    one, other = BlandAltman.of(differences), BlandAltman.of(scale * differences + shift)
    for name in ("bias", "lower", "upper"):
        assert getattr(other, name) == pytest.approx(scale * getattr(one, name) + shift, rel=1e-9, abs=1e-6)
    mirrored = BlandAltman.of(-differences)
    assert mirrored.upper == pytest.approx(-one.lower)
    assert mirrored.upper_interval[1] == pytest.approx(-one.lower_interval[0])


@pytest.mark.parametrize("n", [3, 10, 40])
def test_intervals_hold_what_they_say_also_for_few_cases(n):
    rng = np.random.default_rng(n)
    found = [BlandAltman.of(rng.normal(1, 2, n)) for _ in range(2000)]
    for name, truth in (("bias", 1), ("lower", 1 - 2 * REACH), ("upper", 1 + 2 * REACH)):
        ends = np.array([getattr(one, f"{name}_interval") for one in found])
        covered = np.mean((ends[:, 0] <= truth) & (truth <= ends[:, 1]))
        assert covered == pytest.approx(0.95, abs=0.015)
    assert all(one.lower_interval[0] < one.lower < one.lower_interval[1] for one in found)


def test_one_difference_has_a_size_and_no_spread():
    found = BlandAltman.of([2.5])
    assert found.bias == 2.5
    assert found.sd is found.upper is found.upper_interval is found.bias_interval is None
    assert BlandAltman.of([]) is None


def test_equal_differences_have_limits_without_width():
    found = BlandAltman.of([0.5, 0.5, 0.5])
    assert (found.lower, found.upper, found.upper_interval) == (0.5, 0.5, (0.5, 0.5))
    assert BlandAltman.from_json(found.to_json(), where="here") == found


# --- ICC


@pytest.mark.parametrize("case", GOLDEN["icc"], ids=lambda case: f"{len(case['table'])} cases")
def test_icc_and_its_interval_equal_pingouin(case):
    found = intraclass(np.array(case["table"]))
    assert found.value == pytest.approx(case["value"], abs=1e-12)
    assert found.interval == pytest.approx(case["interval"], abs=1e-9)


def test_icc_of_shrout_and_fleiss_is_that_of_their_article():
    table = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]
    assert intraclass(np.array(table)).value == pytest.approx(0.29, abs=0.005)


@given(tables, st.floats(-100, 100), st.floats(0.1, 10))
@settings(max_examples=60)
def test_icc_does_not_depend_on_unit_origin_or_order(table, shift, scale):
    one = intraclass(table)
    other = intraclass((scale * table + shift)[::-1, ::-1])
    if one is not None and other is not None:
        assert other.value == pytest.approx(one.value, abs=1e-5)
        assert one.value <= 1 + 1e-12


def test_a_constant_error_lowers_agreement_though_correlation_is_perfect():
    truth = np.arange(10.0)
    assert intraclass(np.column_stack([truth, truth])).value == 1
    assert intraclass(np.column_stack([truth, truth])).interval == (1, 1)
    shifted = intraclass(np.column_stack([truth, truth + 3]))
    assert shifted.value == pytest.approx(9.1666667 / (9.1666667 + 4.5), abs=1e-3)
    assert 0 <= shifted.interval[0] < shifted.value < shifted.interval[1] <= 1
    doubled = intraclass(np.column_stack([truth, 2 * truth]))
    assert doubled.value < 0.75
    assert lin(truth, 2 * truth).value < 0.75


def test_the_interval_of_icc_holds_what_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(600):
        cases, raters, rest = rng.normal(0, 2, (25, 1)), rng.normal(0, 0.5, (1, 4)), rng.normal(0, 1, (25, 4))
        low, high = intraclass(cases + raters + rest).interval
        inside += low <= 4 / (4 + 0.25 + 1) <= high
    assert inside / 600 == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("table", [[[1, 2]], [[1], [2]], [[3, 3], [3, 3]]])
def test_there_is_no_icc_of_one_case_one_rater_or_equal_values(table):
    assert intraclass(np.array(table)) is None


def test_raters_who_differ_more_than_cases_have_no_agreement():
    found = intraclass(np.array([[1.0, 2], [2, 1], [1, 2], [2, 1]]))
    assert found.value < 0
    assert found.interval is None or found.interval[0] <= found.value <= found.interval[1]


@pytest.mark.parametrize(("table", "got"), [([[1, np.nan], [2, 3]], "one with gaps"), ([1, 2], "1 axes")])
def test_a_table_with_gaps_is_refused(table, got):
    with pytest.raises(DataError, match=f"whole table \\(case, rater\\), got {got}"):
        intraclass(np.array(table))


# --- Lin


@given(hnp.arrays(float, 12, elements=values), hnp.arrays(float, 12, elements=values))
@settings(max_examples=60)
def test_lin_is_one_less_the_distance_from_identity(a, b):
    found = lin(a, b)
    chance = a.var() + b.var() + (a.mean() - b.mean()) ** 2
    if found is not None and chance > 1e-6:
        assert found.value == pytest.approx(1 - ((a - b) ** 2).mean() / chance, abs=1e-9)
        assert lin(b, a).value == pytest.approx(found.value)


def test_lin_and_icc_come_together_for_many_cases():
    rng = np.random.default_rng(3)
    truth = rng.normal(10, 3, 500)
    a, b = truth + rng.normal(0, 1, 500), truth + 0.5 + rng.normal(0, 1, 500)
    assert lin(a, b).value == pytest.approx(intraclass(np.column_stack([a, b])).value, abs=2e-3)


def test_the_interval_of_lin_holds_what_it_says():
    rng = np.random.default_rng(1)
    inside = 0
    truth = 2 * 4 / (5 + 5 + 0.25)  # covariance 4, variances 5, shift one half
    for _ in range(1000):
        cases = rng.normal(0, 2, 60)
        low, high = lin(cases + rng.normal(0, 1, 60), cases + 0.5 + rng.normal(0, 1, 60)).interval
        inside += low <= truth <= high
    assert inside / 1000 == pytest.approx(0.95, abs=0.03)


def test_lin_where_there_is_little_to_compare():
    assert lin([], []) is None
    assert lin([2, 2], [2, 2]) is None
    assert lin([1, 2], [1, 3]).interval is None
    assert lin([1, 2, 3], [1, 2, 3]).interval == (1, 1)
    assert lin([1, 2, 3], [5, 5, 5]).value == 0
