"""Ledger: what was read in all cases as columns over them, and their means with intervals over patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import stdtr

from delineate.evaluation.raters.readings import CaseReadings, Pairing, Reading, Sitting
from delineate.evaluation.statistics import Bootstrap, Estimate, Numbers
from delineate.record import Record

PairValue = Literal["dice", "kappa", "hd95_mm", "volume_bias", "offset_mm"]
SIGNED: tuple[PairValue, ...] = ("volume_bias", "offset_mm")  # the other way round with the readers
ReadingValue = Literal[
    "volume_ml", "roughness", "sensitivity", "specificity", "dice", "dice_of_others", "model_of_others"
]
SittingValue = Literal["kappa", "consensus_ml", "consensus_voxels"]


class Average(Record):
    """A mean over cases and its 95 % interval over patients; None where there is none.

    n  cases that have a value, of so many patients
    """

    mean: float | None
    low: float | None
    high: float | None
    n: int
    patients: int


@dataclass(frozen=True, eq=False)
class Ledger:
    """Columns over the cases, NaN where a case has no value.

    groups  case -> patient, in the order of the columns
    """

    groups: Mapping[str, str]
    bootstrap: Bootstrap
    pairings: Mapping[tuple[str, str, str], Mapping[str, Pairing]]
    readings: Mapping[tuple[str, str], Mapping[str, Reading]]
    sittings: Mapping[str, Mapping[str, Sitting]]

    @classmethod
    def of(cls, found: Iterable[CaseReadings], groups: Mapping[str, str], rng: np.random.Generator) -> Ledger:
        """The ledger of some cases; `groups` names them all, with the patient of each."""
        pairings: dict[tuple[str, str, str], dict[str, Pairing]] = {}
        readings: dict[tuple[str, str], dict[str, Reading]] = {}
        sittings: dict[str, dict[str, Sitting]] = {}
        for case in found:
            for pair in case.pairings:
                pairings.setdefault((pair.structure, pair.one, pair.other), {})[pair.case] = pair
            for reading in case.readings:
                readings.setdefault((reading.structure, reading.reader), {})[reading.case] = reading
            for sitting in case.sittings:
                sittings.setdefault(sitting.structure, {})[sitting.case] = sitting
        bootstrap = Bootstrap.drawn(list(groups.values()) or ["nobody"], rng)
        return cls(groups, bootstrap, pairings, readings, sittings)

    @property
    def structures(self) -> tuple[str, ...]:
        """Names of what was drawn."""
        return tuple(self.sittings)

    def pair(self, structure: str, one: str, other: str, value: PairValue) -> Numbers:
        """(case,) of two readers, in either order."""
        straight = self.pairings.get((structure, one, other))
        if straight is not None:
            return self._column({case: getattr(row, value) for case, row in straight.items()})
        turned = self.pairings.get((structure, other, one), {})
        column = self._column({case: getattr(row, value) for case, row in turned.items()})
        return -column if value in SIGNED else column

    def with_each(self, structure: str, one: str, others: Sequence[str], value: PairValue) -> Numbers:
        """(case,) the mean of one reader with each of the others."""
        return mean_of([self.pair(structure, one, other, value) for other in others if other != one])

    def reading(self, structure: str, reader: str, value: ReadingValue) -> Numbers:
        """(case,) of one reader."""
        rows = self.readings.get((structure, reader), {})
        return self._column({case: getattr(row, value) for case, row in rows.items()})

    def sitting(self, structure: str, value: SittingValue) -> Numbers:
        """(case,) of all raters together."""
        return self._column({case: getattr(row, value) for case, row in self.sittings[structure].items()})

    def average(self, column: Numbers) -> Average:
        """The mean and its interval."""
        estimate = self.bootstrap.mean(column)
        return averaged(estimate, estimate.interval() if estimate else None, column)

    def widest(self, column: Numbers) -> Average:
        """The mean and the wider interval of two kinds, each at its end: for a verdict."""
        estimate = self.bootstrap.mean(column)
        return averaged(estimate, _outermost(estimate) if estimate else None, column)

    def _column(self, values: Mapping[str, float | None]) -> Numbers:
        found = [values.get(case) for case in self.groups]
        return np.array([np.nan if value is None else value for value in found], dtype=float)


def averaged(estimate: Estimate | None, ends: tuple[float, float] | None, column: Numbers) -> Average:
    """The record of an estimate with the ends of its interval."""
    low, high = ends or (None, None)
    return Average(
        mean=estimate.value if estimate else None,
        low=low,
        high=high,
        n=int(np.count_nonzero(~np.isnan(column))),
        patients=estimate.patients if estimate else 0,
    )


def chance(estimate: Estimate | None) -> float | None:
    """How likely a mean so far from 0 is where the true one is 0 (two-sided t over patients).

    None for fewer than two patients; 1 where every value is 0, and 0 where all are one other value.
    """
    if estimate is None or estimate.patients < 2:
        return None
    if not estimate.error:
        return 1.0 if not estimate.value else 0.0
    return float(2 * stdtr(estimate.patients - 1, -abs(estimate.value / estimate.error)))


def mean_of(columns: Sequence[Numbers]) -> Numbers:
    """(case,) the mean of the values that are there; NaN where none is."""
    table = np.array(columns)
    there = ~np.isnan(table)
    count = there.sum(axis=0)
    sums = np.where(there, table, 0).sum(axis=0)
    return np.asarray(np.divide(sums, count, out=np.full(count.shape, np.nan), where=count > 0))


def median_of(columns: Sequence[Numbers]) -> Numbers:
    """(case,) the median of the values that are there; NaN where none is."""
    table = np.sort(np.array(columns), axis=0)  # NaN last
    count = np.count_nonzero(~np.isnan(table), axis=0)
    middles = [np.maximum(half, 0)[None] for half in ((count - 1) // 2, count // 2 - (count == 0))]
    low, high = (np.take_along_axis(table, middle, axis=0)[0] for middle in middles)
    return np.asarray(np.where(count > 0, (low + high) / 2, np.nan))


def _outermost(estimate: Estimate) -> tuple[float, float] | None:
    ends = [estimate.interval("bca_expanded"), estimate.interval("t")]
    there = [end for end in ends if end is not None]
    return (min(low for low, _ in there), max(high for _, high in there)) if there else None
