"""Standing: where a model stands among people.

What people agree on with each other is what a model can be held to; and with a consensus everything agrees
better than with any of those who made it. So a model is held against the raters one by one, beside what they
are to each other, and against the consensus of the others, beside the rater who was left out.

NON-INFERIOR  the whole interval of [mean Dice(model, raters) - mean Dice(rater, rater)] lies above -margin
INFERIOR      it lies below
NOT PROVEN    neither, or fewer patients than are asked for

The interval is that of the bootstrap over patients or of Student's t, whichever end lies further out. Rare
failures do not show in few patients, hence the fewest that prove anything.

Sources: Warfield 2004, doi:10.1109/TMI.2004.828354; Walker and Nowacki 2011, doi:10.1007/s11606-010-1513-8
(the end of the two-sided interval).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from delineate.evaluation.raters.ledger import Average, Ledger, mean_of
from delineate.evaluation.statistics import Numbers
from delineate.record import Record

PATIENTS = 30  # none of 30 failed: then fewer than 10 % fail, with 95 % confidence (rule of three)

Verdict = Literal["NON-INFERIOR", "NOT PROVEN", "INFERIOR"]


class Margin(Record):
    """When a model counts as no worse than people.

    dice      so much lower a mean Dice still counts as equal
    patients  with fewer, nothing is proven
    """

    dice: Annotated[float, Field(gt=0, lt=1)] = 0.02
    patients: Annotated[int, Field(ge=2)] = PATIENTS


class LeftOut(Record):
    """One rater and the model against the consensus of the other raters, in the same cases."""

    rater: str
    person: Average
    model: Average
    difference: Average  # model less person


class Standing(Record):
    """A model among the raters of one structure, in the cases where both could be measured.

    model, people     mean Dice of the model with the raters, and of the raters with each other
    difference        model less people, with the interval that the verdict rests on
    hd95_*            the same in mm
    empty, invented   cases in which no rater drew it, and in how many of them the model did
    """

    structure: str
    verdict: Verdict
    why: str
    model: Average
    people: Average
    difference: Average
    hd95_model: Average
    hd95_people: Average
    hd95_difference: Average
    left_out: tuple[LeftOut, ...]
    empty: int
    invented: int


def standing_of(
    ledger: Ledger, structure: str, raters: Sequence[str], model: str, margin: Margin
) -> Standing:
    """Where the model stands in one structure."""
    dice = _beside(ledger, structure, raters, model, "dice")
    hd95 = _beside(ledger, structure, raters, model, "hd95_mm")
    difference = ledger.widest(dice[0] - dice[1])
    verdict, why = judged(difference, margin)
    nobody = mean_of([ledger.reading(structure, rater, "volume_ml") for rater in raters]) == 0
    invented = nobody & (ledger.reading(structure, model, "volume_ml") > 0)
    return Standing(
        structure=structure,
        verdict=verdict,
        why=why,
        model=ledger.average(dice[0]),
        people=ledger.average(dice[1]),
        difference=difference,
        hd95_model=ledger.average(hd95[0]),
        hd95_people=ledger.average(hd95[1]),
        hd95_difference=ledger.average(hd95[0] - hd95[1]),
        left_out=tuple(_left_out(ledger, structure, rater) for rater in raters),
        empty=int(nobody.sum()),
        invented=int(invented.sum()),
    )


def judged(difference: Average, margin: Margin) -> tuple[Verdict, str]:
    """The verdict on a difference of Dice, and why."""
    if difference.mean is None:
        return "NOT PROVEN", "no case has both two raters and a prediction"
    if difference.low is None or difference.high is None:
        return "NOT PROVEN", "one patient: there is no interval"
    if difference.high < -margin.dice:
        return "INFERIOR", f"the 95 % interval lies below -{margin.dice:g}"
    if difference.patients < margin.patients:
        return "NOT PROVEN", f"{difference.patients} of the {margin.patients} patients that are asked for"
    if difference.low > -margin.dice:
        return "NON-INFERIOR", f"the 95 % interval lies above -{margin.dice:g}"
    return "NOT PROVEN", f"the 95 % interval reaches below -{margin.dice:g}"


def _beside(
    ledger: Ledger, structure: str, raters: Sequence[str], model: str, value: Literal["dice", "hd95_mm"]
) -> tuple[Numbers, Numbers]:
    """(case,) of the model with the raters, and of the raters with each other, where both are there."""
    mine = ledger.with_each(structure, model, raters, value)
    theirs = mean_of([ledger.pair(structure, a, b, value) for a, b in combinations(raters, 2)])
    both = ~np.isnan(mine) & ~np.isnan(theirs)
    return np.where(both, mine, np.nan), np.where(both, theirs, np.nan)


def _left_out(ledger: Ledger, structure: str, rater: str) -> LeftOut:
    person = ledger.reading(structure, rater, "dice_of_others")
    model = ledger.reading(structure, rater, "model_of_others")
    both = ~np.isnan(person) & ~np.isnan(model)
    person, model = (np.where(both, column, np.nan) for column in (person, model))
    return LeftOut(
        rater=rater,
        person=ledger.average(person),
        model=ledger.average(model),
        difference=ledger.average(model - person),
    )
