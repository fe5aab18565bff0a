"""Agreement: how far apart people are, what each of them is like, and where a model stands among them.

Everything is a mean over cases with an interval over patients. What is said of one case is averaged within
the case first: one that more raters labelled does not count more. Where both readers drew nothing there is
nothing to compare; such cases are counted and left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.raters.fusion import FusionRules
from delineate.evaluation.raters.ledger import SIGNED, Average, PairValue
from delineate.evaluation.raters.standing import Margin, Standing
from delineate.evaluation.raters.style import Following, Trait
from delineate.record import Record

FEW_RATERS = 3  # with fewer, nobody can tell who of them is right; Warfield 2004 and reader studies
FEW_PATIENTS = 10  # below, an interval says little
TINY = 100  # voxels; STAPLE is not to be trusted with structures that are smaller


class Cell(Record):
    """Two readers by one measure; `volume_bias` and `offset_mm` change their sign with the order."""

    structure: str
    value: PairValue
    one: str
    other: str
    average: Average


class People(Record):
    """How well the raters of one structure agree: the number that stands beside a model's.

    dice, hd95_mm, kappa  of every two raters (kappa: Fleiss', of all)
    volume_difference     of every two raters, without its sign, as a share of the mean of both
    empty                 cases in which no rater drew it
    voxels                median of the consensus, where there is any
    """

    structure: str
    dice: Average
    hd95_mm: Average
    volume_difference: Average
    kappa: Average
    empty: int
    voxels: float | None


class Reader(Record):
    """One rater, or the model, of one structure.

    sensitivity, specificity, dice  with the consensus of all raters, specificity within the field of view
    dice_of_others                  of a rater: with the consensus of the others
    dice_each, hd95_each_mm         with each of the (other) raters
    """

    structure: str
    reader: str
    sensitivity: Average
    specificity: Average
    dice: Average
    dice_of_others: Average
    dice_each: Average
    hd95_each_mm: Average


class Agreement(Record):
    """What several raters, and a model, say of the same cases.

    groups   case -> patient
    absent   reader -> cases that they did not label: they are left out there, the others are not
    skipped  cases that fewer than two raters labelled
    alike    two raters who drew exactly the same, wherever both drew
    """

    version: Literal[1] = 1
    title: str
    raters: tuple[str, ...]
    model: str | None
    rules: FusionRules
    margin: Margin
    groups: dict[str, str]
    structures: tuple[str, ...]
    absent: dict[str, tuple[str, ...]]
    skipped: tuple[str, ...]
    alike: tuple[tuple[str, str], ...]
    people: tuple[People, ...]
    readers: tuple[Reader, ...]
    cells: tuple[Cell, ...]
    traits: tuple[Trait, ...]
    standings: tuple[Standing, ...]
    followings: tuple[Following, ...]

    def cell(self, structure: str, value: PairValue, one: str, other: str) -> Average:
        """Two readers by one measure, in either order."""
        for cell in self.cells:
            if (cell.structure, cell.value) == (structure, value):
                if (cell.one, cell.other) == (one, other):
                    return cell.average
                if (cell.one, cell.other) == (other, one):
                    return _turned(cell.average) if value in SIGNED else cell.average
        raise DataError(
            f"no {value} of {one} and {other} in {structure!r}; structures are {', '.join(self.structures)}, "
            f"readers {', '.join(self.everybody)}"
        )

    @property
    def everybody(self) -> tuple[str, ...]:
        """The raters, then the model."""
        return (*self.raters, *((self.model,) if self.model else ()))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps these numbers from being trusted, in words."""
        return tuple(_doubts(self))

    def to_markdown(self) -> str:
        """Tables of people, of readers and of the model, with what is to be doubted below."""
        parts = [_people_table(self), _reader_table(self)]
        parts += [_standing_table(self)] if self.model else []
        parts.append("\n".join(f"- {text}" for text in (*findings(self), *self.warnings, note(self))))
        return "\n\n".join(parts) + "\n"


def _turned(average: Average) -> Average:
    low, high = average.high, average.low
    return average.but(
        mean=None if average.mean is None else -average.mean,
        low=None if low is None else -low,
        high=None if high is None else -high,
    )


# --- in words


def findings(agreement: Agreement) -> Iterator[str]:
    """What is sure enough to be said: verdicts, styles, and whose style the model has."""
    for standing in agreement.standings:
        yield f"{standing.structure}: {agreement.model} is {standing.verdict} ({standing.why})."
        if standing.invented:
            yield (
                f"{standing.structure}: {agreement.model} drew it in {standing.invented} of "
                f"{standing.empty} cases in which no rater did; no Dice shows that."
            )
    yield from _styles(agreement)
    for following in agreement.followings:
        if following.follows:
            yield (
                f"{following.structure}: {agreement.model} follows the style of {following.rater}: its Dice "
                f"gains {spelled(following.nearer, 3)} more with them than with any other rater."
            )


def _styles(agreement: Agreement) -> Iterator[str]:
    """A sentence for every reader of a structure who has a style."""
    found: dict[tuple[str, str], list[str]] = {}
    for trait in agreement.traits:
        if trait.finding:
            words = f"{trait.finding} ({amount(trait)})"
            found.setdefault((trait.structure, trait.reader), []).append(words)
    for (structure, reader), styles in found.items():
        others = "the raters" if reader == agreement.model else "the other raters"
        yield f"{structure}: {reader} draws {', '.join(styles)} than {others}."


def amount(trait: Trait) -> str:
    """How large a style is, with its interval."""
    difference = trait.difference
    if trait.kind == "border":
        return f"{spelled(difference, 2, signed=False)} mm"
    if trait.kind == "size":
        return f"{spelled(difference, 1, signed=False, factor=100)} % of the volume"
    more = "more" if (difference.mean or 0) > 0 else "less"
    return f"{spelled(_exp(difference), 1, signed=False, factor=100)} % {more} surface for its volume"


def _exp(average: Average) -> Average:
    """A difference of logarithms as a share: 0.1 is about a tenth more."""
    ends = {"mean": average.mean, "low": average.low, "high": average.high}
    return average.but(**{name: None if end is None else float(np.expm1(end)) for name, end in ends.items()})


def spelled(average: Average, digits: int, *, signed: bool = True, factor: float = 1.0) -> str:
    """A mean with its interval; without its sign, where words say the direction."""
    if average.mean is None:
        return "-"
    turn = factor if signed or average.mean >= 0 else -factor
    text = f"{turn * average.mean:.{digits}f}"
    if average.low is None or average.high is None:
        return text
    low, high = sorted((turn * average.low, turn * average.high))
    return f"{text} [{low:.{digits}f}, {high:.{digits}f}]"


def _doubts(agreement: Agreement) -> Iterator[str]:
    raters, patients = len(agreement.raters), len(set(agreement.groups.values()))
    if raters < FEW_RATERS:
        yield (
            f"{raters} raters: who of them is right cannot be told, and their consensus is little more than "
            f"what both drew. {FEW_RATERS} are often enough."
        )
    if patients < FEW_PATIENTS:
        one = "" if patients == 1 else "s"
        yield f"{patients} patient{one}: intervals are wide, if there are any, and styles hard to prove."
    for one, other in agreement.alike:
        yield f"{one} and {other} drew exactly the same: is one of them a copy?"
    for reader, cases in agreement.absent.items():
        if cases:
            others = "A model that leaves out hard cases looks better." if reader == agreement.model else ""
            yield f"{reader} did not label {len(cases)} cases ({_some(cases)}). {others}".rstrip()
    if agreement.skipped:
        yield (
            f"{len(agreement.skipped)} cases were labelled by fewer than two raters and left out: "
            f"{_some(agreement.skipped)}."
        )
    if agreement.rules.method == "staple":
        tiny = [p.structure for p in agreement.people if p.voxels is not None and p.voxels < TINY]
        if tiny:
            yield (
                f"{', '.join(tiny)}: fewer than {TINY} voxels; STAPLE is not to be trusted with so little, "
                "a majority is."
            )


def note(agreement: Agreement) -> str:
    """How the consensus was made and what the means are over."""
    rules, margin = agreement.rules, agreement.rules.margin_mm
    field = "the whole scan" if margin is None else f"what anybody drew and {margin:g} mm around it"
    patients = len(set(agreement.groups.values()))
    return (
        f"Consensus by {rules.method}; specificity and kappa are of the field of view: {field}. Means over "
        f"{len(agreement.groups)} cases of {patients} patients with 95 % intervals."
    )


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _people_table(agreement: Agreement) -> str:
    heads = [
        "structure",
        "cases",
        "Dice of two raters",
        "HD95 (mm)",
        "volume difference (%)",
        "Fleiss' kappa",
    ]
    rows = [
        [
            people.structure,
            str(people.dice.n),
            spelled(people.dice, 3),
            spelled(people.hd95_mm, 1),
            spelled(people.volume_difference, 1, factor=100),
            spelled(people.kappa, 3),
        ]
        for people in agreement.people
    ]
    return markdown_table(heads, rows)


def _reader_table(agreement: Agreement) -> str:
    heads = ["structure", "reader", "Dice with each rater", "Dice with the others' consensus"]
    heads += ["sensitivity", "specificity"]
    rows = [
        [
            reader.structure,
            reader.reader,
            spelled(reader.dice_each, 3),
            spelled(reader.dice_of_others, 3),
            spelled(reader.sensitivity, 3),
            spelled(reader.specificity, 3),
        ]
        for reader in agreement.readers
    ]
    return markdown_table(heads, rows)


def _standing_table(agreement: Agreement) -> str:
    heads = ["structure", f"{agreement.model} with raters", "raters with each other", "difference", "verdict"]
    rows = [
        [s.structure, spelled(s.model, 3), spelled(s.people, 3), spelled(s.difference, 3), s.verdict]
        for s in agreement.standings
    ]
    return markdown_table(heads, rows)
