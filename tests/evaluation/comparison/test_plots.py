import re
from xml.etree import ElementTree

import pytest

from delineate.evaluation.comparison import Terms, compare
from delineate.evaluation.comparison.plots import LEFT, RIGHT, WIDTH, forest_plot, place_plot


@pytest.fixture(scope="module")
def comparison(made_model):
    one, other = made_model(0.02, 1, title="new <1>"), made_model(0, 2, title="old")
    return compare(one, other, terms=Terms(margins={"dice": 0.01, "hd95": 90.0}))


def drawn(comparison, metric):
    return ElementTree.fromstring(str(forest_plot(comparison, *comparison.names[:2], metric)))


def points(tree):
    """Middle of every dot, and whether it is filled."""
    return [(float(dot.get("cx")), dot.get("class") == "dot") for dot in tree.iter("circle")]


def zero(tree):
    return next(float(line.get("x1")) for line in tree.iter("line") if line.get("class") == "zero")


def texts(tree):
    return [text.text for text in tree.iter("text")]


def test_there_is_a_row_for_the_mean_and_for_every_structure(comparison):
    tree = drawn(comparison, "dice")
    assert [t for t in texts(tree) if t in ("mean of structures", "liver", "spleen")] == [
        "mean of structures",
        "liver",
        "spleen",
    ]
    assert len(points(tree)) == 3
    assert "Dice: new <1> less old" in texts(tree)


@pytest.mark.parametrize("metric", ["dice", "hd95"])
def test_right_of_zero_the_first_is_better_whatever_the_metric(comparison, metric):
    tree = drawn(comparison, metric)
    assert comparison.contrast("liver", metric).better == "new <1>"
    assert all(x > zero(tree) and filled for x, filled in points(tree))
    assert "new <1> better →" in texts(tree)
    assert "← old better" in texts(tree)


def test_what_is_not_proven_is_hollow(made_model):
    found = compare(made_model(0, 1), made_model(0, 2))
    assert not any(filled for _, filled in points(drawn(found, "dice")))


def test_the_margin_is_shaded_unless_it_is_far_wider_than_the_intervals(comparison):
    bands = [band for band in drawn(comparison, "dice").iter("rect") if band.get("class") == "band"]
    assert len(bands) == 1
    assert not list(drawn(comparison, "hd95").iter("rect"))


def test_everything_lies_inside_the_plot(comparison):
    for metric in ("dice", "hd95", "volume_error_relative"):
        tree = drawn(comparison, metric)
        ends = [float(line.get(name)) for line in tree.iter("line") for name in ("x1", "x2")]
        assert min(ends) >= LEFT - 0.1 and max(ends) <= WIDTH - RIGHT + 0.1


def test_the_numbers_stand_beside_and_the_verdict_behind_each_dot(comparison):
    found, tree = comparison.contrast("liver", "dice"), drawn(comparison, "dice")
    assert f"{found.difference:.3f} ({found.low:.3f} to {found.high:.3f})" in texts(tree)
    assert any(title.text.startswith("liver: new <1> better, proven") for title in tree.iter("title"))


def test_nothing_and_one_patient_are_drawn_too(made_report):
    one = made_report({"a": {"dice": [0.9]}, "b": {"dice": [None]}}, title="one")
    other = made_report({"a": {"dice": [0.8]}, "b": {"dice": [None]}}, title="other")
    tree = drawn(compare(one, other), "dice")
    assert "not compared" in texts(tree)
    assert len(points(tree)) == 2
    assert not [line for line in tree.iter("line") if line.get("class") == "whisker"]


def test_equal_models_have_an_axis(made_model):
    tree = drawn(compare(made_model(), made_model()), "dice")
    assert all(x == zero(tree) for x, _ in points(tree))


def test_long_names_are_cut_and_whole_when_pointed_at(made_report):
    name = "a structure with a name that is far too long for its place"
    one, other = (made_report({name: {"dice": [0.9, shift]}}, title=f"{shift}") for shift in (0.8, 0.7))
    tree = drawn(compare(one, other), "dice")
    assert "a structure with a name…" in texts(tree)
    assert any(title.text.startswith(name) for title in tree.iter("title"))


@pytest.mark.parametrize("count", [3, 12])
def test_places_have_a_dot_where_a_model_came_in(made_model, count):
    reports = [made_model(0.004 * n, n, title=f"m{n}") for n in range(count)]
    ranking = compare(*reports).rankings[0]
    tree = ElementTree.fromstring(str(place_plot(ranking, compare(*reports).judged("dice"))))
    expected = sum(share >= 0.005 for place in ranking.places for share in place.shares)
    assert len(list(tree.iter("circle"))) == expected
    assert [t for t in texts(tree) if re.fullmatch(r"m\d+", t)] == list(ranking.names)
    assert "first" in texts(tree)
    assert max(float(dot.get("cx")) for dot in tree.iter("circle")) < WIDTH
    assert any(t.endswith(" %") for t in texts(tree)) == (count == 3)
