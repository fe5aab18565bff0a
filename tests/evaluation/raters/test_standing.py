"""A model among people: as good as they are, worse, or nobody knows."""

import numpy as np
import pytest

from delineate.evaluation.raters import Margin, agreement_of, read_together
from delineate.evaluation.raters.ledger import Average
from delineate.evaluation.raters.standing import judged
from delineate.space import Geometry, LabelMap, LabelSchema

RATERS = ("ann", "bob", "cat")


@pytest.fixture(scope="module")
def standing(hand, cohort):
    """Where a model stands that draws with a given hand."""

    def of(model, cases=32, **margin):
        hands = {name: hand() for name in RATERS} | {"net": model}
        found = cohort(hands, cases=cases)
        readings = read_together(list(found), found.__getitem__, RATERS, model="net")
        return agreement_of(readings, margin=Margin(**margin)).standings[0]

    return of


def average(mean, low, high, patients=40):
    return Average(mean=mean, low=low, high=high, n=patients, patients=patients)


@pytest.mark.parametrize(
    ("difference", "verdict", "why"),
    [
        (average(0.0, -0.019, 0.02), "NON-INFERIOR", "lies above -0.02"),
        (average(0.0, -0.021, 0.02), "NOT PROVEN", "reaches below -0.02"),
        (average(-0.05, -0.07, -0.01), "NOT PROVEN", "reaches below -0.02"),
        (average(-0.05, -0.07, -0.021), "INFERIOR", "lies below -0.02"),
        (average(-0.05, -0.07, -0.021, patients=4), "INFERIOR", "lies below -0.02"),
        (average(0.1, 0.05, 0.2, patients=29), "NOT PROVEN", "29 of the 30 patients"),
        (average(0.1, None, None, patients=1), "NOT PROVEN", "one patient"),
        (average(None, None, None, patients=0), "NOT PROVEN", "no case has both"),
    ],
)
def test_the_whole_interval_decides(difference, verdict, why):
    found, reason = judged(difference, Margin())
    assert found == verdict
    assert why in reason


def test_a_perfect_model_among_noisy_raters_is_no_worse_than_they_are(standing, hand):
    found = standing(hand(shake=0.01))
    assert found.verdict == "NON-INFERIOR"
    assert found.difference.low > 0  # nearer to people than people are to each other
    assert found.hd95_difference.high < 0


def test_a_model_that_draws_like_one_more_rater_is_no_worse(standing, hand):
    found = standing(hand())
    assert found.verdict == "NON-INFERIOR"
    assert found.difference.mean == pytest.approx(0, abs=0.015)


def test_a_shifted_model_fails(standing, hand):
    found = standing(hand(offset=1.5))
    assert found.verdict == "INFERIOR"
    assert found.hd95_difference.low > 0


def test_few_patients_prove_nothing(standing, hand):
    assert standing(hand(shake=0.01), cases=10).verdict == "NOT PROVEN"
    assert standing(hand(shake=0.01), cases=10, patients=10).verdict == "NON-INFERIOR"


def test_a_wider_margin_forgives_more(standing, hand):
    assert standing(hand(offset=0.5)).verdict != "NON-INFERIOR"
    assert standing(hand(offset=0.5), dice=0.2).verdict == "NON-INFERIOR"


def test_the_consensus_itself_looks_better_than_any_rater(hand, cohort):
    """So a model is not held against the consensus alone: left out, a rater agrees with it less."""
    five = (*RATERS, "dan", "eve")
    found = cohort({name: hand() for name in five}, cases=12)
    agreement = agreement_of(read_together(list(found), found.__getitem__, five))
    for reader in agreement.readers:
        assert reader.dice.mean > reader.dice_of_others.mean > reader.dice_each.mean


def test_left_out_raters_are_beside_the_model_in_the_same_cases(standing, hand):
    found = standing(hand(shake=0.01))
    assert [left.rater for left in found.left_out] == list(RATERS)
    for left in found.left_out:
        assert left.difference.mean == pytest.approx(left.model.mean - left.person.mean)
        assert left.difference.low > 0


def test_what_a_model_invents_is_counted_where_no_dice_can_show_it():
    schema, grid = LabelSchema.of("lesion"), Geometry((8, 8, 8), np.eye(4))
    nothing, something = np.zeros((2, 8, 8, 8), np.uint8)
    something[2:5, 2:5, 2:5] = 1
    cases = {
        str(n): {
            name: LabelMap(array, grid, schema)
            for name, array in (("ann", drawn), ("bob", drawn), ("net", something))
        }
        for n, drawn in enumerate([nothing, nothing, something, something])
    }
    agreement = agreement_of(read_together(list(cases), cases.__getitem__, ("ann", "bob"), model="net"))
    found = agreement.standings[0]
    assert (found.empty, found.invented, found.difference.n, found.difference.mean) == (2, 2, 2, 0.0)
    assert "net drew it in 2 of 2 cases in which no rater did" in agreement.to_markdown()
