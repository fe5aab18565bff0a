import re

import numpy as np
import pytest

from delineate.evaluation import MEASURES, Report, Row, Rules
from delineate.evaluation.plots import box_plot
from delineate.evaluation.scores import report_of

RULES = Rules(metrics=("dice", "hd95"))


@pytest.fixture
def report() -> Report:
    rng = np.random.default_rng(0)
    cases = [f"case {n}" for n in range(9)]
    rows = [
        Row(case=case, structure=s, metric=m.name, definition="", value=float(rng.uniform()), unit=m.unit)
        for case in cases
        for s in ("liver", "spleen")
        for m in RULES.measures
    ]
    return report_of(rows, title="t", rules=RULES, groups={case: case for case in cases}, rng=rng)


def test_every_case_is_a_point_that_names_it(report):
    svg = box_plot(report, "dice")
    there = [v for s in report.structures for v in report.values(s, "dice").values() if v is not None]
    assert len(re.findall("<circle", svg)) == len(there)
    assert all(case in svg for case in report.cases)


def test_a_better_value_lies_further_right(report):
    svg = box_plot(report, "dice")
    points = re.findall(r'cx="([\d.]+)".*?<title>case \d: ([\d.]+)</title>', svg, flags=re.DOTALL)
    x, values = np.array(points, float).T
    order = np.argsort(values)
    assert (np.diff(x[order]) >= -0.1).all()


def test_names_cannot_break_out_of_the_picture(report):
    evil = report.but(
        structures=("<script>", *report.structures[1:]),
        rows=tuple(
            r.but(structure="<script>") if r.structure == report.structures[0] else r for r in report.rows
        ),
    )
    assert "<script>" not in box_plot(evil, "dice")


def test_a_structure_without_values_says_so(report):
    empty = report.but(rows=tuple(row.but(value=None) for row in report.rows))
    assert box_plot(empty, "hd95").count("no values") == len(report.structures)
    assert MEASURES["hd95"].title in box_plot(empty, "hd95")
