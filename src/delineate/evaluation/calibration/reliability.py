"""Reliability: forecasts, sorted by how sure they were, and how often they came true.

A forecast is a probability and what happened. Forecasts are counted in bins, so that any number of voxels
takes the memory of one histogram, and what was counted of several scans is added up.

expected (ECE)  mean over forecasts of |frequency - forecast| of their bin
average (ACE)   mean over bins that hold any: rare, sure mistakes count as much as the easy background
maximum (MCE)   the largest over bins
adaptive        ECE in bins of equal mass instead of equal width (Nixon 2019 calls this ACE)

Bins of equal width hold [low, high), the last also its upper end. Bins of equal mass are put together from
2048 fine ones, equally wide on the logit scale, since most forecasts are next to 0 or 1; what lies in one
fine bin is not divided.

Sources: Guo 2017, arXiv:1706.04599 (ECE, MCE); Barfoot 2025, arXiv:2506.03942 (ACE); Nixon 2019,
arXiv:1904.01685 (adaptive); Murphy 1973, doi:10.1175/1520-0450(1973)012<0595:ANVPOT>2.0.CO;2 (Brier).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Forecasts = npt.NDArray[np.floating[Any]]
Bools = npt.NDArray[np.bool_]

BINS = 15  # Guo 2017
FINE = 2048
REACH = 16.7  # logits beyond are those of 0 and 1 in single precision
LEAST = 1e-12  # a probability of 0 for what happened would cost infinitely much


@dataclass(frozen=True, eq=False)
class Tally:
    """Forecasts in bins: how many, what they said in sum, and how many came true; each (..., bin)."""

    count: Numbers
    forecast: Numbers
    true: Numbers

    def __add__(self, other: Tally) -> Tally:
        """Both together."""
        return Tally(self.count + other.count, self.forecast + other.forecast, self.true + other.true)

    def gaps(self) -> Numbers:
        """|frequency - forecast| of each bin (bin,); NaN where there is none."""
        empty = np.full(self.count.shape, np.nan)
        apart = np.abs(self.true - self.forecast)
        return np.asarray(np.divide(apart, self.count, out=empty, where=self.count > 0))

    def merged(self, bins: int) -> Tally:
        """The same in as many bins of about equal mass, as far as single bins allow."""
        reached = np.cumsum(self.count)
        total = reached[-1] if len(reached) else 0.0
        if not total:
            return self
        middle = reached - self.count / 2  # a bin goes where its middle goes
        place = np.minimum((middle * bins / total).astype(int), bins - 1)
        count, forecast, true = (_sums(place, e, bins) for e in (self.count, self.forecast, self.true))
        return Tally(count, forecast, true)

    def among(self, kinds: Sequence[int]) -> Tally:
        """Several of the first axis together, without it."""
        rows = list(kinds)
        count, forecast, true = (e[rows].sum(axis=0) for e in (self.count, self.forecast, self.true))
        return Tally(count, forecast, true)


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was counted of many forecasts, with any leading axes (...).

    wide     in bins of equal width
    fine     in bins of equal width in logits
    squares  sums of (forecast - outcome)^2; of a forecast over classes, over all of them
    logs     sums of -log of the probability of what happened
    """

    wide: Tally
    fine: Tally
    squares: Numbers
    logs: Numbers

    @classmethod
    def of(cls, forecast: Forecasts, true: Bools, *, bins: int = BINS) -> Self:
        """The reliability of forecasts (n,) that something is there, and whether it was."""
        return cls.sorted(forecast, true, np.zeros(len(forecast), np.intp), 1, bins=bins).among([0])

    @classmethod
    def sorted(
        cls,
        forecast: Forecasts,
        true: Bools,
        kind: npt.NDArray[np.integer[Any]],
        kinds: int,
        *,
        bins: int = BINS,
        squares: Numbers | None = None,
        logs: Numbers | None = None,
    ) -> Self:
        """The reliability of each kind (kind,) of forecasts (n,).

        squares, logs  (n,) of each forecast, where it is the top one of several classes
        """
        happened = np.where(true, forecast, 1 - forecast)
        squares = (1 - happened) ** 2 if squares is None else squares
        logs = -np.log(np.maximum(happened, LEAST)) if logs is None else logs
        return cls(
            _tally(forecast, true, kind, kinds, _wide(forecast, bins), bins),
            _tally(forecast, true, kind, kinds, _fine(forecast), FINE),
            _sums(kind, squares, kinds),
            _sums(kind, logs, kinds),
        )

    def __add__(self, other: Reliability) -> Reliability:
        """Both together."""
        squares, logs = self.squares + other.squares, self.logs + other.logs
        return Reliability(self.wide + other.wide, self.fine + other.fine, squares, logs)

    def among(self, kinds: Sequence[int]) -> Self:
        """Several kinds together, without the axis of kinds."""
        rows = list(kinds)
        squares, logs = self.squares[rows].sum(axis=0), self.logs[rows].sum(axis=0)
        return type(self)(self.wide.among(rows), self.fine.among(rows), squares, logs)

    # of all forecasts together

    @property
    def n(self) -> int:
        """How many forecasts."""
        return int(self.wide.count.sum())

    @property
    def ece(self) -> float | None:
        """The expected calibration error."""
        return _expected(self.wide)

    @property
    def ace(self) -> float | None:
        """The average calibration error."""
        return float(np.nanmean(self.wide.gaps())) if self.n else None

    @property
    def mce(self) -> float | None:
        """The maximum calibration error."""
        return float(np.nanmax(self.wide.gaps())) if self.n else None

    @property
    def adaptive(self) -> float | None:
        """The expected calibration error in as many bins of equal mass."""
        return _expected(self.fine.merged(self.wide.count.shape[-1]))

    @property
    def brier(self) -> float | None:
        """The mean squared difference between forecast and outcome."""
        return float(self.squares) / self.n if self.n else None

    @property
    def nll(self) -> float | None:
        """The mean negative log-likelihood, in nats."""
        return float(self.logs) / self.n if self.n else None

    @property
    def forecast(self) -> float | None:
        """The mean forecast."""
        return float(self.wide.forecast.sum()) / self.n if self.n else None

    @property
    def frequency(self) -> float | None:
        """How often what was forecast came true."""
        return float(self.wide.true.sum()) / self.n if self.n else None


def edges(bins: int) -> Numbers:
    """The edges of bins of equal width."""
    return np.linspace(0, 1, bins + 1)


def _expected(tally: Tally) -> float | None:
    total = tally.count.sum()
    return float(np.abs(tally.true - tally.forecast).sum() / total) if total else None


def _wide(forecast: Forecasts, bins: int) -> npt.NDArray[np.intp]:
    return np.minimum((forecast * float(bins)).astype(np.intp), bins - 1)


def _fine(forecast: Forecasts) -> npt.NDArray[np.intp]:
    with np.errstate(divide="ignore"):  # 0 and 1 belong to the outermost bins
        logit = np.log(forecast) - np.log1p(-forecast)
    return np.clip((logit + REACH) * (FINE / (2 * REACH)), 0, FINE - 1).astype(np.intp)


def _tally(
    forecast: Forecasts,
    true: Bools,
    kind: npt.NDArray[np.integer[Any]],
    kinds: int,
    place: npt.NDArray[np.intp],
    bins: int,
) -> Tally:
    slot = kind.astype(np.intp) * bins + place
    found = np.bincount(slot * 2 + true, minlength=kinds * bins * 2).astype(np.float64)
    found = found.reshape(kinds, bins, 2)
    sums = _sums(slot, forecast, kinds * bins).reshape(kinds, bins)
    return Tally(found.sum(axis=2), sums, found[..., 1])


def _sums(place: npt.NDArray[np.integer[Any]], amounts: npt.NDArray[Any], places: int) -> Numbers:
    return np.asarray(np.bincount(place, amounts, places), np.float64)
