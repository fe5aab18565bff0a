"""Forecast: how many cases it would take, before they are there.

A mean of n patients with a spread (standard deviation) s is known to t s / sqrt(n). From the mean and spread
so far follows at which n the interval would clear a threshold, if further patients are like those so far.
The mean so far is itself uncertain, so that number is right about every second time: the chance to reach
the goal with more patients is said as well, and how many make it likely.

Sources: Student 1908 (t); Geisser 1993, Predictive Inference, chapter 2 (the predictive distribution of a
further mean under a flat prior); El Jurdi, Varoquaux and Colliot 2025 (how many cases segmentation needs).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

import numpy as np
from scipy.special import ndtri, stdtr, stdtrit

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import LEVEL, SAME, Bootstrap, Estimate, Numbers
from delineate.record import Record

MOST = 100_000  # patients; to ask for more helps nobody
LIKELY = 0.8  # as studies are planned: four times out of five


class Forecast(Record):
    """How many more patients would show that a mean clears a threshold.

    units      "cases", or "patients" where some have several cases
    patients   how many there are so far
    spread     standard deviation between them
    end        the end of the interval that has to clear the threshold, so far
    more       about so many more, if they are like those so far; 0: shown already; None: see `why`
    chance     that so many more suffice, as far as those so far tell; about one half, by construction
    likely     so many more for a chance of four in five; None where no number gives it
    """

    threshold: float
    best: Literal["high", "low"]
    level: float
    units: Literal["cases", "patients"]
    patients: int
    mean: float | None = None
    spread: float | None = None
    end: float | None = None
    more: int | None = None
    chance: float | None = None
    likely: int | None = None
    why: str

    @property
    def sentence(self) -> str:
        """The forecast as one says it."""
        if not self.more:
            return self.why[0].upper() + self.why[1:] + "."
        one = self.units[:-1] if self.more == 1 else self.units
        asked = f"You need about {self.more} more {one} to prove {self.threshold:g}"
        said = f"{asked}, if they are like those so far"
        if self.likely is None:
            return f"{said}; the mean is too close to it for any number to make that likely."
        return f"{said}; {self.likely} for a chance of four in five."


class Needs(Record):
    """What it would take to prove a threshold, structure by structure."""

    version: Literal[1] = 1
    title: str
    metric: str
    threshold: float
    structures: dict[str, Forecast]

    def to_markdown(self) -> str:
        """A table with a line per structure, and a sentence on each."""
        heads = ("structure", "patients", "mean", "spread", "end of the interval", "more", "likely with")
        rows = [(name, *_cells(found)) for name, found in self.structures.items()]
        said = "\n".join(f"- {name}: {found.sentence}" for name, found in self.structures.items())
        return (
            f"{MEASURES[self.metric].title}, {self.threshold:g}\n\n{markdown_table(heads, rows)}\n\n{said}\n"
        )


def _cells(found: Forecast) -> tuple[str, ...]:
    numbers = ("-" if v is None else f"{v:.3f}" for v in (found.mean, found.spread, found.end))
    counts = ("-" if v is None else str(v) for v in (found.more, found.likely))
    return str(found.patients), *numbers, *counts


def needs(report: Report, threshold: float, metric: str = "dice") -> Needs:
    """What each structure of a report would take, by the intervals that the report gives.

    Raises:
        DataError: the metric was not measured, or is best at zero.
    """
    best = MEASURES[metric].best if metric in MEASURES else "zero"
    if metric not in report.metrics or best == "zero":
        can = [name for name in report.metrics if MEASURES[name].best != "zero"]
        raise DataError(f"no forecast of {metric!r}: there can be one of {', '.join(can) or 'nothing'}.")
    found = {}
    for structure in report.structures:
        summary = report.summary(structure, metric)
        values = report.values(structure, metric)
        found[structure] = cases_to_prove(
            [values[case] for case in report.cases],
            threshold,
            groups=[report.groups[case] for case in report.cases],
            best=best,
            end=summary.ci_low if best == "high" else summary.ci_high,
        )
    return Needs(title=report.title, metric=metric, threshold=threshold, structures=found)


@dataclass(frozen=True)
class SoFar:
    """What is known after some patients.

    margin    how far the mean is on the right side of the threshold
    spread    standard deviation between patients
    widening  the width of the interval that decides, as a multiple of Student's t
    """

    patients: int
    margin: float
    spread: float
    level: float
    widening: float = 1.0

    def half(self, patients: int) -> float:
        """Half the interval of the mean of so many patients like these."""
        reach = stdtrit(patients - 1, (1 + self.level) / 2)
        return float(self.widening * reach * self.spread / sqrt(patients))

    def more(self) -> int | None:
        """The fewest further patients with which the interval clears the threshold; None: beyond `MOST`."""
        return _fewest(lambda more: self.half(self.patients + more) <= self.margin)

    def chance(self, more: int) -> float:
        """The chance that the interval clears the threshold with so many more.

        The mean of `more` further patients less the mean so far, divided by spread * sqrt(1/n + 1/more), has
        Student's distribution with n - 1 degrees of freedom; it moves the mean of all by its share of them.
        """
        if more == 0:
            return float(self.half(self.patients) <= self.margin)
        n, total = self.patients, self.patients + more
        room = (self.margin - self.half(total)) * total / more
        return float(stdtr(n - 1, room / (self.spread * sqrt(1 / n + 1 / more))))

    def likely(self) -> int | None:
        """The fewest further patients with which that is likely; None where no number makes it so."""
        return _fewest(lambda more: self.chance(more) >= LIKELY)


def cases_to_prove(
    values: Sequence[float | None] | Numbers,
    threshold: float,
    *,
    groups: Sequence[str] | None = None,
    best: Literal["high", "low"] = "high",
    level: float = LEVEL,
    end: float | None = None,
) -> Forecast:
    """How many more cases it takes until the interval of the mean clears a threshold.

    values  one per case; None or NaN where missing
    groups  the patient of each case, in the same order; without it every case is a patient
    best    "high": the lower end must not be below the threshold; "low": the upper end not above it
    end     that end so far, where another interval than Student's t decides; its width is scaled
    """
    column = np.array(values, dtype=float)
    names = [str(n) for n in range(len(column))] if groups is None else list(groups)
    if len(names) != len(column):
        raise DataError(f"expected a patient for each of {len(column)} cases, got {len(names)}")
    estimate = _estimate(column, names)
    patients = estimate.patients if estimate else 0
    blank = Forecast(
        threshold=threshold,
        best=best,
        level=level,
        units="cases" if len(set(names)) == len(names) else "patients",
        patients=patients,
        why=f"{patients or 'no'} patient{'' if patients == 1 else 's'} with a value; a forecast needs two",
    )
    ends = estimate.interval("t", level) if estimate else None
    if estimate is None or ends is None:
        return blank.but(mean=estimate.value if estimate else None)
    sign = 1 if best == "high" else -1
    by_t = ends[0 if best == "high" else 1]
    end = by_t if end is None else end
    found = blank.but(mean=estimate.value, spread=estimate.error * sqrt(patients), end=end)
    width = sign * (estimate.value - by_t)
    widening = sign * (estimate.value - end) / width if width > 0 else 1.0
    margin = sign * (estimate.value - threshold)
    known = SoFar(patients, margin, estimate.error * sqrt(patients), level, widening)
    return _forecast(found, known, cleared=sign * (end - threshold) >= 0)


def _estimate(column: Numbers, groups: Sequence[str]) -> Estimate | None:
    if not groups:
        return None
    return Bootstrap.drawn(groups, np.random.default_rng(0), draws=1).mean(column)  # no draw is looked at


def _forecast(blank: Forecast, known: SoFar, *, cleared: bool) -> Forecast:
    """The blank, filled in."""
    if known.margin <= 0:
        return blank.but(
            why=f"the mean so far, {blank.mean:.4g}, does not clear {blank.threshold:g}: more cases like "
            "these would not either, a better model may"
        )
    if known.spread <= SAME * abs(blank.mean or 1):
        return blank.but(why=f"all {blank.units} have the same value: nothing tells how others would differ")
    if cleared:
        return blank.but(more=0, chance=1.0, likely=0, why=f"{blank.threshold:g} is cleared already")
    more = known.more()
    if more is None:
        return blank.but(why=f"the mean so far, {blank.mean:.4g}, is so close that {MOST} would not suffice")
    why = (
        f"{known.patients} {blank.units} have a mean of {blank.mean:.4g} with a spread of {blank.spread:.2g}"
    )
    return blank.but(more=more, chance=known.chance(more), likely=known.likely(), why=why)


def cases_for(half: float, sd: float, *, level: float = LEVEL) -> int:
    """How many independent cases it takes to know a mean to plus or minus `half`, if the spread is `sd`.

    For planning: the spread of validation cases is that of the cases one has, seldom that of a hospital's.
    """
    if half <= 0 or sd < 0:
        raise DataError(f"expected a half-width above 0 and a spread of 0 or more, got {half:g} and {sd:g}")
    return max(1, ceil((float(ndtri((1 + level) / 2)) * sd / half) ** 2 - SAME))


def _fewest(enough: Callable[[int], bool]) -> int | None:
    """The smallest number from 1 to `MOST` that is enough, where every larger one is too."""
    if not enough(MOST):
        return None
    low, high = 1, MOST
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return low
