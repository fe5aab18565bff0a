"""Contrast: two models by one metric, of one structure or of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.evaluation.comparison.aligned import Judged
from delineate.evaluation.comparison.paired import Differences
from delineate.evaluation.statistics import Bootstrap, IntervalMethod, Numbers
from delineate.record import Record

Outcome = Literal["first better", "second better", "equivalent", "not proven", "not compared"]
"""What is known of two models.

first better, second better  the adjusted p-value is below 1 - level, and the interval excludes zero
equivalent                   neither, and the interval lies within the margin: no difference that matters
not proven                   neither: they may be alike, or the cases may be too few to tell
not compared                 no case has a value of both
"""


class Contrast(Record):
    """First less second, on cases that have both.

    structure     None: the mean over structures of their means
    pairs         values of both, over all structures; of `patients`
    only_first    cases (and structures) in which only the first has a value
    mean_first    over the pairs
    low, high     of the difference, at the level of the comparison
    ahead_first   patients in which the first is better on average; `ahead_second` the other way round
    effect        rank-biserial correlation: 1, the first is better in every patient; -1, the second
    p, adjusted   two-sided, and after Holm's correction for everything that was compared
    margin        within which a difference does not matter, where one was named
    """

    first: str
    second: str
    structure: str | None
    metric: str
    pairs: int
    patients: int
    only_first: int
    only_second: int
    mean_first: float | None = None
    mean_second: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    ahead_first: int = 0
    ahead_second: int = 0
    effect: float | None = None
    p: float | None = None
    adjusted: float | None = None
    margin: float | None = None
    outcome: Outcome = "not compared"

    @property
    def better(self) -> str | None:
        """The name of the model that is better, if one is proven to be."""
        return {"first better": self.first, "second better": self.second}.get(self.outcome)

    @property
    def is_within_margin(self) -> bool:
        """Whether the whole interval lies within the margin."""
        if self.margin is None or self.low is None or self.high is None:
            return False
        return -self.margin <= self.low and self.high <= self.margin

    def verdict(self, judged: Judged) -> str:
        """What is known, in words with the numbers that say so."""
        match self.outcome:
            case "not compared":
                return "not compared: no case has a value of both"
            case "equivalent":
                said = f"equivalent within {self.margin:g}{_unit(judged)}"
            case "not proven":
                said = "no difference proven"
            case _:
                small = f", by less than the margin of {self.margin:g}" if self.is_within_margin else ""
                said = f"{self.better} better, proven{small}"
        return f"{said} ({self.numbers(judged)})"

    def numbers(self, judged: Judged) -> str:
        """The difference and its interval."""
        if self.difference is None:
            return "no difference"
        said = f"difference {judged.number(self.difference)}{_unit(judged)}"
        if self.low is None or self.high is None:
            return f"{said}, one patient: no interval"
        return f"{said}, {judged.number(self.low)} to {judged.number(self.high)}"


@dataclass(frozen=True, eq=False)
class Evidence:
    """A contrast without its p-value, and the differences that it is to be found from."""

    contrast: Contrast
    differences: Differences | None

    @classmethod
    def of(cls, blank: Contrast, first: Numbers, second: Numbers, bootstrap: Bootstrap) -> Evidence:
        """The evidence in two columns (case,) of the cases of the bootstrap."""
        here, there = ~np.isnan(first), ~np.isnan(second)
        counted = blank.but(
            pairs=int(np.sum(here & there)),
            only_first=int(np.sum(here & ~there)),
            only_second=int(np.sum(there & ~here)),
        )
        differences = Differences.of(first, second, bootstrap)
        if differences is None:
            return cls(counted, None)
        means = {"mean_first": first[here & there].mean(), "mean_second": second[here & there].mean()}
        return cls(counted.but(**{name: float(mean) for name, mean in means.items()}), differences)

    @classmethod
    def average(cls, blank: Contrast, parts: Sequence[Evidence]) -> Evidence:
        """The evidence of the mean over structures; those without any pair are left out."""
        whole = blank.but(
            pairs=sum(part.contrast.pairs for part in parts),
            only_first=sum(part.contrast.only_first for part in parts),
            only_second=sum(part.contrast.only_second for part in parts),
        )
        there = [part.differences for part in parts if part.differences is not None]
        if not there:
            return cls(whole, None)
        firsts, seconds = (
            [mean for part in parts if (mean := getattr(part.contrast, name)) is not None]
            for name in ("mean_first", "mean_second")
        )
        means = {"mean_first": float(np.mean(firsts)), "mean_second": float(np.mean(seconds))}
        return cls(whole.but(**means), Differences.average(there))

    def weighed(self, best: Literal["high", "low"], method: IntervalMethod, level: float) -> Contrast:
        """The contrast with its difference, interval, effect and who is ahead in how many patients."""
        if self.differences is None:
            return self.contrast
        estimate = self.differences.estimate
        low, high = estimate.interval(method, level) or (None, None)
        larger, smaller, _ = self.differences.signs
        ahead = (larger, smaller) if best == "high" else (smaller, larger)
        effect = self.differences.effect
        return self.contrast.but(
            patients=estimate.patients,
            difference=estimate.value,
            low=low,
            high=high,
            ahead_first=ahead[0],
            ahead_second=ahead[1],
            effect=effect if effect is None or best == "high" else -effect,
        )


def judged_by(
    contrast: Contrast, adjusted: float | None, best: Literal["high", "low"], level: float
) -> Outcome:
    """What is known, once the p-value was adjusted for all that was compared."""
    if contrast.difference is None or adjusted is None:
        return "not compared"
    if contrast.low is None or contrast.high is None:
        return "not proven"
    if adjusted < 1 - level and not contrast.low <= 0 <= contrast.high:
        return "first better" if (contrast.low > 0) == (best == "high") else "second better"
    return "equivalent" if contrast.is_within_margin else "not proven"


def _unit(judged: Judged) -> str:
    return "" if judged.unit == "1" else f" {judged.unit}"
