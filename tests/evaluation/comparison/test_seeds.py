"""Trainings that differ in luck alone become one report."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import Rules, evaluate
from delineate.evaluation.comparison.seeds import averaged
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((10, 4, 4), np.eye(4))
SCHEMA = LabelSchema.of("liver")
CASES = ("a", "b", "c")


def _report(lost, cases=CASES, there=True):
    def load(case):
        reference = np.zeros(GRID.shape, np.uint8)
        reference[:8] = there
        found = reference.copy()
        found[: lost + cases.index(case)] = 0
        return LabelMap(reference, GRID, SCHEMA), LabelMap(found, GRID, SCHEMA)

    return evaluate(cases, load, rules=Rules(metrics=("dice", "hd95")))


def test_each_value_is_the_mean_of_the_seeds():
    one, two = _report(0), _report(2)
    found = averaged([one, two], "both")
    for case in CASES:
        values = [report.values("liver", "dice")[case] for report in (one, two)]
        assert found.values("liver", "dice")[case] == pytest.approx(np.mean(values))
    assert found.mean("dice") == pytest.approx((one.mean("dice") + two.mean("dice")) / 2)
    assert found.title == "both"


def test_one_seed_stays_what_it_was():
    one = _report(1)
    assert averaged([one], one.title).rows == one.rows


def test_a_value_that_one_lacks_is_that_of_the_others_and_says_so():
    gone = _report(8)  # nothing is found: there is no distance
    found = averaged([_report(1), gone], "both")
    row = next(row for row in found.rows if row.metric == "hd95")
    assert row.value == _report(1).values("liver", "hd95")["a"]
    assert row.note == "of 1 of 2 trainings"
    assert averaged([gone, gone], "none").values("liver", "hd95")["a"] is None


def test_other_cases_are_refused():
    with pytest.raises(DataError, match="are not about the same cases and rules"):
        averaged([_report(0), _report(0, cases=("a", "b"))], "both")
