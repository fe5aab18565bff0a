"""Statistics: what many cases say together, and how sure.

Patients, not scans, are the independent units: whole groups are drawn again, so ten scans of one patient
do not look like ten patients. One set of draws serves every structure and measure of an assessment.

bca           bootstrap, corrected for bias and for a spread that changes with the value
bca_expanded  the same, widened for few patients as Student's t is; the default
percentile    bootstrap, the middle of the draws
t             mean and Student's t with the jackknife's standard error; median by Woodruff's method

Which of them to trust when: `docs/explanations/statistics.md`, with the coverage that was measured.
Sources: Efron and Tibshirani 1993, chapters 13 (percentile) and 14 (BCa, jackknife); Hesterberg 2015,
doi:10.1080/00031305.2015.1089789 (expanded intervals); Field and Welsh 2007,
doi:10.1111/j.1467-9868.2007.00593.x (bootstrap of clusters); Woodruff 1952,
doi:10.1080/01621459.1952.10483443 (intervals of quantiles, also of clustered samples).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr, ndtri, stdtrit

from delineate.errors import DataError

Numbers = npt.NDArray[np.float64]  # NaN is a missing value
Membership = npt.NDArray[np.intp]
Interval = tuple[float, float]
IntervalMethod = Literal["bca_expanded", "bca", "percentile", "t"]
Middle = Literal["mean", "median"]
METHODS: tuple[IntervalMethod, ...] = get_args(IntervalMethod)
INTERVALS: dict[IntervalMethod, str] = {  # in words, as they stand below a table
    "bca_expanded": "BCa bootstrap over patients, widened for few",
    "bca": "BCa bootstrap over patients",
    "percentile": "percentile bootstrap over patients",
    "t": "Student's t over patients",
}

DRAWS = 2000  # the ends of a 95 % interval are then known to about a hundredth of its width
LEVEL = 0.95
METHOD: IntervalMethod = "bca_expanded"
SAME = 1e-12  # of the size of a statistic: what sums of the same numbers in another order differ by


@dataclass(frozen=True, eq=False)
class Estimate:
    """A statistic of the cases, and what it is when other patients, or one fewer, are looked at.

    draws    (draw,) its value in every draw; NaN where a draw has no value at all
    without  (group,) its value without each group; NaN for groups that have no part in it
    freedom  degrees of freedom of its spread; None: one less than the patients
    """

    value: float
    draws: Numbers
    without: Numbers
    freedom: int | None = None

    @property
    def patients(self) -> int:
        """How many groups have a part in it."""
        return int(np.count_nonzero(~np.isnan(self.without)))

    @property
    def error(self) -> float:
        """Its standard error by the jackknife; for the mean of single cases that is sd / sqrt(n)."""
        without = self.without[~np.isnan(self.without)]
        return float(np.sqrt((len(without) - 1) * without.var()))

    @classmethod
    def average(cls, parts: Sequence[Estimate]) -> Estimate:
        """The mean of statistics of the same cases and draws, such as of the structures of a scan."""
        # A group that has no part in one of them leaves that one as it is.
        moved = np.mean([np.where(np.isnan(p.without), p.value, p.without) for p in parts], axis=0)
        nobody = np.all([np.isnan(p.without) for p in parts], axis=0)
        return cls(
            float(np.mean([p.value for p in parts])),
            np.asarray(np.mean([p.draws for p in parts], axis=0)),
            np.where(nobody, np.nan, moved),
        )

    def interval(self, method: IntervalMethod = METHOD, level: float = LEVEL) -> Interval | None:
        """Where the statistic of all patients lies, as far as these tell; None for fewer than two.

        Where leaving out any patient changes nothing, the interval has no width: these cases say nothing
        about how much others would differ.
        """
        _checked(method, level)
        if self.patients < 2:
            return None
        if self._is_constant:
            return self.value, self.value
        match method:
            case "t":
                half = self._t(level) * self.error
                return float(self.value - half), float(self.value + half)
            case "percentile":
                return percentile_interval(self.draws, level)
            case "bca":
                return self._bca(ndtri((1 + level) / 2))
            case "bca_expanded":  # draws have the variance with n, not n - 1
                return self._bca(self._t(level) * np.sqrt((self._freedom + 1) / self._freedom))

    @property
    def _freedom(self) -> int:
        return self.patients - 1 if self.freedom is None else self.freedom

    def _t(self, level: float) -> float:
        return float(stdtrit(self._freedom, (1 + level) / 2))

    @property
    def _is_constant(self) -> bool:
        moved = np.nanmax(np.abs(self.without - self.value))
        drawn = np.nanmax(np.abs(self.draws - self.value))
        return bool(max(moved, drawn) <= SAME * abs(self.value))

    def _bca(self, reach: float) -> Interval:
        """Efron and Tibshirani, equations 14.9 to 14.15; `reach` is 1.96 for 95 % of a normal curve."""
        draws = self.draws[~np.isnan(self.draws)]
        same = SAME * abs(self.value)
        below = np.count_nonzero(draws < self.value - same) + np.count_nonzero(draws <= self.value + same)
        # Half a draw from the ends: a statistic beyond all its draws has no finite bias.
        share = np.clip(below / (2 * len(draws)), 0.5 / len(draws), 1 - 0.5 / len(draws))
        bias = ndtri(share)
        pull = np.nanmean(self.without) - self.without[~np.isnan(self.without)]
        spread = np.sum(pull**2)
        acceleration = np.sum(pull**3) / (6 * spread**1.5) if spread > 0 else 0.0
        ends = bias + np.array([-reach, reach])
        moved = bias + ends / np.maximum(1 - acceleration * ends, SAME)
        low, high = np.quantile(draws, ndtr(moved))
        return float(low), float(high)


@dataclass(frozen=True, eq=False)
class Bootstrap:
    """Cases drawn again with replacement, a whole group at a time.

    membership  (case,) the group of each case, as a number
    weights     (draw, group) how often each group was drawn
    """

    membership: Membership
    weights: Numbers

    @classmethod
    def drawn(cls, groups: Sequence[str], rng: np.random.Generator, *, draws: int = DRAWS) -> Bootstrap:
        """Draws for cases with these groups (patients), in the order of the cases."""
        names, membership = np.unique(np.array(groups), return_inverse=True)
        share = np.full(len(names), 1 / len(names))
        return cls(membership, rng.multinomial(len(names), share, size=draws).astype(float))

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return int(self.weights.shape[1])

    def means(self, values: Numbers) -> Numbers:
        """The mean of the values that are there in every draw: (draw,), NaN where none is."""
        there = ~np.isnan(values)
        sums = np.bincount(self.membership[there], values[there], self.groups)
        counts = self.weights @ np.bincount(self.membership[there], minlength=self.groups)
        empty = np.full(len(counts), np.nan)
        return np.asarray(np.divide(self.weights @ sums, counts, out=empty, where=counts > 0))

    def mean(self, values: Numbers) -> Estimate | None:
        """The mean of the values that are there; None where there is none."""
        there = ~np.isnan(values)
        if not there.any():
            return None
        return Estimate(float(values[there].mean()), self.means(values), self._means_without(values))

    def interval(
        self,
        values: Numbers,
        *,
        method: IntervalMethod = METHOD,
        level: float = LEVEL,
        of: Middle = "mean",
    ) -> Interval | None:
        """The interval of the mean or the median; None where fewer than two groups have a value."""
        _checked(method, level)
        if len(self._present(values)) < 2:
            return None
        if of == "median" and method == "t":
            return self._woodruff(values, level)
        estimate = self.mean(values) if of == "mean" else self._median(values)
        return estimate.interval(method, level) if estimate else None

    def _median(self, values: Numbers) -> Estimate:
        # Not public: the jackknife of a median is no standard error (Efron and Tibshirani, chapter 11.6).
        draws = _medians(values, self.membership, self.weights)
        return Estimate(float(np.nanmedian(values)), draws, self._medians_without(values))

    def _present(self, values: Numbers) -> Membership:
        """The groups that have a value."""
        return np.unique(self.membership[~np.isnan(values)])

    def _means_without(self, values: Numbers) -> Numbers:
        """The mean without each group; NaN for those that have no value."""
        there = ~np.isnan(values)
        sums = np.bincount(self.membership[there], values[there], self.groups)
        counts = np.bincount(self.membership[there], minlength=self.groups)
        left = np.maximum(counts.sum() - counts, 1)  # without the only group, 0 / 1
        return np.where(counts > 0, (sums.sum() - sums) / left, np.nan)

    def _medians_without(self, values: Numbers) -> Numbers:
        present = self._present(values)
        left = np.ones((len(present), self.groups))
        left[np.arange(len(present)), present] = 0
        result = np.full(self.groups, np.nan)
        result[present] = _medians(values, self.membership, left)
        return result

    def _woodruff(self, values: Numbers, level: float) -> Interval:
        """The quantiles at the ends of the interval of the share of values below the median."""
        median = np.nanmedian(values)
        below = np.where(np.isnan(values), np.nan, (values < median) + 0.5 * (values == median))
        share = Estimate(0.5, np.empty(0), self._means_without(below))
        half = stdtrit(share.patients - 1, (1 + level) / 2) * share.error
        low, high = np.nanquantile(values, np.clip([0.5 - half, 0.5 + half], 0, 1))
        return float(low), float(high)


def percentile_interval(draws: Numbers, level: float = LEVEL) -> Interval | None:
    """The middle `level` of the draws that have a value; None where none has."""
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return None
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def half_width(sd: float, cases: int, *, level: float = LEVEL) -> float:
    """Half the width of an interval of the mean of so many independent cases with this spread.

    For planning, where the spread is taken as known: 1.96 sd / sqrt(n) at 95 %.
    """
    if sd < 0 or cases < 1:
        raise DataError(
            f"a half-width needs a spread of 0 or more and a case, got sd {sd:g} and {cases} cases"
        )
    return float(ndtri((1 + level) / 2) * sd / np.sqrt(cases))


def _medians(values: Numbers, membership: Membership, weights: Numbers) -> Numbers:
    """The median for each row of weights (row, group); NaN where no case is left."""
    there = np.flatnonzero(~np.isnan(values))
    order = there[np.argsort(values[there])]
    reached = np.cumsum(weights[:, membership[order]], axis=1)  # (row, case)
    half = reached[:, -1:] / 2
    # The two middle values, the same one where the number of cases is odd.
    lower, upper = np.argmax(reached >= half, axis=1), np.argmax(reached > half, axis=1)
    middles = (values[order][lower] + values[order][upper]) / 2
    return np.where(half[:, 0] > 0, middles, np.nan)


def _checked(method: IntervalMethod, level: float) -> None:
    if method not in METHODS:
        raise DataError(f"unknown interval {method!r}; there are {', '.join(METHODS)}")
    if not 0 < level < 1:
        raise DataError(f"an interval's level lies between 0 and 1, got {level:g}")
