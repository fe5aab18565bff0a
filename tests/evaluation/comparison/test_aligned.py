import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation.comparison import Aligned
from delineate.evaluation.scores import report_of


def aligned(*reports, **options):
    return Aligned.of(dict(zip("ABC", reports, strict=False)), **options)


def without(report, cases=(), structures=()):
    """The report as if some cases or structures had not been measured."""
    rows = [row for row in report.rows if row.case not in cases and row.structure not in structures]
    groups = {case: patient for case, patient in report.groups.items() if case not in cases}
    g = np.random.default_rng(0)
    return report_of(rows, title=report.title, rules=report.rules, groups=groups, rng=g)


def by_other_rules(report, **rules):
    return report.but(rules=report.rules.but(**rules))


def test_reports_of_the_same_cases_are_laid_side_by_side(made_model):
    found = aligned(made_model(seed=1), made_model(seed=2))
    assert found.cases == made_model().cases
    assert found.structures == ("liver", "spleen")
    assert found.notes == ()
    (dice, *_) = found.metrics()
    values = found.values(dice)
    assert values.shape == (2, 2, 40)
    assert values[1, 0].tolist() == list(made_model(seed=2).values("liver", "dice").values())


def test_cases_in_another_order_are_the_same_cases(made_model):
    one, other = made_model(seed=1), made_model(seed=2)
    turned = other.but(
        cases=other.cases[::-1], rows=other.rows[::-1], groups=dict(list(other.groups.items())[::-1])
    )
    (dice, *_) = aligned(one, other).metrics()
    assert np.array_equal(aligned(one, turned).values(dice), aligned(one, other).values(dice))


def test_what_is_compared_is_the_usual_unless_something_is_wanted(made_model):
    found = aligned(made_model(), made_model(seed=2))
    assert [judged.metric for judged in found.metrics()] == ["dice", "hd95", "volume_error_relative"]
    assert [judged.metric for judged in found.metrics(["hd95"])] == ["hd95"]
    error = found.metrics(["volume_error_relative"])[0]
    assert (error.title, error.best) == ("|Relative volume error|", "low")
    assert error.definition == "size of: (prediction less reference) / reference"
    assert np.all(found.values(error) >= 0)


@pytest.mark.parametrize("wanted", ["nsd", "volume_reference", "volume_prediction", "style"])
def test_what_was_not_measured_or_is_no_judgement_is_refused(made_model, wanted):
    with pytest.raises(
        DataError, match=rf"cannot compare by {wanted}: .* is dice, volume_error_relative, hd95\."
    ):
        aligned(made_model(), made_model(seed=2)).metrics([wanted])


def test_reports_without_a_judgement_in_common_are_refused(made_report):
    one = made_report({"liver": {"dice": [0.9, 0.8]}})
    other = made_report({"liver": {"hd95": [3.0, 4.0]}})
    with pytest.raises(DataError, match=r"cannot compare by nothing: .* is nothing\."):
        aligned(one, other).metrics()


def test_other_rules_are_refused_and_named(made_model):
    one, other = made_model(), by_other_rules(made_model(seed=2), missed="diagonal", tolerance_mm=2.0)
    with pytest.raises(
        DataError,
        match=r"A and B were measured by different rules: missed 'missing' and 'diagonal'; "
        r"tolerance_mm 1\.0 and 2\.0",
    ):
        aligned(one, other)


def test_rules_that_change_no_value_may_differ(made_model):
    aligned(made_model(), by_other_rules(made_model(seed=2), interval="t", regrid=True))


def test_other_cases_are_refused_unless_those_in_common_will_do(made_model):
    one, other = made_model(), without(made_model(seed=2), cases=["case_003", "case_007"])
    with pytest.raises(
        DataError,
        match=r"different cases, 38 in common; only A: case_003, case_007\.\n.*--common.*will profit",
    ):
        aligned(one, other)
    found = aligned(one, other, common=True)
    assert len(found.cases) == 38
    assert found.notes == ("38 cases in common were compared; left out: only A: case_003, case_007.",)


def test_no_case_in_common_is_refused(made_model):
    one = made_model()
    half = without(one, cases=one.cases[:20]), without(one, cases=one.cases[20:])
    with pytest.raises(DataError, match=r"no case in common\. A: case_020, .* and 15 more; B: case_000, "):
        aligned(*half, common=True)


def test_structures_that_one_lacks_are_named(made_model):
    found = aligned(made_model(), without(made_model(seed=2), structures=["liver"]))
    assert found.structures == ("spleen",)
    assert found.notes == ("not compared, because one lacks it: liver.",)
    with pytest.raises(DataError, match=r"no structure in common\. A: spleen; B: liver\."):
        aligned(without(made_model(), structures=["liver"]), without(made_model(), structures=["spleen"]))


def test_other_references_are_refused(made_model):
    one, other = made_model(), made_model(seed=2)
    odd = [
        row.but(value=10.2) if (row.case, row.metric) == ("case_004", "volume_reference") else row
        for row in other.rows
    ]
    with pytest.raises(
        DataError,
        match=r"different references: case_004, liver: 10 ml and 10\.2 ml; 2 such structures in all",
    ):
        aligned(one, other.but(rows=tuple(odd)))


def test_patients_that_only_one_knows_are_taken_from_it(made_model):
    patients = [f"patient {n // 2}" for n in range(40)]
    found = aligned(made_model(), made_model(seed=2, patients=patients))
    assert found.groups["case_003"] == "patient 1"
    assert found.notes == ("A knows no patients: they are those of B.",)


def test_patients_that_are_not_the_same_are_refused(made_model):
    one, other = (made_model(patients=[f"p{n // size}" for n in range(40)]) for size in (2, 4))
    with pytest.raises(DataError, match="do not agree whose case case_002 is: p1 and p0"):
        aligned(one, other)


# --- values that only one has


def test_left_out_means_that_nothing_is_made_up(made_model):
    found = aligned(made_model(), made_model(seed=2, missed=[3]))
    hd95 = found.metrics(["hd95"])[0]
    assert np.isnan(found.values(hd95)[1, 0, 3])
    assert not np.isnan(found.values(hd95)[0, 0, 3])


def test_judged_a_miss_is_the_worst_that_any_model_has(made_model):
    found = aligned(made_model(), made_model(seed=2, missed=[3]))
    hd95 = found.metrics(["hd95"])[0]
    plain, judged = found.values(hd95), found.values(hd95, "judged")
    assert judged[1, 0, 3] == np.nanmax(plain[:, 0])
    assert judged[1, 1, 3] == np.nanmax(plain[:, 1])
    there = ~np.isnan(plain)
    assert np.array_equal(judged[there], plain[there])


def test_judged_rightly_nothing_is_the_best_there_is(made_report):
    """Two cases without a lesion: A finds none, B invents some."""

    def lesions(dice, hd95, volumes):
        return made_report(
            {
                "lesion": {
                    "dice": dice,
                    "hd95": hd95,
                    "volume_reference": [5.0, 0.0, 0.0],
                    "volume_prediction": volumes,
                }
            }
        )

    right = lesions([0.8, None, None], [2.0, None, None], [5.0, 0.0, 0.0])
    wrong = lesions([0.7, 0.0, None], [3.0, None, None], [4.0, 2.0, 0.0])
    found = aligned(right, wrong)
    dice, hd95 = found.metrics()
    assert np.array_equal(found.values(dice)[:, 0], [[0.8, np.nan, np.nan], [0.7, 0, np.nan]], equal_nan=True)
    assert np.array_equal(
        found.values(dice, "judged")[:, 0], [[0.8, 1, np.nan], [0.7, 0, np.nan]], equal_nan=True
    )
    assert np.array_equal(found.values(hd95, "judged"), found.values(hd95), equal_nan=True)  # neither has one
