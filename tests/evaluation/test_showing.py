import numpy as np
import pytest

from delineate.evaluation import evaluate
from delineate.evaluation.measures import Rules
from delineate.evaluation.showing import case_section, headline, score_section
from delineate.page import Gallery, Table
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

GRID = Geometry((12, 12, 12), np.eye(4))
SCHEMA = LabelSchema.of("organ")
SIZES = {"a": 6, "b": 5, "c": 4, "d": 3, "e": 2, "f": 1, "g": 6, "nothing": 0}


def cube(size):
    array = np.zeros(GRID.shape, np.uint8)
    array[3 : 3 + size, 3:9, 3:9] = 1
    return LabelMap(array, GRID, SCHEMA)


def load(case):
    return cube(0 if case == "nothing" else 6), cube(SIZES[case])


def look(case):
    return Volume(np.random.default_rng(0).normal(size=(1, *GRID.shape)), GRID), *load(case)


@pytest.fixture
def report():
    return evaluate(list(SIZES), load)


def test_the_first_figures_are_the_means_and_how_many_were_measured(report):
    figures = headline(report)
    assert [figure.title for figure in figures] == ["mean Dice", "mean HD95", "mean NSD", "measured on"]
    assert figures[0].value == f"{report.mean():.3f}"
    assert figures[0].below.startswith("95 % interval 0.")
    assert figures[1].value.endswith(" mm")
    assert figures[-1].value == "8 cases"


def test_the_table_counts_what_is_there_missed_and_invented(report):
    table = score_section(report).parts[0]
    assert isinstance(table, Table)
    assert table.rows[0][:4] == ["organ", "7 of 8", "0", "0"]
    assert "never called zero" in table.caption


def test_every_way_to_average_is_named(report):
    names = [row[0] for row in score_section(report).parts[-1].rows]
    assert names == ["macro", "by case", "micro", "pooled"]


def test_the_rule_for_empty_masks_is_said_under_the_table():
    report = evaluate(list(SIZES), load, rules=Rules(empty="one"))
    assert "overlap is called 1" in score_section(report).parts[0].caption


def test_other_measures_than_the_usual_ones_fill_the_table_where_they_alone_were_asked_for():
    report = evaluate(list(SIZES), load, rules=Rules(metrics=("specificity",)))
    assert score_section(report).parts[0].heads[-1] == "Specificity"


def test_the_worst_cases_come_first_and_none_twice(report):
    (gallery,) = case_section(report, look).parts
    assert isinstance(gallery, Gallery)
    names = [picture.name for picture in gallery.pictures]
    assert names[:3] == ["f", "e", "d"]
    assert len(names) == len(set(names)) == 6
    assert [picture.tag for picture in gallery.pictures] == ["worst"] * 3 + ["median"] * 2 + ["best"]
    assert gallery.legend[0][0] == "organ"


def test_progress_is_told_for_every_picture(report):
    seen = []
    case_section(report, look, lambda done, total, what: seen.append((done, total)))
    assert seen == [(n, 6) for n in range(7)]
