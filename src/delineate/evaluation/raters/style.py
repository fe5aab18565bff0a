"""Style: does somebody always draw larger, further out or smoother, and whose style has a model learnt?

A rater's style is the difference to the other raters of the same case, so that a hard or a large case is no
style; to their median, so that one who is far out does not make all others look odd. Whether it is more than
chance is asked by Student's t over patients, and all questions of a table are corrected together (Holm).

A model follows a rater if it gains more with them than with every other rater, where the gain is its Dice
with the rater less what the others have with that rater: somebody in the middle is near to everybody, and to
be near to them is no style.

Source: arXiv:1906.11872 (a network learns its rater's bias, and amplifies it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from delineate.evaluation.comparison.paired import holm
from delineate.evaluation.raters.ledger import Average, Ledger, PairValue, chance, median_of
from delineate.evaluation.statistics import Numbers
from delineate.record import Record

Kind = Literal["size", "border", "roughness"]
KINDS: tuple[Kind, ...] = ("size", "border", "roughness")
SURE = 0.05  # chance, after correction, from which a style is called one

WORDS: dict[Kind, tuple[str, str]] = {  # below and above the others
    "size": ("smaller", "larger"),
    "border": ("further in", "further out"),
    "roughness": ("smoother", "rougher"),
}


class Trait(Record):
    """How one reader differs from the raters of the same cases.

    size       volume, as a share of the mean of both
    border     mean signed distance of the border in mm, positive further out
    roughness  natural logarithm of the surface for the volume
    chance     how likely so large a difference is if there is none; corrected for all that were asked
    """

    structure: str
    reader: str
    kind: Kind
    difference: Average
    chance: float | None
    corrected: float | None

    @property
    def finding(self) -> str | None:
        """The style in a word, or None where it may be chance."""
        if self.corrected is None or self.corrected >= SURE or self.difference.mean is None:
            return None
        return WORDS[self.kind][self.difference.mean > 0]


class Following(Record):
    """A model's gain with one rater, less that with the rater with whom it gains most of the others.

    chance     how likely it gains no more than with some other rater
    corrected  for all that were asked
    """

    structure: str
    rater: str
    nearer: Average
    chance: float | None
    corrected: float | None

    @property
    def follows(self) -> bool:
        """Whether the model draws like this rater, more than chance explains."""
        above = self.nearer.mean is not None and self.nearer.mean > 0
        return above and self.corrected is not None and self.corrected < SURE


def traits_of(ledger: Ledger, raters: Sequence[str], readers: Sequence[str]) -> tuple[Trait, ...]:
    """The styles of some readers beside the raters, asked and corrected together."""
    asked = [(s, reader, kind) for s in ledger.structures for reader in readers for kind in KINDS]
    columns = [_differences(ledger, *question, raters) for question in asked]
    chances = [chance(ledger.bootstrap.mean(column)) for column in columns]
    return tuple(
        Trait(
            structure=structure,
            reader=reader,
            kind=kind,
            difference=ledger.average(column),
            chance=alone,
            corrected=together,
        )
        for (structure, reader, kind), column, alone, together in zip(
            asked, columns, chances, holm(chances), strict=True
        )
    )


def following_of(ledger: Ledger, raters: Sequence[str], model: str) -> tuple[Following, ...]:
    """Whose style the model has, for every structure and rater, corrected together."""
    asked = [(structure, place) for structure in ledger.structures for place in range(len(raters))]
    leads = [_leads(_gains(ledger, structure, raters, model), place) for structure, place in asked]
    nearest = [min(columns, key=lambda column: _mean(ledger, column)) for columns in leads]
    chances = [_chance_of_some(ledger, columns) for columns in leads]
    return tuple(
        Following(
            structure=structure,
            rater=raters[place],
            nearer=ledger.average(column),
            chance=alone,
            corrected=together,
        )
        for (structure, place), column, alone, together in zip(
            asked, nearest, chances, holm(chances), strict=True
        )
    )


def _differences(ledger: Ledger, structure: str, reader: str, kind: Kind, raters: Sequence[str]) -> Numbers:
    """(case,) of one reader, less the other raters of the case."""
    others = [rater for rater in raters if rater != reader]
    if kind == "roughness":
        mine, *theirs = (np.log(ledger.reading(structure, each, "roughness")) for each in (reader, *others))
        return median_of([mine - each for each in theirs])
    value: PairValue = "volume_bias" if kind == "size" else "offset_mm"
    return median_of([ledger.pair(structure, reader, other, value) for other in others])


def _gains(ledger: Ledger, structure: str, raters: Sequence[str], model: str) -> list[Numbers]:
    """(case,) for each rater: the model's Dice with them, less that of the other raters."""
    return [
        ledger.pair(structure, model, rater, "dice") - ledger.with_each(structure, rater, raters, "dice")
        for rater in raters
    ]


def _leads(gains: Sequence[Numbers], place: int) -> list[Numbers]:
    """(case,) the gain with one rater, less that with each of the others."""
    return [gains[place] - other for number, other in enumerate(gains) if number != place]


def _mean(ledger: Ledger, column: Numbers) -> float:
    estimate = ledger.bootstrap.mean(column)
    return estimate.value if estimate else np.inf


def _chance_of_some(ledger: Ledger, columns: Sequence[Numbers]) -> float | None:
    """The largest chance of all: it gains more than with everybody only if it does with each of them."""
    chances = [chance(ledger.bootstrap.mean(column)) for column in columns]
    there = [value for value in chances if value is not None]
    return max(there) if len(there) == len(chances) else None
