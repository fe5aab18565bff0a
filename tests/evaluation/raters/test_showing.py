"""A page of an agreement says everything once, and nothing of a model that is not there."""

import pytest

from delineate.evaluation.raters import (
    agreement_headline,
    agreement_of,
    agreement_sections,
    read_together,
)
from delineate.evaluation.raters.showing import MOST
from delineate.page import render_page
from delineate.space import LabelMap, LabelSchema

RATERS = ("ann", "bob", "cat")


def agreed(hand, cohort, *, model="net", cases=5, **offsets):
    hands = {name: hand(offset=offsets.get(name, 0)) for name in RATERS} | ({model: hand()} if model else {})
    found = cohort(hands, cases=cases)
    return agreement_of(read_together(list(found), found.__getitem__, RATERS, model=model))


def page_of(agreement):
    return render_page("people", "", agreement_sections(agreement), figures=agreement_headline(agreement))


@pytest.fixture(scope="module")
def with_model(hand, cohort):
    return agreed(hand, cohort, cat=1.5)


def test_the_page_has_a_section_for_each_question(with_model):
    titles = [section.title for section in agreement_sections(with_model)]
    assert titles == [
        "What was found", "How well people agree", "net among people", "Every reader", "Style",
        "What the numbers mean",
    ]  # fmt: skip
    page = page_of(with_model)
    assert "cat draws larger" in page
    assert "not proven" in page
    assert page.count("<svg") == 1 + 1 + 3


def test_without_a_model_nothing_is_said_of_one(hand, cohort):
    alone = agreed(hand, cohort, model=None)
    titles = [section.title for section in agreement_sections(alone)]
    assert "Every reader" in titles
    assert not any("among people" in title for title in titles)
    page = page_of(alone)
    assert "Dice gained" not in page
    assert "No style and no verdict is sure." in page


def test_the_headline_is_of_people_then_of_the_model(with_model):
    figures = agreement_headline(with_model)
    assert [figure.title for figure in figures] == ["lesion: Dice of two raters", "lesion: net", "raters"]
    assert figures[1].below == "not proven"
    assert figures[2].below == "5 cases of 5 patients"


def test_of_many_structures_some_are_drawn_and_all_are_told(hand, cohort):
    names = [f"part {n}" for n in range(MOST + 2)]
    schema = LabelSchema.of(*names)
    found = cohort({name: hand() for name in RATERS}, cases=2)
    parts = {
        case: {
            name: LabelMap(
                drawn.array * (1 + (drawn.array.cumsum(0) % len(names)).astype("uint8")),
                drawn.geometry,
                schema,
            )
            for name, drawn in maps.items()
        }
        for case, maps in found.items()
    }
    agreement = agreement_of(read_together(list(parts), parts.__getitem__, RATERS))
    page = page_of(agreement)
    assert f"{MOST} of {len(names)} structures are drawn; all are in agreement.json." in page
    assert all(name in page for name in names)
    assert page.count("<svg") == MOST + 3 * MOST
