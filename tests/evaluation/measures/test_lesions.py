"""Lesion measures beside those of voxels: the same numbers as the lesions have, and why one is missing."""

import numpy as np
import pytest

from delineate.evaluation import MEASURES, LesionRules, Lesions, Rules, evaluate_case
from delineate.evaluation.measures.lesions import LESIONS
from delineate.space import Geometry, Label, LabelMap, LabelSchema

GRID = Geometry((30, 12, 12), np.eye(4))
SCHEMA = LabelSchema(labels=(Label(value=1, name="lesion"), Label(value=2, name="other")), ignore=9)
NAMES = tuple(measure.name for measure in LESIONS)


def labels(*boxes):
    """A label map of (value, start, stop) along the first axis, four voxels wide."""
    array = np.zeros(GRID.shape, np.uint8)
    for value, start, stop in boxes:
        array[start:stop, 4:8, 4:8] = value
    return LabelMap(array, GRID, SCHEMA)


REFERENCE = labels((1, 2, 6), (1, 12, 18))
PREDICTION = labels((1, 3, 6), (1, 24, 25))


def rows(reference, prediction, **rules):
    found = evaluate_case(reference, prediction, "a", rules=Rules(metrics=NAMES, **rules))
    return {row.metric: row for row in found if row.structure == "lesion"}


def test_they_are_those_of_the_lesions():
    for rules in (LesionRules(), LesionRules.brats("MET"), LesionRules(found="paired", overlap=0.5)):
        found = rows(REFERENCE, PREDICTION, lesions=rules)
        these = Lesions.of(REFERENCE.mask("lesion"), PREDICTION.mask("lesion"), GRID, rules)
        assert found["lesion_dice"].value == these.dice()
        assert found["lesion_hd95"].value == pytest.approx(these.hd95())
        assert found["lesion_recall"].value == these.detected.recall() == 0.5
        assert found["lesion_precision"].value == these.detected.precision() == 0.5
        assert found["lesion_f1"].value == these.detected.f1() == 0.5
        counts = [
            found[f"lesions_{name}"].value for name in ("reference", "prediction", "missed", "invented")
        ]
        assert counts == [2, 2, 1, 1]


def test_the_penalty_is_the_diagonal_of_the_scan_not_of_the_part_that_is_measured():
    found = rows(REFERENCE, labels())
    assert found["lesion_hd95"].value == pytest.approx((30**2 + 12**2 + 12**2) ** 0.5)


def test_the_rules_are_part_of_the_definition():
    rules = Rules(lesions=LesionRules.brats("GLI"))
    said = rules.definition(MEASURES["lesion_hd95"])
    assert said.endswith(
        "; 26 neighbours, joined within 3 dilations, above 50 mm³; missed or invented 374 mm"
    )
    assert (
        Rules().definition(MEASURES["lesion_hd95"]).endswith("; missed or invented the diagonal of the grid")
    )
    rules = Rules(lesions=LesionRules.lits())
    assert rules.definition(MEASURES["lesion_recall"]).endswith("; 6 neighbours; merged, overlap > 0.5")
    assert rules.definition(MEASURES["lesions_missed"]).endswith("; 6 neighbours")
    assert rules.definition(MEASURES["dice"]) == MEASURES["dice"].definition


@pytest.mark.parametrize(
    ("reference", "prediction", "lesions", "note"),
    [
        (labels(), labels(), LesionRules(), "both empty"),
        (labels((1, 2, 3)), labels(), LesionRules.brats("GLI"), "prediction empty"),
        (labels((1, 2, 3)), labels((1, 2, 3)), LesionRules.brats("GLI"), "no lesion above 50 mm³"),
    ],
)
def test_where_nothing_counts_the_row_says_why(reference, prediction, lesions, note):
    found = rows(reference, prediction, lesions=lesions)
    for name in ("lesion_dice", "lesion_hd95", "lesion_recall", "lesion_f1"):
        assert (found[name].value, found[name].note) == (None, note)
    assert found["lesions_missed"].value == 0
    called_one = rows(reference, prediction, lesions=lesions, empty="one")
    assert (called_one["lesion_dice"].value, called_one["lesion_hd95"].value) == (1, 0)


def test_what_nobody_annotated_is_no_false_alarm():
    found = rows(labels((1, 2, 6), (9, 22, 28)), labels((1, 2, 6), (1, 24, 26)))
    assert found["lesion_dice"].value == 1
    assert found["lesions_invented"].value == 0


def test_only_what_is_asked_for_is_worked_out(monkeypatch):
    monkeypatch.setattr(Lesions, "distances_mm", property(lambda self: 1 / 0))
    found = evaluate_case(REFERENCE, PREDICTION, "a", rules=Rules(metrics=("lesion_dice",)))
    assert found[0].value is not None
