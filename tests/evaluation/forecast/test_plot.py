from xml.etree import ElementTree

import numpy as np
import pytest

from delineate.evaluation.forecast import learning_curve
from delineate.evaluation.forecast.plot import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, learning_plot

SIZES = [10, 20, 40, 80, 160]


def drawn(scores, sizes=SIZES, **options):
    return ElementTree.fromstring(str(learning_plot(learning_curve(sizes, scores, **options))))


def rising(scatter=0.003):
    return 0.9 - 0.6 * np.array(SIZES) ** -0.5 + scatter * np.random.default_rng(0).normal(size=5)


def places(tree, name):
    return [tuple(map(float, pair.split(","))) for pair in tree.find(f".//{name}").get("points").split()]


def test_every_training_is_a_dot_and_the_curve_is_dashed_beyond_them():
    tree = drawn(rising())
    assert len(list(tree.iter("circle"))) == 5
    seen, ahead = tree.iter("polyline")
    assert (seen.get("class"), ahead.get("class")) == ("curve", "curve limit")
    assert seen.get("points").split()[-1] == ahead.get("points").split()[0]
    assert float(ahead.get("points").split()[-1].split(",")[0]) == WIDTH - RIGHT


def test_the_curve_lies_in_its_band():
    tree = drawn(rising())
    band = places(tree, "polygon")
    lows, highs = band[: len(band) // 2], band[len(band) // 2 :][::-1]
    for (x, low), (other, high) in zip(lows, highs, strict=True):
        assert x == other
        assert low >= high  # down is more in a drawing


def test_targets_within_the_drawing_are_lines_with_their_numbers():
    texts = [t.text for t in drawn(rising(), targets=[0.85, 0.5]).iter("text")]
    assert "0.85" in texts
    tree = drawn(rising(), targets=[0.85])
    titles = [t.text for t in tree.iter("title")]
    assert any(t.startswith("0.85 takes about") for t in titles)


@pytest.mark.parametrize("scores", [[0.9] * 4, [0.7, 0.9, 0.6, 0.8], [0.5, 0.6, 0.7, 0.8]])
def test_everything_stays_inside_however_little_is_known(scores):
    tree = drawn(scores, sizes=[10, 20, 40, 80], targets=[0.99])
    found = places(tree, "polygon") + [(float(c.get("cx")), float(c.get("cy"))) for c in tree.iter("circle")]
    assert all(LEFT <= x <= WIDTH - RIGHT + 0.1 for x, _ in found)
    assert all(TOP - 0.1 <= y <= HEIGHT - BOTTOM + 0.1 for _, y in found)
