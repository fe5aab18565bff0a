"""Drawings hold what they say they hold."""

import re
from xml.etree import ElementTree

import pytest

from delineate.evaluation.raters import agreement_of, read_together
from delineate.evaluation.raters.ledger import Average
from delineate.evaluation.raters.plots import Line, matrix_plot, rows_plot, standing_plot, style_plot
from delineate.evaluation.raters.style import KINDS

RATERS = ("ann", "bob & co", "a reader with a very long name")


@pytest.fixture(scope="module")
def agreement(hand, cohort):
    found = cohort({name: hand(offset=n) for n, name in enumerate(RATERS)} | {"<net>": hand()}, cases=5)
    return agreement_of(read_together(list(found), found.__getitem__, RATERS, model="<net>"))


def tree_of(drawing):
    return ElementTree.fromstring(str(drawing))


def texts(drawing):
    return [text for text in tree_of(drawing).itertext() if text.strip()]


def test_a_matrix_has_a_cell_for_every_two_readers_both_ways_round_by_four_measures(agreement):
    drawing = tree_of(matrix_plot(agreement, "lesion"))
    cells = drawing.findall(".//rect")
    assert len(cells) == 4 * 4 * 3
    assert all(0 <= float(cell.get("fill-opacity")) <= 1 for cell in cells)
    said = [cell.find("title").text for cell in cells]
    assert any(re.fullmatch(r"ann, bob & co: 0\.\d\d \[0\.\d\d, 0\.\d\d\], 5 cases", text) for text in said)
    assert any(text.endswith("mm, 5 cases") for text in said)


def test_what_is_smaller_has_another_colour_than_what_is_larger(agreement):
    cells = tree_of(matrix_plot(agreement, "lesion")).findall(".//rect")
    told = {cell.find("title").text: cell.get("class") for cell in cells}
    larger = [kind for text, kind in told.items() if text.startswith("bob & co, ann") and "%" in text]
    smaller = [kind for text, kind in told.items() if text.startswith("ann, bob & co") and "%" in text]
    assert (larger, smaller) == (["heat"], ["heat below"])


def test_long_names_are_cut_and_told_whole_where_the_pointer_rests(agreement):
    found = texts(matrix_plot(agreement, "lesion"))
    assert "a reader wi\N{HORIZONTAL ELLIPSIS}" in found
    assert RATERS[2] in found


def test_with_many_readers_cells_lose_their_numbers_but_not_their_titles(hand, cohort):
    names = [f"reader {n}" for n in range(12)]
    found = cohort({name: hand() for name in names}, cases=1)
    crowd = agreement_of(read_together(list(found), found.__getitem__, names))
    drawing = tree_of(matrix_plot(crowd, "lesion"))
    assert len(drawing.findall(".//rect")) == 4 * 12 * 11
    assert not drawing.findall('.//text[@class="value"]')


def test_a_cell_without_a_value_is_not_drawn(hand, cohort):
    found = cohort({name: hand(offset=-99) for name in ("ann", "bob")}, cases=2)
    nothing = agreement_of(read_together(list(found), found.__getitem__, ("ann", "bob")))
    assert not tree_of(matrix_plot(nothing, "lesion")).findall(".//rect")
    assert "no value" in texts(style_plot(nothing, "lesion", "size"))


def test_the_standing_shows_the_margin_and_what_is_not_proven_is_hollow(agreement):
    drawing = tree_of(standing_plot(agreement))
    assert len(drawing.findall('.//line[@class="limit"]')) == 1
    assert [circle.get("class") for circle in drawing.findall(".//circle")] == ["few"]
    assert "NOT PROVEN" in texts(standing_plot(agreement))


@pytest.mark.parametrize("kind", KINDS)
def test_a_style_has_a_row_for_every_reader(agreement, kind):
    drawing = tree_of(style_plot(agreement, "lesion", kind))
    assert len(drawing.findall(".//circle")) == 4
    assert len(drawing.findall('.//line[@class="whisker"]')) == 4


def test_a_mean_without_an_interval_is_a_point():
    alone = Average(mean=0.3, low=None, high=None, n=1, patients=1)
    drawing = tree_of(rows_plot("a title", [Line("ann", alone)]))
    assert len(drawing.findall(".//circle")) == 1
    assert not drawing.findall('.//line[@class="whisker"]')


def test_rows_of_zeros_have_an_axis():
    zero = Average(mean=0.0, low=0.0, high=0.0, n=3, patients=3)
    circle = tree_of(rows_plot("a title", [Line("ann", zero)])).find(".//circle")
    assert 0 < float(circle.get("cx")) < 720
