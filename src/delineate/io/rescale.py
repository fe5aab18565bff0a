"""Rescale: the line from stored numbers to the quantity they stand for (Hounsfield units, ...)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Rescale:
    """value = slope * stored + intercept (NIfTI scl_slope; DICOM PS3.3 C.11.1.1.2)."""

    slope: float = 1.0
    intercept: float = 0.0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.slope) and np.isfinite(self.intercept)) or self.slope == 0:
            raise DataError(
                f"a rescale slope is a finite number other than 0 and an intercept a finite number, "
                f"got {self.slope:g} and {self.intercept:g}."
            )

    @property
    def is_identity(self) -> bool:
        """Whether stored numbers are the values."""
        return self.slope == 1 and self.intercept == 0

    def applied(self, stored: Array) -> Array:
        """The values. Whole numbers stay whole where they can; else float32, or float64 from 32 bits on."""
        if self.is_identity:
            return stored
        whole = np.issubdtype(stored.dtype, np.integer) and stored.size > 0
        if whole and self.slope.is_integer() and self.intercept.is_integer():
            kind = self._whole_kind(stored)
            if kind is not None:
                values = stored.astype(kind)
                values *= kind.type(self.slope)
                values += kind.type(self.intercept)
                return values
        wide = stored.dtype.itemsize > (2 if whole else 4)
        values = stored.astype(np.float64 if wide else np.float32)
        with np.errstate(
            over="ignore", invalid="ignore"
        ):  # a senseless slope gives infinity, for `check` to find
            values *= self.slope
            values += self.intercept
        return values

    def _whole_kind(self, stored: Array) -> np.dtype[Any] | None:
        """The smallest signed type that holds every step of the arithmetic."""
        extremes = [int(stored.min()), int(stored.max())]
        slope, intercept = int(self.slope), int(self.intercept)
        steps = [slope, intercept, *extremes, *(slope * v for v in extremes)]
        steps += [slope * v + intercept for v in extremes]
        for kind in (np.int16, np.int32, np.int64):
            limits = np.iinfo(kind)
            if limits.min <= min(steps) and max(steps) <= limits.max:
                return np.dtype(kind)
        return None
