"""Concordance: whether two ways to measure the same thing give the same numbers.

Bland-Altman  the mean difference (bias) and the limits between which 95 % of differences lie
ICC(2,1)      the share of all variance that is between the things measured, for raters taken as a sample of
              raters: single ratings, absolute agreement
Lin's rho     correlation times nearness to the line of identity; for two raters close to ICC(2,1)

A correlation is not among them: it is 1 also where one of the two is always twice the other.

Intervals are at 95 % and hold for independent cases with differences that are about normal. Those of the
limits are exact then, also for few cases (quantiles of a non-central t); the symmetric approximation of 1986
reaches too far inwards and not far enough outwards there.

Sources: Bland and Altman 1986, doi:10.1016/S0140-6736(86)90837-8; Carkeet 2015,
doi:10.1097/OPX.0000000000000513 (exact intervals of limits); Shrout and Fleiss 1979,
doi:10.1037/0033-2909.86.2.420; McGraw and Wong 1996, doi:10.1037/1082-989X.1.1.30 (interval of ICC); Lin
1989, doi:10.2307/2532051, with the correction of 2000, doi:10.1111/j.0006-341X.2000.00324.x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import fdtri, nctdtrit, ndtri, stdtrit

from delineate.errors import DataError
from delineate.evaluation.statistics import Interval, Numbers
from delineate.record import Record

HIGH = 0.975  # the upper end of a 95 % interval
SAME = 1e-12  # of the largest value: what rounding makes of equal values
REACH = float(ndtri(HIGH))  # 1.96: so many standard deviations hold 95 % of a normal curve


class BlandAltman(Record):
    """Differences between two measurements of the same cases: their mean, and where 95 % of them lie.

    All but `n` and `bias` are None for a single case.
    """

    n: int
    bias: float
    bias_interval: Interval | None
    sd: float | None  # with n - 1
    lower: float | None
    lower_interval: Interval | None
    upper: float | None
    upper_interval: Interval | None

    @classmethod
    def of(cls, differences: Sequence[float] | Numbers) -> BlandAltman | None:
        """The agreement that these differences show; None where there are none."""
        values = np.asarray(differences, dtype=float)
        n = len(values)
        if not n:
            return None
        bias = float(values.mean())
        if n == 1:
            nothing = dict.fromkeys(
                ("bias_interval", "sd", "lower", "lower_interval", "upper", "upper_interval")
            )
            return cls(n=1, bias=bias, **nothing)
        sd = float(values.std(ddof=1))
        half = float(stdtrit(n - 1, HIGH)) * sd / math.sqrt(n)
        # How many sd the limit of everybody may lie from the bias of these n, at the least and at the most.
        near, far = (float(nctdtrit(n - 1, REACH * math.sqrt(n), p)) / math.sqrt(n) for p in (1 - HIGH, HIGH))
        return cls(
            n=n,
            bias=bias,
            bias_interval=(bias - half, bias + half),
            sd=sd,
            lower=bias - REACH * sd,
            lower_interval=(bias - far * sd, bias - near * sd),
            upper=bias + REACH * sd,
            upper_interval=(bias + near * sd, bias + far * sd),
        )


class Agreement(Record):
    """A coefficient of agreement, 1 where all measurements are the same, and its 95 % interval."""

    value: float
    interval: Interval | None


def intraclass(ratings: Numbers) -> Agreement | None:
    """ICC(2,1) of a complete table (case, rater).

    None for fewer than two cases or raters, or where all values are the same: there is nothing to agree on.
    """
    ratings = _complete(ratings)
    n, k = ratings.shape
    if min(n, k) < 2 or _are_same(ratings):
        return None
    ratings = _scaled(ratings)
    between, raters, rest = _mean_squares(ratings)
    whole = between + (k - 1) * rest + k * (raters - rest) / n
    if whole <= 0:
        return None
    value = (between - rest) / whole
    if raters == rest == 0:
        return Agreement(value=1.0, interval=(1.0, 1.0))
    others = n * (1 + (k - 1) * value) - k * value
    top = (k - 1) * (n - 1) * (k * value * raters + others * rest) ** 2
    bottom = (n - 1) * (k * value * raters) ** 2 + (others * rest) ** 2
    if top == 0 or bottom == 0:
        return Agreement(value=float(value), interval=None)
    freedom = top / bottom
    up, down = float(fdtri(n - 1, freedom, HIGH)), float(fdtri(freedom, n - 1, HIGH))
    error = k * raters + (k * n - k - n) * rest
    low = n * (between - up * rest) / (up * error + n * between)
    high = n * (down * between - rest) / (error + n * down * between)
    return Agreement(value=float(value), interval=(float(low), float(high)))


def lin(first: Numbers, second: Numbers) -> Agreement | None:
    """Lin's concordance of two measurements (case,); None where all values are the same, or no case is left.

    There is no interval for fewer than three cases, or where the two are not correlated at all.
    """
    both = _complete(np.stack([np.asarray(first, dtype=float), np.asarray(second, dtype=float)]))
    if not both.size or _are_same(both):
        return None
    a, b = _scaled(both)
    spread = float(np.sqrt(a.var() * b.var()))
    shared, apart = float(np.mean((a - a.mean()) * (b - b.mean()))), float(a.mean() - b.mean())
    value = 2 * shared / (a.var() + b.var() + apart**2)
    correlation = shared / spread if spread else 0.0
    if len(a) < 3 or correlation == 0:
        return Agreement(value=float(value), interval=None)
    if abs(value) >= 1:
        return Agreement(value=float(value), interval=(float(value), float(value)))
    error = math.sqrt(max(_variance_of_z(float(value), correlation, apart**2 / spread), 0.0) / (len(a) - 2))
    z = math.atanh(value)
    return Agreement(
        value=float(value), interval=(math.tanh(z - REACH * error), math.tanh(z + REACH * error))
    )


def _variance_of_z(rho: float, correlation: float, shift: float) -> float:
    """Of the inverse hyperbolic tangent of Lin's rho, times n - 2; `shift` is u^2."""
    left = 1 - rho**2
    return (
        (1 - correlation**2) * rho**2 / (left * correlation**2)
        + 2 * rho**3 * (1 - rho) * shift / (correlation * left**2)
        - rho**4 * shift**2 / (2 * correlation**2 * left**2)
    )


def _mean_squares(ratings: Numbers) -> tuple[float, float, float]:
    """Between cases, between raters, and what is left."""
    n, k = ratings.shape
    middle = ratings.mean()
    cases, raters = ratings.mean(axis=1, keepdims=True), ratings.mean(axis=0, keepdims=True)
    rest = ratings - cases - raters + middle
    rest[np.abs(rest) < SAME] = 0  # what rounding leaves of nothing
    return (
        float(k * ((cases - middle) ** 2).sum() / (n - 1)),
        float(n * ((raters - middle) ** 2).sum() / (k - 1)),
        float((rest**2).sum() / ((n - 1) * (k - 1))),
    )


def _are_same(values: Numbers) -> bool:
    return bool(np.ptp(values) <= SAME * np.abs(values).max())


def _scaled(values: Numbers) -> Numbers:
    """From 0 to 1: agreement depends neither on the unit nor on its origin."""
    return np.asarray((values - values.min()) / np.ptp(values))


def _complete(ratings: Numbers) -> Numbers:
    table = np.asarray(ratings, dtype=float)
    if table.ndim != 2 or np.isnan(table).any():
        got = "one with gaps" if table.ndim == 2 else f"{table.ndim} axes"
        raise DataError(
            f"ratings are a whole table (case, rater), got {got}. Leave out cases that somebody did not rate."
        )
    return table
