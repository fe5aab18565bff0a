import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from delineate.evaluation.volume_agreement import VolumeAgreement, VolumePair
from delineate.evaluation.volume_plot import (
    BOTTOM,
    HEIGHT,
    MOST_PLOTS,
    TOP,
    bland_altman_plot,
    volume_section,
)


def agreement(reference, prediction, name="liver", at_edge=()):
    pairs = [
        VolumePair(case=f"case {n}", reference_ml=a, prediction_ml=b, at_edge=n in at_edge)
        for n, (a, b) in enumerate(zip(reference, prediction, strict=True))
    ]
    return VolumeAgreement.of(name, pairs)


def circles(svg):
    found = re.findall(r'<circle cx="([-\d.]+)" cy="([-\d.]+)" r="3" class="(\w+)"><title>(case \d+)', svg)
    return {case: (float(x), float(y), kind) for x, y, kind, case in found}


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    reference = rng.uniform(10, 90, 9)
    return agreement(reference, reference + rng.normal(2, 5, 9), at_edge={4})


def test_every_case_is_a_point_and_a_larger_difference_lies_higher(many):
    found = circles(bland_altman_plot(many))
    assert len(found) == 9
    by_difference = sorted(many.pairs, key=lambda pair: pair.prediction_ml - pair.reference_ml)
    heights = [found[pair.case][1] for pair in by_difference]
    assert heights == sorted(heights, reverse=True)
    by_mean = sorted(many.pairs, key=lambda pair: pair.prediction_ml + pair.reference_ml)
    places = [found[pair.case][0] for pair in by_mean]
    assert places == sorted(places)
    assert found["case 4"][2] == "hollow"


def test_bias_and_limits_are_drawn_with_their_values_and_bands(many):
    svg = bland_altman_plot(many)
    for word, value in (("bias", many.ml.bias), ("lower", many.ml.lower), ("upper", many.ml.upper)):
        assert f">{word} {value:.3g}</text>" in svg
    assert svg.count('class="band"') == 3
    assert svg.count('class="limit"') == 2
    ElementTree.fromstring(svg)


@pytest.mark.parametrize(
    ("reference", "prediction", "points", "bands"),
    [
        ([], [], 0, 0),
        ([3.0], [4.0], 1, 0),
        ([3.0, 3.0], [3.0, 3.0], 2, 3),
        ([1.0, 500.0], [1.1, 450.0], 2, 3),
    ],
)
def test_few_and_equal_volumes_are_drawn_inside_the_frame(reference, prediction, points, bands):
    svg = bland_altman_plot(agreement(reference, prediction))
    ElementTree.fromstring(svg)
    found = circles(svg)
    assert len(found) == points
    assert svg.count('class="band"') == bands
    assert all(TOP <= y <= HEIGHT - BOTTOM for _, y, _ in found.values())
    assert "nan" not in svg
    assert ("no volumes" in svg) == (points == 0)


def test_names_cannot_break_out_of_the_picture():
    svg = bland_altman_plot(agreement([1.0, 2.0], [1.0, 3.0], name="<script>"))
    assert "<script>" not in svg


def test_the_section_has_a_line_for_each_structure_and_draws_those_that_agree_least(made_report):
    rng = np.random.default_rng(0)
    values = {
        f"organ {n}": {
            "dice": [0.9] * 9,
            "volume_reference": list(truth := rng.uniform(10, 90, 9)),
            "volume_prediction": list(truth * (1 + 0.02 * n * rng.normal(0, 1, 9))),
        }
        for n in range(9)
    }
    section = volume_section(made_report(values))
    table, *plots = section.parts
    assert [row[0] for row in table.rows] == list(values)
    assert len(plots) == MOST_PLOTS
    assert "organ 8" in plots[-1]
    assert not any("organ 0:" in plot for plot in plots)
    assert "read this beside Dice" in table.caption


def test_the_section_of_nothing_is_a_table_of_dashes(made_report):
    nothing = {"dice": [None, None], "volume_reference": [0, 0], "volume_prediction": [0, 0]}
    table, notes = volume_section(made_report({"cyst": nothing})).parts
    assert table.rows[0][1:4] == ["0", "-", "-"]
    assert notes.texts == ("cyst: 2 cases without the structure in either are left out.",)
