import numpy as np
import pytest
from scipy import stats

from delineate.dataset import Fold, Splits
from delineate.errors import DataError
from delineate.evaluation.subgroups import LeftOut, leave_one_site_out

MEANS = {"Bern": 0.90, "Lyon": 0.86, "Oslo": 0.94, "Rome": 0.70}


@pytest.fixture
def measured(made_report):
    values = [mean + offset for mean in MEANS.values() for offset in (-0.02, 0.0, 0.02)]
    report = made_report({"organ": {"dice": values, "hd95": [10 - 10 * v for v in values]}})
    column = dict(zip(report.cases, np.repeat(list(MEANS), 3).tolist(), strict=True))
    return report, column


def folds(column, leak=False):
    names = sorted(set(column.values()))
    parts = []
    for name in names:
        judged = tuple(case for case, site in column.items() if site == name)
        taught = tuple(case for case, site in column.items() if site != name)
        parts.append(
            Fold(train=(*taught, *(judged[:1] if leak else ())), validation=judged[1:] if leak else judged)
        )
    return Splits(mode="leave_one_site_out", folds=tuple(parts))


def test_what_to_expect_elsewhere_is_a_prediction_interval_over_sites(measured):
    report, column = measured
    found = leave_one_site_out(report, column, splits=folds(column))
    dice = found.elsewhere[0]
    means = np.array(list(MEANS.values()))
    assert (dice.sites, dice.mean) == (4, pytest.approx(means.mean()))
    half = stats.t.ppf(0.975, 3) * means.std(ddof=1) * (1 + 1 / 4) ** 0.5
    assert dice.low == pytest.approx(means.mean() - half)
    assert dice.high == 1.0  # a share is not larger
    assert found.verified
    assert [g.name for g in found.by_site.tables[0].groups] == ["Bern", "Lyon", "Oslo", "Rome"]


def test_the_worst_site_is_named_whatever_is_best(measured, made_report):
    report, column = measured
    dice, hd95 = leave_one_site_out(report, column).elsewhere
    assert (dice.worst, dice.worst_mean) == ("Rome", pytest.approx(0.70))
    assert (hd95.worst, hd95.worst_mean) == ("Rome", pytest.approx(3.0))
    signed = made_report({"organ": {"volume_error": [0.1, -5.0, 3.0]}})
    error = leave_one_site_out(signed, dict(zip(signed.cases, "abc", strict=True))).elsewhere[0]
    assert (error.worst, error.worst_mean) == ("b", -5.0)
    assert error.low < -5


def test_two_sites_tell_nothing_about_a_third(made_report):
    report = made_report({"organ": {"dice": [0.9, 0.8]}})
    found = leave_one_site_out(report, dict(zip(report.cases, "ab", strict=True)))
    assert (found.elsewhere[0].sites, found.elsewhere[0].low) == (2, None)
    assert "needs 3 sites" in found.to_markdown()


def test_a_site_without_any_value_does_not_count(made_report):
    report = made_report({"organ": {"dice": [0.9, None, None]}})
    found = leave_one_site_out(report, dict(zip(report.cases, "abc", strict=True)))
    assert found.elsewhere[0].sites == 1
    nothing = made_report({"organ": {"dice": [None]}})
    empty = leave_one_site_out(nothing, {nothing.cases[0]: "a"})
    assert (empty.elsewhere[0].sites, empty.elsewhere[0].mean) == (0, None)
    assert "| organ | Dice | 0 | - |" in empty.to_markdown()


def test_a_site_that_teaches_and_judges_is_refused(measured):
    report, column = measured
    with pytest.raises(DataError, match="fold 0: Bern both teaches and judges, so nothing here tells"):
        leave_one_site_out(report, column, splits=folds(column, leak=True))


def test_the_text_says_whether_anybody_looked(measured):
    report, column = measured
    checked = leave_one_site_out(report, column, splits=folds(column)).to_markdown()
    assert "Every site was judged by networks that have not learnt from it." in checked
    assert "| organ | Dice | 4 | 0.850 |" in checked
    assert "Rome: 0.700 |" in checked
    assert "## By site" in checked
    found = leave_one_site_out(report, column)
    assert "Nobody checked" in found.to_markdown()
    assert LeftOut.from_json(found.to_json(), where="here") == found
