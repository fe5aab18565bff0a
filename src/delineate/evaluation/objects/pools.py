"""Pools: what the sums over all cases say, and how sure.

A ratio of sums is no mean of cases, so its interval needs the sums of every draw. They are found with one
matrix of weights: its rows are the cases as they are, every draw of the bootstrap, and all but one patient.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from delineate.evaluation.overlap import Mask
from delineate.evaluation.statistics import Bootstrap, Estimate, IntervalMethod, Numbers
from delineate.record import Record


class Bounded(Record):
    """A value and its 95 % interval by patient; None where there is nothing to measure or to compare."""

    value: float | None
    low: float | None = None
    high: float | None = None

    @property
    def words(self) -> str:
        """The value with its interval, to three places."""
        if self.value is None:
            return "-"
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True, eq=False)
class Pool:
    """Cases that are summed: as they are, in every draw of the bootstrap, and without each patient."""

    bootstrap: Bootstrap
    method: IntervalMethod

    @cached_property
    def weights(self) -> Numbers:
        """(row, case): how often each case is summed."""
        groups = self.bootstrap.groups
        rows = np.concatenate([np.ones((1, groups)), self.bootstrap.weights, 1 - np.eye(groups)])
        return np.asarray(rows[:, self.bootstrap.membership])

    def bounded(self, values: Numbers, has_part: Mask | None = None) -> Bounded:
        """The value of the first row, bounded by those of the others.

        values    (row,), NaN where there is nothing to measure
        has_part  (case,) which cases the value depends on; None: all of them
        """
        if np.isnan(values[0]):
            return Bounded(value=None)
        end = 1 + len(self.bootstrap.weights)
        without = values[end:]
        if has_part is not None:
            takes_part = np.bincount(self.bootstrap.membership, has_part, self.bootstrap.groups) > 0
            without = np.where(takes_part, without, np.nan)
        estimate = Estimate(float(values[0]), values[1:end], without)
        low, high = estimate.interval(self.method) or (None, None)
        return Bounded(value=estimate.value, low=low, high=high)

    def mean(self, values: Numbers) -> Bounded:
        """The mean of (case,) values, NaN left out."""
        there = values[~np.isnan(values)]
        if not len(there):
            return Bounded(value=None)
        low, high = self.bootstrap.interval(values, method=self.method) or (None, None)
        return Bounded(value=float(there.mean()), low=low, high=high)
