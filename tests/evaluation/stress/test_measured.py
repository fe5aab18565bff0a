"""What shifts cost: against the same case clean, with intervals, and which breaks the model first."""

import json

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import Rules, evaluate
from delineate.evaluation.stress import stress_of, stress_page, write_stress
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((20, 10, 10), np.eye(4))
SCHEMA = LabelSchema.of("liver", "lesion")
CASES = tuple(f"case_{n}" for n in range(6))
RULES = Rules(metrics=("dice", "hd95"))


def _report(lost, rules=RULES):
    """Predictions that lack so many planes of ten, one more in every second case."""

    def load(case):
        reference = np.zeros(GRID.shape, np.uint8)
        reference[2:12, 2:8, 2:6] = 1
        reference[2:12, 2:8, 6:8] = 2
        found = reference.copy()
        found[2 : 2 + min(10, lost + int(case[-1]) % 2)] = 0
        return (LabelMap(reference, GRID, SCHEMA), LabelMap(found, GRID, SCHEMA))

    return evaluate(CASES, load, rules=rules)


KINDS = [
    ("blur", "blur", "a Gaussian", ("1 mm", "2 mm", "3 mm")),
    ("noise", "noise", "Rician", ("2 %", "4 %", "8 %")),
    ("gamma", "gamma", "a power", ("1.5",)),
]


@pytest.fixture(scope="module")
def found():
    shifted = {("blur", n): _report(n - 1) for n in (1, 2, 3)}
    shifted |= {("noise", n): _report(2 * n) for n in (1, 2, 3)}
    shifted |= {("gamma", 1): _report(0)}
    return stress_of(_report(0), shifted, KINDS, title="Livers under stress", modality="mr")


def test_the_loss_is_that_of_each_case_against_itself(found):
    cell = found.cell("noise", 1, "liver")
    clean = [1.0, 2 * 9 / 19] * 3
    shifted = [2 * 8 / 18, 2 * 7 / 17] * 3
    assert cell.mean == pytest.approx(np.mean(shifted))
    assert cell.loss == pytest.approx(np.mean(np.subtract(clean, shifted)))
    assert cell.loss_low < cell.loss < cell.loss_high
    assert cell.loss_high - cell.loss_low < cell.high - cell.low  # patients differ, their losses less


def test_a_distance_that_grows_is_a_loss_too(found):
    assert found.cell("noise", 3, "liver", "hd95").loss > 0
    assert found.cell("noise", 3, None, "hd95").loss > 0


def test_the_corruption_error_is_the_mean_over_severities(found):
    noise = next(kind for kind in found.kinds if kind.kind == "noise")
    means = [found.cell("noise", n, None).mean for n in (1, 2, 3)]
    assert noise.error == pytest.approx(1 - np.mean(means))
    assert noise.relative_error == pytest.approx(found.cell("clean", 0, None).mean - np.mean(means))
    assert noise.relative_low < noise.relative_error < noise.relative_high
    assert noise.worst == pytest.approx(found.cell("noise", 3, None).loss)


def test_the_kind_that_breaks_at_the_lowest_severity_comes_first(found):
    assert [kind.kind for kind in found.kinds] == ["noise", "blur", "gamma"]
    assert [kind.breaks_at for kind in found.kinds] == [1, 3, None]
    assert found.kinds[0].is_proven
    assert found.verdict.startswith("Noise breaks it first: at severity 1 (2 %) 0.117 Dice are lost")


def test_a_model_that_nothing_breaks_is_told_what_costs_most():
    found = stress_of(
        _report(0),
        {("gamma", 1): _report(0)},
        KINDS[2:],
        title="t",
        modality="mr",
        notes=("one was refused",),
    )
    assert found.verdict == ("No shift costs 0.1 Dice at any severity; the most is lost to gamma (0.000).")
    assert "- one was refused" in found.to_markdown()


def test_ties_are_named_together():
    shifted = {("blur", 1): _report(4), ("gamma", 1): _report(4)}
    kinds = [("blur", "blur", "", ("1 mm",)), ("gamma", "gamma", "", ("2",))]
    found = stress_of(_report(0), shifted, kinds, title="t", modality="mr")
    assert "at the same severity also gamma" in found.verdict


def test_one_patient_proves_nothing():
    def load(case):
        reference = np.zeros(GRID.shape, np.uint8)
        reference[2:12] = 1
        return LabelMap(reference, GRID, SCHEMA), LabelMap(np.zeros_like(reference), GRID, SCHEMA)

    good = evaluate(("a",), lambda case: (load(case)[0],) * 2)
    shifted, kinds = {("blur", 1): evaluate(("a",), load)}, [("blur", "blur", "", ("1 mm",))]
    found = stress_of(good, shifted, kinds, title="t", modality="mr")
    assert not found.kinds[0].is_proven
    assert "which so few patients do not prove" in found.verdict
    assert stress_page(found)


def test_it_is_written_for_people_and_machines(found, tmp_path):
    write_stress(found, tmp_path)
    assert json.loads((tmp_path / "stress.json").read_text())["modality"] == "mr"
    lines = (tmp_path / "stress.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 3 * (1 + 3 + 3 + 1)  # metrics, structures and their mean, severities
    assert "| noise | 0.974" in (tmp_path / "stress.md").read_text()
    page = stress_page(found)
    assert page.count("<svg") == 1
    assert "Noise breaks it first" in page
    assert type(found).load(tmp_path / "stress.json") == found


def test_what_was_not_measured_is_refused(found):
    with pytest.raises(DataError, match="nothing was measured of liver by dice at severity 9 of 'blur'"):
        found.cell("blur", 9, "liver")


def test_reports_on_other_cases_are_refused():
    def load(case):
        empty = LabelMap(np.zeros(GRID.shape, np.uint8), GRID, SCHEMA)
        return empty, empty

    with pytest.raises(DataError, match="gamma at severity 1 is not about the same cases"):
        stress_of(_report(0), {("gamma", 1): evaluate(("x",), load)}, KINDS[2:], title="t", modality="mr")


def test_without_dice_there_is_nothing_to_tell():
    report = _report(0, Rules(metrics=("hd95",)))
    with pytest.raises(DataError, match="what shifts cost is told in Dice; measured were"):
        stress_of(report, {}, [], title="t", modality="mr")
