"""Layout: how a configuration's windows lie on a scan, and how large their sums are. Shapes only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from delineate.inference.stream import joined, slab_values
from delineate.inference.windows import Windows
from delineate.space import Shape, triple

SMALL = 2**24  # numbers of a picture's sums (64 MB) up to which it is decided at once, not line by line
OTHER_AXIS = 0.8  # rows run across another axis than the first where that takes less than this share


@dataclass(frozen=True)
class Layout:
    """Windows on a grid.

    padded   voxels of the network's grid along (i, j, k), nowhere fewer than the patch
    outputs  numbers that are predicted for each voxel: classes, or features
    batch    windows predicted at once
    """

    padded: Shape
    patch: Shape
    outputs: int
    batch: int
    step: float

    @classmethod
    def on(cls, grid: Shape, patch: Shape, outputs: int, batch: int, step: float) -> Layout:
        """On a grid that is padded to the patch."""
        padded = triple(max(pair) for pair in zip(grid, patch, strict=True))
        return cls(padded, patch, outputs, batch, step)

    def windows(self, axis: int) -> Windows:
        """The windows, in rows across `axis`."""
        return Windows(self.padded, self.patch, axis, self.step)

    def rows(self, axis: int) -> int:
        """How many rows of windows there are across `axis`."""
        windows = self.windows(axis)
        return windows.row_count(joined(windows, self.outputs, self.batch))

    def sums(self, axis: int) -> int:
        """How many numbers are in memory while rows run across `axis`."""
        return slab_values(self.windows(axis), self.outputs, self.batch)

    def plane(self, axis: int) -> int:
        """How many numbers a plane across `axis` has."""
        return self.outputs * prod(self.padded) // self.padded[axis]

    @property
    def count(self) -> int:
        """How many windows there are."""
        return prod(map(len, self.windows(0).corners))


def best_axis(layouts: Sequence[Layout], onto: Shape) -> int:
    """The axis across which rows of windows run: the one that takes least memory, in doubt the first.

    A picture is one plane across its flat axis, unless it is a large one: 256 lines take longer than that.
    """
    cost = [
        sum(layout.sums(axis) + layout.outputs * prod(onto) // onto[axis] for layout in layouts)
        for axis in range(3)
    ]
    flat = [axis for axis in range(3) if onto[axis] == 1 and cost[axis] <= SMALL]
    if flat:
        return flat[-1]
    least = min(range(3), key=cost.__getitem__)
    return least if cost[least] < OTHER_AXIS * cost[0] else 0
