"""Slices: parallel planes at any distances, each shifted within its own plane, and the even grid over them.

A gantry that was tilted shifts each slice against the last; some scans change the distance between slices on
the way, or lack one. Networks want an even, upright grid. Going there is interpolation: within a slice where
it is shifted by a part of a pixel, and between the two slices around each new plane, straight along the
normal. Nothing is said of the way back: a grid of one slice at its own place reads any label map.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.space.geometry import Geometry
from delineate.space.triple import triple

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]  # (..., i, j)

FINEST = 4  # the even grid has at most so many planes for one usual distance: one odd pair rules not alone
ON_VOXEL = 1e-3  # of a pixel, and of a distance between slices: nearer than this is there
COVERED = 1.01  # of half the distance that a slice stands for


@dataclass(frozen=True, eq=False, repr=False)
class Slices:
    """Planes of one stack, in order along their normal.

    shape      (i, j): pixels of each
    spacing    mm between pixels along i and j
    axes       (2, 3) unit vectors along i and j, RAS+
    positions  (k, 3) RAS+ mm: centre of the first pixel of each
    thickness  mm of each slice; 0 where nobody says
    """

    shape: tuple[int, int]
    spacing: tuple[float, float]
    axes: Vectors
    positions: Vectors
    thickness: tuple[float, ...]

    @cached_property
    def normal(self) -> Vectors:
        """Unit vector from the first slice to the last, RAS+."""
        normal = np.cross(self.axes[0], self.axes[1])
        ahead = float((self.positions[-1] - self.positions[0]) @ normal)
        return np.asarray(-normal if ahead < 0 else normal)

    @cached_property
    def along(self) -> Vectors:
        """Mm from the first slice to each, along the normal."""
        return np.asarray((self.positions - self.positions[0]) @ self.normal)

    @cached_property
    def aside(self) -> Vectors:
        """(k, 2): how far each slice is shifted in its plane against the first, pixels along i and j."""
        return np.asarray((self.positions - self.positions[0]) @ self.axes.T / np.array(self.spacing))

    @cached_property
    def usual(self) -> float:
        """The usual distance between slices, mm."""
        return float(np.median(np.diff(self.along)))

    @cached_property
    def even(self) -> Geometry:
        """The upright even grid that covers all slices: their pixels, and planes as near as the nearest two.

        The first and the last plane are the first and the last slice.
        """
        low, high = self._reach
        gap = max(float(np.diff(self.along).min()), self.usual / FINEST)
        planes = max(1, round(float(self.along[-1]) / gap)) + 1
        affine = np.eye(4)
        affine[:3, :2] = (self.axes * np.array(self.spacing)[:, None]).T
        affine[:3, 2] = self.normal * self.along[-1] / (planes - 1)
        affine[:3, 3] = self.positions[0] + affine[:3, :2] @ low
        return Geometry(triple([*(np.array(self.shape) + high - low).tolist(), planes]), affine)

    def image_on_even(self, array: Array) -> Array:
        """(channel, i, j, k) on the slices -> the same tissue on `even`, float32.

        Where no slice reaches, the smallest value of the channel.
        """
        result = np.empty((len(array), *self.even.shape), np.float32)
        is_upright = self.even.shape[:2] == self.shape
        lowest = array.min(axis=(1, 2, 3)).astype(np.float32)[:, None, None]

        def slice_at(k: int) -> Plane:
            plane = array[..., k].astype(np.float32)
            return plane if is_upright else np.asarray(self._shifted(plane - lowest, k) + lowest)

        for plane, (k, weight) in enumerate(self._reads()):
            result[..., plane] = _between(slice_at, k, weight)
        return result

    def labels_on_even(self, values: Array, unknown: int) -> Array:
        """Label values (i, j, k) on the slices -> on `even`: at each voxel the label with most weight.

        Planes farther from every slice than that slice stands for become `unknown`: nobody drew there.
        """
        result = np.empty(self.even.shape, np.result_type(values.dtype, np.min_scalar_type(unknown)))
        for plane, (k, weight) in enumerate(self._reads()):
            if not self._is_covered(k, weight):
                result[..., plane] = unknown
                continue
            result[..., plane] = self._heaviest(values, k, weight)
        return result

    @cached_property
    def _reach(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """The pixels of the first slice's lattice that all slices need more, below and above."""
        low = np.floor(self.aside.min(axis=0) + ON_VOXEL).astype(np.int64)
        return low, np.ceil(self.aside.max(axis=0) - ON_VOXEL).astype(np.int64)

    def _reads(self) -> Iterator[tuple[int, float]]:
        """For each even plane the slice below it, and the weight of the slice above."""
        for place in np.linspace(0, self.along[-1], self.even.shape[2]).tolist():
            k = int(np.clip(np.searchsorted(self.along, place, side="right") - 1, 0, len(self.along) - 2))
            weight = float((place - self.along[k]) / (self.along[k + 1] - self.along[k]))
            yield (k, 0.0) if weight < ON_VOXEL else (k + 1, 0.0) if weight > 1 - ON_VOXEL else (k, weight)

    def _heaviest(self, values: Array, k: int, weight: float) -> Array:
        """The label with most weight at each pixel of an even plane; what labels leave is background."""
        around = values[..., k : k + 2] if weight else values[..., k : k + 1]
        best = np.zeros(self.even.shape[:2], values.dtype)
        most, rest = np.zeros(best.shape, np.float32), np.ones(best.shape, np.float32)
        for value in np.unique(around[around != 0]).tolist():
            held = (values[..., k : k + 2] == value).astype(np.float32)
            share = _between(lambda n, held=held: self._shifted(held[..., n - k], n), k, weight)  # type: ignore[misc]
            rest -= share
            better = share > most
            best[better], most[better] = value, share[better]
        best[rest > most] = 0
        return best

    def _is_covered(self, k: int, weight: float) -> bool:
        """Whether a plane lies within what one of the slices around it stands for."""
        if not weight:
            return True
        gap = self.along[k + 1] - self.along[k]
        reach = [COVERED * max(self.usual, self.thickness[n]) / 2 for n in (k, k + 1)]
        return bool(weight * gap <= reach[0] or (1 - weight) * gap <= reach[1])

    def _shifted(self, plane: Plane, k: int) -> Plane:
        """A slice (..., i, j) on the pixels of the even grid, 0 where it does not reach."""
        low, _ = self._reach
        result = plane
        for axis in (0, 1):
            shift = float(self.aside[k, axis] - low[axis])
            result = _moved(result, axis - 2, shift, self.even.shape[axis])
        return result


def _between(slice_at: Callable[[int], Plane], k: int, weight: float) -> Plane:
    """The plane between slice k and the next, on the straight line along the normal."""
    if not weight:
        return slice_at(k)
    return np.asarray((1 - weight) * slice_at(k) + weight * slice_at(k + 1))


def _moved(plane: Plane, axis: int, shift: float, size: int) -> Plane:
    """A plane moved up by a number of pixels along one axis, linear between them, 0 elsewhere."""
    whole = round(shift) if abs(shift - round(shift)) < ON_VOXEL else int(np.floor(shift))
    part = 0.0 if abs(shift - round(shift)) < ON_VOXEL else shift - whole
    moved = np.moveaxis(plane, axis, 0)
    result = np.zeros((size, *moved.shape[1:]), np.float32)
    count = len(moved)
    result[whole : whole + count] += (1 - part) * moved
    if part:
        result[whole + 1 : whole + 1 + count] += part * moved
    return np.moveaxis(result, 0, axis)
