"""Histogram: how often each value occurs, merged in any order to the same result, bit for bit.

Values are rounded to 12 significant bits, so whole numbers up to 4096 stay exact (CT, most MR, colours)
and any other value moves by at most 1 part in 4096. Shares are whole numbers, and adding whole numbers
does not depend on the order. Rounding keeps the order of values, so a percentile of the rounded values is
the rounded percentile: no sampling, and the error is known.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import model_validator

from delineate.record import Record

SHARE = 2**30  # what the values of one case add up to, however many they are
DROPPED = 12  # of the 23 stored mantissa bits of a float32: 11 stay, and the leading 1
TOLERANCE = 2.0**-12  # relative: what rounding moves a value by at most

Keys = npt.NDArray[np.int64]


class Histogram(Record):
    """Values and what share of the whole each has; each case adds `SHARE` in all."""

    values: tuple[float, ...] = ()
    shares: tuple[int, ...] = ()

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.values) != len(self.shares):
            raise ValueError(f"{len(self.values)} values and {len(self.shares)} shares")
        if any(a >= b for a, b in zip(self.values[:-1], self.values[1:], strict=True)):
            raise ValueError("values ascend")
        if any(share <= 0 for share in self.shares):
            raise ValueError("shares are positive")
        return self

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Histogram:
        """The histogram of the finite values of one case; empty where there are none."""
        if values.size == 0:
            return cls()
        keys = _keys(values)
        low = int(keys.min())
        counts = np.bincount(keys - low)
        present = np.flatnonzero(counts)
        # Rounded up, so that "at least one half of the values" stays true of the shares.
        reached = -(-np.cumsum(counts[present]) * SHARE // values.size)
        shares = np.diff(reached, prepend=0)
        kept = shares > 0
        return cls(values=tuple(_values(present[kept] + low).tolist()), shares=tuple(shares[kept].tolist()))

    @classmethod
    def sum(cls, parts: Iterable[Histogram]) -> Histogram:
        """All parts in one."""
        every = list(parts)
        values = np.concatenate([np.array(part.values) for part in every] or [np.zeros(0)])
        shares = np.concatenate(
            [np.array(part.shares, np.int64) for part in every] or [np.zeros(0, np.int64)]
        )
        found, where = np.unique(values, return_inverse=True)
        total = np.zeros(len(found), np.int64)
        np.add.at(total, where, shares)
        return cls(values=tuple(found.tolist()), shares=tuple(total.tolist()))

    def percentile(self, percent: float) -> float:
        """The smallest value that at least `percent` of the whole do not exceed; NaN where empty."""
        if not self.values:
            return float("nan")
        reached = np.cumsum(np.array(self.shares))
        index = int(np.searchsorted(reached, percent / 100 * reached[-1]))
        return self.values[min(index, len(self.values) - 1)]


def _keys(values: npt.NDArray[Any]) -> Keys:
    """A whole number per value, in the same order: sign and the upper bits of the float32."""
    largest = np.finfo(np.float32).max
    bits = np.clip(values, -largest, largest).astype(np.float32).view(np.int32).astype(np.int64)
    magnitude = bits & 0x7FFFFFFF
    rounded = np.minimum((magnitude + (1 << (DROPPED - 1))) >> DROPPED, int(_LAST))
    return np.asarray(np.where(bits < 0, -rounded, rounded), np.int64)


def _values(keys: Keys) -> npt.NDArray[np.float64]:
    magnitude = (np.abs(keys) << DROPPED).astype(np.int32).view(np.float32).astype(np.float64)
    return np.where(keys < 0, -magnitude, magnitude)


_LAST = np.float32(np.finfo(np.float32).max).view(np.int32) >> DROPPED
