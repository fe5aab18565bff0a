"""Planes: logits brought from the network's grid onto the scan's, plane by plane.

Logits are read linearly, except across thick slices, where the nearest is taken: what was not
interpolated on the way in is not on the way out. Between two planes of the network's grid the two are
mixed; within a plane each axis is read on its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from delineate.errors import GeometryError
from delineate.preparation.prepared import thick_axis
from delineate.space import Geometry
from delineate.space.resampling import AxisRead, parallel_reads

Across = Literal["nearest", "interpolated"]  # thick slices
EVEN = 1e-3  # voxels: positions nearer than this to those of a stretched axis are read as such


class PlaneSource(Protocol):
    """What gives planes (class, a, b) of a grid, in ascending order; the last one as often as needed."""

    def plane(self, number: int, classes: slice) -> Tensor: ...  # noqa: D102


@dataclass(frozen=True, eq=False)
class Taps:
    """Per plane of the target the two planes of the source that it lies between, and how far along."""

    low: npt.NDArray[np.intp]
    high: npt.NDArray[np.intp]
    part: npt.NDArray[np.float64]  # 0 where one plane is enough

    @classmethod
    def of(cls, read: AxisRead, order: int) -> Taps:
        """Linear (order 1) or nearest (order 0)."""
        if order == 0 or read.on_voxels:
            nearest = _nearest(read)
            return cls(nearest, nearest, np.zeros(len(nearest)))
        places = np.clip(read.positions, 0, read.size - 1)
        low = np.minimum(np.floor(places).astype(np.intp), max(0, read.size - 2))
        return cls(low, np.minimum(low + 1, read.size - 1), places - low)


@dataclass(frozen=True, eq=False)
class InPlane:
    """Reads planes (class, a, b) of the source at the rows and columns of the target."""

    reads: tuple[AxisRead, AxisRead]
    orders: tuple[int, int]

    def __call__(self, plane: Tensor) -> Tensor:
        """The plane on the target's grid."""
        stretched = [plane.shape[1], plane.shape[2]]
        for axis, (read, order) in enumerate(zip(self.reads, self.orders, strict=True)):
            if order == 0 or read.on_voxels:
                plane = _taken(plane, _nearest(read), axis + 1)
                stretched[axis] = plane.shape[axis + 1]
            elif _is_stretched(read):
                stretched[axis] = len(read.positions)
            else:
                plane = _read(plane, read, axis + 1)
                stretched[axis] = plane.shape[axis + 1]
        if tuple(stretched) == tuple(plane.shape[1:]):
            return plane
        return functional.interpolate(plane[None], size=stretched, mode="bilinear")[0]


class Planes:
    """Planes (class, a, b) of the grid `onto`, across `axis`, to be asked for in ascending order."""

    def __init__(
        self, stream: PlaneSource, source: Geometry, onto: Geometry, axis: int, across: Across = "nearest"
    ) -> None:
        reads = parallel_reads(source, onto)
        if reads is None or [read.axis for read in reads] != [0, 1, 2]:
            raise GeometryError(f"{source!r} and {onto!r} do not run along the same axes")
        thick = thick_axis(source.spacing, onto.spacing) if across == "nearest" else None
        orders = [0 if n == thick else 1 for n in range(3)]
        a, b = (n for n in range(3) if n != axis)
        self._stream = stream
        self._taps = Taps.of(reads[axis], orders[axis])
        self._in_plane = InPlane((reads[a], reads[b]), (orders[a], orders[b]))

    def plane(self, number: int, classes: slice) -> Tensor:
        """Logits (class, a, b) of a plane of the target, for some classes."""
        low, high = int(self._taps.low[number]), int(self._taps.high[number])
        part = float(self._taps.part[number])
        if part == 0:
            return self._in_plane(self._stream.plane(low, classes))
        after = self._stream.plane(high, classes)  # first: it may take another row, which keeps `low`
        return self._in_plane(torch.lerp(self._stream.plane(low, classes), after, part))


def _nearest(read: AxisRead) -> npt.NDArray[np.intp]:
    places = np.round(read.positions) if read.on_voxels else np.floor(read.positions + 0.5)
    return np.asarray(np.clip(places, 0, read.size - 1), dtype=np.intp)


def _is_stretched(read: AxisRead) -> bool:
    """Whether the two axes share their outer faces, so that torch's `interpolate` reads the same places."""
    n = len(read.positions)
    return bool(np.abs(read.positions - ((np.arange(n) + 0.5) * read.size / n - 0.5)).max() < EVEN)


def _taken(plane: Tensor, index: npt.NDArray[Any], axis: int) -> Tensor:
    if len(index) == plane.shape[axis] and (index == np.arange(len(index))).all():
        return plane
    return plane.index_select(axis, torch.from_numpy(index).to(plane.device))


def _read(plane: Tensor, read: AxisRead, axis: int) -> Tensor:
    weights = torch.from_numpy(read.weights(1)).to(plane.device)
    return weights @ plane if axis == 1 else plane @ weights.T
