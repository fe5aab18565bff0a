import re
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

from delineate.evaluation import ConfusionTable
from delineate.evaluation.overlap_plot import DARKEST, confusion_plot, confusion_section


def table(voxels, names):
    rows = tuple(tuple(int(n) for n in row) for row in voxels)
    return ConfusionTable(
        names=names, cases=3, voxels=rows, mm3=tuple(tuple(map(float, row)) for row in rows)
    )


def test_every_share_is_a_square_as_dark_as_it_is_large():
    svg = confusion_plot(table([[90, 10], [25, 75]], ("background", "liver")))
    ElementTree.fromstring(svg)
    found = re.findall(r'class="(\w+)" style="fill-opacity: ([\d.]+)"><title>([^<]+)</title>', svg)
    assert [(kind, round(float(dark) / DARKEST, 2), told.split(":")[0]) for kind, dark, told in found] == [
        ("right", 0.9, "background called background"),
        ("wrong", 0.1, "background called liver"),
        ("wrong", 0.25, "liver called background"),
        ("right", 0.75, "liver called liver"),
    ]
    assert ">75</text>" in svg
    assert "liver called liver: 75.00%, 0.075 ml" in svg
    assert "3 cases" in svg


@pytest.mark.parametrize("labels", [1, 5, 100])
def test_any_number_of_labels_fits_the_width(labels):
    names = ("background", *(f"label {n}" for n in range(labels)))
    svg = confusion_plot(table(np.eye(labels + 1) * 7, names))
    ElementTree.fromstring(svg)
    ends = [
        float(x) + float(w) for x, w in re.findall(r'<rect x="([\d.]+)" y="[\d.]+" width="([\d.]+)"', svg)
    ]
    assert len(ends) == labels + 1
    assert max(ends) <= 720


def test_a_label_that_is_nowhere_has_an_empty_row_and_names_cannot_break_out():
    svg = confusion_plot(table([[5, 0], [0, 0]], ("background", "<script>")))
    assert svg.count("<rect") == 1
    assert "<script>" not in svg
    assert "nan" not in svg


def test_the_section_says_how_to_read_the_grid():
    section = confusion_section(table([[5, 0], [1, 4]], ("background", "liver")))
    caption, drawing = section.parts
    assert "the labels of the reference" in caption
    assert drawing == confusion_plot(table([[5, 0], [1, 4]], ("background", "liver")))
