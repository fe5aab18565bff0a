"""Compression: what making a model smaller changed, in a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from delineate.evaluation import Comparison, Report, Rules, Terms, compare
from delineate.evaluation.markdown import markdown_table
from delineate.record import Record

Method = Literal["int8", "prune", "distil"]
LOST = 0.005  # Dice: a structure that loses more is lost
SAME = 0.001  # mean Dice: a change within this is none
RULES = Rules(metrics=("dice", "hd95"))
HEADS_OF_COSTS = ("networks", "engine", "MB", "ms a window", "mean Dice", "change of it", "within 0.001")
HEADS_OF_CHANGES = ("networks", "structure", "measure", "before", "after", "change", "95 % interval", "cases")


class Variant(Record):
    """One way to compute the model.

    megabytes     of its networks on disk
    milliseconds  for one window of the first configuration, the median of 20
    """

    name: str
    engine: str
    megabytes: float
    milliseconds: float


class Change(Record):
    """After less before, by one measure, on cases that have both values.

    structure  None: the mean over structures
    lacking    values that only the model before has
    """

    variant: str
    structure: str | None
    metric: str
    before: float | None
    after: float | None
    change: float | None
    low: float | None
    high: float | None
    cases: int
    lacking: int


class Compression(Record):
    """What a smaller model costs and gains, measured on labelled cases.

    made_from  digest of the model before
    how        the method in words
    data       which cases it was measured on; `patients` of them are different people
    before     the name of the variant that the others are compared with
    """

    version: Literal[1] = 1
    method: Method
    made_from: str
    how: str
    data: str
    cases: int
    patients: int
    before: str
    variants: tuple[Variant, ...]
    changes: tuple[Change, ...]
    notes: tuple[str, ...] = ()

    def lost(self, variant: str) -> tuple[Change, ...]:
        """Structures that lose more than half a Dice point."""
        return tuple(
            each
            for each in self.changes
            if each.variant == variant
            and each.metric == "dice"
            and each.structure is not None
            and (each.lacking > 0 if each.change is None else each.change < -LOST)
        )

    def mean_dice(self, variant: str) -> Change | None:
        """How the mean Dice of the structures changes; None where it was not measured."""
        found = [c for c in self.changes if (c.variant, c.metric, c.structure) == (variant, "dice", None)]
        return found[0] if found else None

    def costs(self) -> list[tuple[str, ...]]:
        """The table of sizes and times, without its heads."""
        return [self._cost(variant) for variant in self.variants]

    def rows(self) -> list[tuple[str, ...]]:
        """The table of structures, without its heads."""
        return [_row(change) for change in self.changes if change.structure is not None]

    def to_markdown(self) -> str:
        """Both tables, with what they were measured on."""
        people = f"{self.cases} cases of {self.patients} patients"
        parts = [
            "## Compression",
            f"{self.how} Measured on {self.data}: {people}. Times are of one window, the median of 20.",
            markdown_table(HEADS_OF_COSTS, self.costs()),
            markdown_table(HEADS_OF_CHANGES, self.rows()),
            *(f"- {note}" for note in self.notes),
        ]
        return "\n\n".join(parts) + "\n"

    def _cost(self, variant: Variant) -> tuple[str, ...]:
        size, time = f"{variant.megabytes:.2f}", f"{variant.milliseconds:.1f}"
        first = (variant.name, variant.engine, size, time)
        found = self.mean_dice(variant.name)
        if variant.name == self.before:
            own = next((c for c in self.changes if c.metric == "dice" and c.structure is None), None)
            return (*first, _number(own.before if own else None, 4), "", "")
        if found is None or found.change is None:
            return (*first, "", "", "")
        within = "yes" if abs(found.change) <= SAME else "no"
        return (*first, _number(found.after, 4), _signed(found.change, 4), within)


def changes_of(reports: Mapping[str, Report]) -> tuple[Change, ...]:
    """How every report differs from the first, by structure and on the mean of structures."""
    names = tuple(reports)
    first, second, *others = reports.values()
    terms = Terms(metrics=RULES.metrics)
    comparison = compare(first, second, *others, names=names, terms=terms)
    return tuple(change for name in names[1:] for change in _against(comparison, names[0], name))


def _against(comparison: Comparison, before: str, after: str) -> tuple[Change, ...]:
    return tuple(
        Change(
            variant=after,
            structure=contrast.structure,
            metric=contrast.metric,
            before=contrast.mean_first,
            after=contrast.mean_second,
            change=None if contrast.difference is None else -contrast.difference,
            low=None if contrast.high is None else -contrast.high,
            high=None if contrast.low is None else -contrast.low,
            cases=contrast.pairs,
            lacking=contrast.only_first,
        )
        for contrast in comparison.contrasts
        if (contrast.first, contrast.second) == (before, after)
    )


def _row(change: Change) -> tuple[str, ...]:
    digits = 4 if change.metric == "dice" else 2
    unit = "" if change.metric == "dice" else " mm"
    ends = (change.low, change.high)
    between = " to ".join(_signed(end, digits) for end in ends if end is not None)
    lacking = f" ({change.lacking} lack one now)" if change.lacking else ""
    return (
        change.variant,
        change.structure or "",
        {"dice": "Dice", "hd95": "HD95"}[change.metric] + unit,
        _number(change.before, digits),
        _number(change.after, digits),
        "" if change.change is None else _signed(change.change, digits),
        between,
        f"{change.cases}{lacking}",
    )


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    """With its sign, unless nothing is left of it."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}" if rounded else f"{0:.{digits}f}"
