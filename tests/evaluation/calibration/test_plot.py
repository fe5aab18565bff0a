from xml.etree import ElementTree

import numpy as np
import pytest

from delineate.evaluation.calibration import calibrate
from delineate.evaluation.calibration.plot import reliability_plot
from delineate.space import LabelMap, Volume

SVG = "{http://www.w3.org/2000/svg}"


def read(plot):
    return ElementTree.fromstring(str(plot).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


@pytest.fixture(scope="module")
def report(worlds):
    scans = {str(n): worlds.scan(n, heat=heat) for n, heat in enumerate((1.5, 2.0, 2.5))}
    return calibrate(list(scans), scans.__getitem__)


def test_every_bin_that_holds_anything_is_a_point_in_its_place(report):
    drawing = read(reliability_plot(report, "organ"))
    curves = [curve for curve in report.curves if curve.name == "organ"]
    full = sum(1 for curve in curves for each in curve.bins if each.voxels)
    circles = list(drawing.iter(f"{SVG}circle"))
    assert len(circles) == full
    first = [each for each in curves[0].bins if each.voxels]
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in circles[: len(first)]]
    assert np.corrcoef([x for x, _ in places], [b.forecast for b in first])[0, 1] > 0.9999
    assert np.corrcoef([y for _, y in places], [b.frequency for b in first])[0, 1] < -0.9999


def test_it_says_where_and_how_far_off(report):
    words = ["".join(node.itertext()) for node in read(reliability_plot(report, "cyst")).iter(f"{SVG}text")]
    for where in ("everywhere", "foreground", "boundary"):
        assert f"{where}: ECE {report.pooled('cyst', where).ece:.3f}" in words


def test_everything_lies_on_the_page(report):
    for name in report.names:
        drawing = read(reliability_plot(report, name))
        _, _, width, height = map(float, drawing.get("viewBox").split())
        for node in drawing.iter():
            for key, most in (("x", width), ("x1", width), ("cx", width), ("y", height), ("cy", height)):
                assert -1e-6 <= float(node.get(key, 0)) <= most


def test_a_region_without_voxels_says_so(worlds):
    geometry = worlds.grid((4, 4, 4))
    p = np.zeros((3, 4, 4, 4), np.float32)
    p[0] = 1
    reference = LabelMap(np.zeros((4, 4, 4), np.uint8), geometry, worlds.SCHEMA)
    report = calibrate(["a"], lambda _: (reference, Volume(p, geometry, worlds.SCHEMA.outputs)))
    words = ["".join(n.itertext()) for n in read(reliability_plot(report, "organ")).iter(f"{SVG}text")]
    assert "boundary: no voxels" in words
    assert "everywhere: ECE 0.000" in words
