import re
from xml.etree import ElementTree

import numpy as np
import pytest

from delineate.evaluation.subgroups import split, split_by_size
from delineate.evaluation.subgroups.plot import interval_plot

SVG = "{http://www.w3.org/2000/svg}"


def read(plot):
    return ElementTree.fromstring(str(plot).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def texts(plot):
    return ["".join(node.itertext()) for node in read(plot).iter(f"{SVG}text")]


@pytest.fixture
def report(made_report):
    dice = np.concatenate(
        [np.linspace(0.88, 0.92, 20), np.linspace(0.78, 0.82, 15), np.linspace(0.8, 0.9, 4)]
    )
    columns = {"dice": list(dice), "hd95": list(10 - 10 * dice), "volume_reference": list(range(39))}
    return made_report({"organ": columns, "cyst <b>": columns})


def by_site(report):
    names = ["good"] * 20 + ["poor & far away, beyond the mountains"] * 15 + ["tiny"] * 4
    return split(report, dict(zip(report.cases, names, strict=True)), column="site")


def test_every_group_has_a_dot_in_every_panel_and_its_interval(report):
    drawing = read(interval_plot(by_site(report)))
    classes = [node.get("class") for node in drawing.iter()]
    assert classes.count("dot") + classes.count("few") == 2 * 2 * 3
    assert classes.count("few") == 2 * 2
    assert classes.count("whisker") == 2 * 2 * 3
    assert classes.count("limit") == 2 * 2


def test_everything_lies_on_the_page(report):
    drawing = read(interval_plot(by_site(report)))
    _, _, width, height = map(float, drawing.get("viewBox").split())
    for node in drawing.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert 0 <= float(node.get(key, 0)) <= width
        for key in ("y", "y1", "y2", "cy"):
            assert 0 <= float(node.get(key, 0)) <= height


def test_it_says_who_is_worse_and_names_the_groups(report):
    found = texts(interval_plot(by_site(report)))
    assert found.count("worse") == found.count("better") == 4
    assert "cyst <b>" in found
    assert any(text.startswith("poor & far away, beyo… (15)") for text in found)
    assert "HD95 (mm)" in found


def test_a_larger_value_is_further_to_the_right(report):
    drawing = read(interval_plot(by_site(report)))
    circles = list(drawing.iter(f"{SVG}circle"))[:3]
    means = [float(re.search(r": ([\d.]+),", node[0].text)[1]) for node in circles]
    places = [float(node.get("cx")) for node in circles]
    assert np.argsort(means).tolist() == np.argsort(places).tolist()


def test_groups_without_values_and_one_value_are_drawn(made_report):
    report = made_report({"organ": {"volume_error": [0.0, None], "volume_reference": [1.0, 2.0]}})
    plot = interval_plot(split(report, dict(zip(report.cases, "ab", strict=True)), column="site"))
    assert "no values" in texts(plot)
    assert "Volume error (ml)" in texts(plot)
    nothing = made_report({"organ": {"dice": [None], "volume_reference": [0.0]}})
    assert read(interval_plot(split_by_size(nothing))) is not None
