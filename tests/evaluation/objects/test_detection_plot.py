"""Detection plot: drawings that are whole, named, and the same twice."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import InstanceMap, evaluate_detection, froc_plot
from delineate.space import Geometry

GRID = Geometry((60, 1, 1), np.eye(4))


def report(found, lesions=4):
    reference, candidates = np.zeros((2, *GRID.shape), int)
    reference[2 : 2 + 4 * lesions : 4] = np.arange(1, lesions + 1).reshape(-1, 1, 1)
    candidates[2 : 2 + 4 * found : 4] = np.arange(1, found + 1).reshape(-1, 1, 1)
    candidates[50], candidates[54] = 100, 101
    scores = {int(n): 1 / n for n in np.unique(candidates) if n}
    pair = InstanceMap(reference, GRID), InstanceMap(candidates, GRID, scores=scores)
    return evaluate_detection(["a", "b", "c"], lambda _: pair)


def test_a_drawing_is_xml_with_a_curve_and_a_point_at_every_rate():
    drawing = ElementTree.fromstring(froc_plot({"ours": report(3)}))
    parts = [part.tag for part in drawing.iter()]
    assert parts.count("polyline") == 2  # and one in the legend
    assert parts.count("circle") == 7
    texts = [part.text for part in drawing.iter("text")]
    assert {"ours", "CPM 0.750"} <= set(texts)
    assert {"0.125", "8", "0.2"} <= set(texts)


def test_more_found_is_drawn_higher():
    drawing = froc_plot({"low": report(1), "high": report(4)})
    ends = re.findall(r'points="[^"]* [\d.]+,([\d.]+)" class="curve"', drawing)
    low, high = float(ends[0]), float(ends[2])  # each is followed by that of its legend
    assert high < low
    assert len(set(re.findall(r'stroke-dasharray="([^"]+)"', drawing))) == 2


def test_every_point_lies_within_the_drawing():
    drawing = ElementTree.fromstring(froc_plot({"a": report(0), "b": report(4)}))
    for line in drawing.iter("polyline"):
        for x, y in (map(float, place.split(",")) for place in line.get("points").split()):
            assert 0 <= x <= 720
            assert 0 <= y <= 360


def test_names_cannot_break_the_drawing():
    drawing = froc_plot({'<script>"&': report(2)})
    assert "<script>" not in drawing
    ElementTree.fromstring(drawing)


def test_without_lesions_there_is_no_curve():
    drawing = froc_plot({"none": report(0, lesions=0)})
    assert drawing.count("polyline") == 1  # that of the legend
    assert "CPM -" in drawing
    ElementTree.fromstring(drawing)


@pytest.mark.parametrize("count", [0, 5])
def test_curves_that_could_not_be_told_apart_are_refused(count):
    with pytest.raises(DataError, match=f"one to 4 curves in a plot, got {count}"):
        froc_plot({f"{n}": report(1) for n in range(count)})
