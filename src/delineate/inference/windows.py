"""Windows: where a network looks at a scan that is larger than its patch, in rows.

Windows overlap by half a patch or more. They come in rows across one axis of the grid, so that a row can
be finished and forgotten before the next begins.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from delineate.errors import PlanError
from delineate.space import Shape, triple


def steps(size: int, window: int, step: float = 0.5) -> tuple[int, ...]:
    """First voxels of the windows along one axis: evenly spread, the last one flush with the end.

    step  the longest step, as a share of the window; never less than a voxel
    Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods; nnU-Net 2.
    """
    if window > size:
        raise PlanError(f"a window of {window} voxels does not fit {size} voxels; pad the scan first.")
    if not 0 < step <= 1:
        raise PlanError(f"the step between windows is a share of a window, above 0 and at most 1, got {step}")
    free = size - window
    gaps = math.ceil(free / max(1.0, window * step))
    return tuple(round(free / gaps * n) for n in range(gaps + 1)) if gaps else (0,)


@dataclass(frozen=True)
class Row:
    """Windows that are predicted together: their first voxels (i, j, k), and the planes they touch."""

    corners: tuple[Shape, ...]
    first: int  # plane across the axis of the rows
    stop: int


@dataclass(frozen=True)
class Windows:
    """The windows of a grid, in rows across `axis`.

    shape  voxels of the grid along (i, j, k), nowhere fewer than the patch
    """

    shape: Shape
    patch: Shape
    axis: int
    step: float = 0.5

    @cached_property
    def corners(self) -> tuple[tuple[int, ...], ...]:
        """Per axis the first voxels of the windows."""
        edges = zip(self.shape, self.patch, strict=True)
        return tuple(steps(size, window, self.step) for size, window in edges)

    def rows(self, together: int = 1) -> tuple[Row, ...]:
        """The rows in order. Single slices are joined until a row has `together` windows or more."""
        return tuple(map(self._row, self._starts(together)))

    def thickness(self, together: int = 1) -> int:
        """Planes that the thickest row touches."""
        return max(starts[-1] + self.patch[self.axis] - starts[0] for starts in self._starts(together))

    def row_count(self, together: int = 1) -> int:
        """How many rows there are."""
        return len(self._starts(together))

    def _starts(self, together: int) -> list[tuple[int, ...]]:
        """Per row the first planes of its windows."""
        along = self.corners[self.axis]
        a_row = math.prod(map(len, self.corners)) // len(along)
        joined = max(1, together // a_row) if self.patch[self.axis] == 1 else 1
        return [along[n : n + joined] for n in range(0, len(along), joined)]

    def _row(self, starts: tuple[int, ...]) -> Row:
        axes = [starts if axis == self.axis else self.corners[axis] for axis in range(3)]
        corners = tuple(triple(corner) for corner in product(*axes))
        return Row(corners, starts[0], starts[-1] + self.patch[self.axis])


def batches(corners: tuple[Shape, ...], size: int) -> Iterator[tuple[Shape, ...]]:
    """The windows of a row, `size` at a time."""
    for start in range(0, len(corners), size):
        yield corners[start : start + size]
