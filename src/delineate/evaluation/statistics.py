"""Statistics: what many cases say together, and how sure.

Patients, not scans, are the independent units: whole groups are drawn again, so ten scans of one patient
do not look like ten patients. One set of draws serves every structure and measure of an assessment.
Sources: Efron and Tibshirani 1993, chapter 13 (percentile interval); Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x (bootstrap of clusters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]  # NaN is a missing value
Interval = tuple[float, float]

DRAWS = 2000  # the ends of a 95 % interval are then known to about a hundredth of its width
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Cases drawn again with replacement, a whole group at a time.

    membership  (case,) the group of each case, as a number
    weights     (draw, group) how often each group was drawn
    """

    membership: npt.NDArray[np.intp]
    weights: Numbers

    @classmethod
    def drawn(cls, groups: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS) -> Bootstrap:
        """Draws for cases with these groups (patients), in the order of the cases."""
        names, membership = np.unique(np.array(groups), return_inverse=True)
        share = np.full(len(names), 1 / len(names))
        return cls(membership, rng.multinomial(len(names), share, size=draws).astype(float))

    def means(self, values: Numbers) -> Numbers:
        """The mean of the values that are there in every draw: (draw,), NaN where none is."""
        there = ~np.isnan(values)
        groups = self.weights.shape[1]
        sums = np.bincount(self.membership[there], values[there], groups)
        counts = self.weights @ np.bincount(self.membership[there], minlength=groups)
        empty = np.full(len(counts), np.nan)
        return np.asarray(np.divide(self.weights @ sums, counts, out=empty, where=counts > 0))

    def interval(self, values: Numbers) -> Interval | None:
        """The 95 % interval of the mean; None where fewer than two groups have a value."""
        if len(np.unique(self.membership[~np.isnan(values)])) < 2:
            return None
        return percentile_interval(self.means(values))


def percentile_interval(draws: Numbers, level: float = LEVEL) -> Interval | None:
    """The middle `level` of the draws that have a value; None where none has."""
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
