"""Kind: one way in which a scan may differ from those that a model has learnt from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from delineate.space import LabelMap, Volume

Array = npt.NDArray[Any]  # (channel, i, j, k)
Rng = np.random.Generator
Modality = Literal["mr", "ct", "picture"]

LEVELS = 5  # severities of a kind at most, as in Hendrycks 2019, arXiv:1903.12261


@dataclass(frozen=True, eq=False)
class Example:
    """A scan and its labels on one grid."""

    scan: Volume
    labels: LabelMap

    def with_values(self, array: Array) -> Example:
        """The same places with other values."""
        return replace(self, scan=replace(self.scan, array=array))


Change = Callable[[Example, float, Rng], Example]


@dataclass(frozen=True)
class Kind:
    """A shift in up to five severities.

    unit     what `levels` are counted in, as it stands after a number ("HU", "mm", "% of the signal")
    levels   how strong it is, by severity from 1 on
    change   example, level, generator -> the shifted example; the generator gives the same numbers at every
             severity, so that they differ in strength alone
    is_moving  whether anatomy lies elsewhere afterwards, or on another grid: labels have gone along
    definition what is done, in a sentence, with its source
    """

    name: str
    title: str
    unit: str
    levels: tuple[float, ...]
    change: Change
    definition: str
    is_moving: bool = False

    def level(self, severity: int) -> str:
        """How strong it is at a severity, in words."""
        return f"{self.levels[severity - 1]:g} {self.unit}".strip()


def float_values(scan: Volume) -> npt.NDArray[np.float32]:
    """The values of a scan (channel, i, j, k), as numbers of one's own."""
    return np.array(scan.array, dtype=np.float32)


def signal(values: npt.NDArray[np.float32]) -> tuple[float, float]:
    """The darkest and the brightest of a channel (i, j, k): 1 and 99 % of what is not exactly zero."""
    there = values[values != 0]
    if not there.size:
        return 0.0, 1.0
    low, high = np.percentile(there, (1, 99))
    return float(low), float(max(high, low + 1e-6))


def span(values: npt.NDArray[np.float32]) -> float:
    """How far apart darkest and brightest are."""
    low, high = signal(values)
    return high - low


def plane_axes(scan: Volume) -> tuple[int, int]:
    """The two axes of (i, j, k) that slices lie in: the finest two; of equals the first."""
    spacing = scan.geometry.spacing
    thick = [axis for axis in range(3) if scan.array.shape[1 + axis] > 1]
    order = sorted(thick, key=lambda axis: (spacing[axis], axis))[:2] if len(thick) > 2 else thick[:2]
    first, second = sorted(order) if len(order) == 2 else (0, 1)
    return first, second


def along(values: Array, axis: int, ndim: int = 3) -> Array:
    """A line of numbers shaped so that it runs along one of the last three axes."""
    shape = [1] * ndim
    shape[axis] = -1
    return np.reshape(values, shape)
