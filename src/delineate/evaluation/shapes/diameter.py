"""Diameter: how long a structure is in a slice, and how wide at right angles to that, in mm.

The slices are those across the voxel axis nearest to the patient's feet-head axis, as they were acquired:
lengths lie in the slice, also where it is tilted. The outline passes midway between a voxel's centre and that
of its neighbour outside, so one voxel is one voxel long and a disc measures what it is to about half a voxel
(from centre to centre it comes out too short, from corner to corner too long). Pieces of a slice that touch
by no more than a corner are one; others are measured on their own, and the longest counts.

long   the longest straight line between two points of a piece's outline; it may cross the outside
short  the longest line at right angles to it between two points of the piece's convex hull
product  of the two (RANO), mm^2

Sources: Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026 (RECIST 1.1: longest diameter in the plane of
measurement; short axis of lymph nodes); Wen 2010, doi:10.1200/JCO.2009.26.3541 (RANO: maximal perpendicular
diameters).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist, squareform

from delineate.errors import GeometryError
from delineate.evaluation.overlap import Mask
from delineate.space import Geometry

Points = npt.NDArray[np.float64]  # (n, 2) in a slice or (n, 3) in the patient, mm
Axis = Literal[0, 1, 2]

HALVES = np.array([(0.5, 0.0), (-0.5, 0.0), (0.0, 0.5), (0.0, -0.5)])  # from a voxel's centre to its sides
TOUCHING = np.ones((3, 3), bool)
SAME = 1e-9  # of a length: lines that differ by less are as long as each other


@dataclass(frozen=True, eq=False)
class Diameter:
    """The longest line across a structure in any slice, and the longest one across that line.

    axis, slice            which slice: `array.take(slice, axis)`
    long_ends, short_ends  (2, 3) world positions in mm of the ends of both lines
    """

    axis: Axis
    slice: int
    long_ends: Points
    short_ends: Points

    @classmethod
    def of(cls, mask: Mask, grid: Geometry) -> Diameter | None:
        """The diameter of a mask (i, j, k), or None where it is empty.

        Of lines that are equally long, that with the wider piece across it is taken.
        """
        if mask.shape != grid.shape:
            raise GeometryError(f"a mask on {grid!r} has its shape, got {mask.shape}")
        axis = slice_axis(grid)
        plane = _Plane.of(grid, axis)
        best: tuple[float, float] = (0.0, 0.0)
        found: Diameter | None = None
        for number, piece, bound in sorted(_pieces(mask, axis, plane), key=lambda piece: -piece[2]):
            if bound < best[0] * (1 - SAME):
                break
            hull = plane.outline(piece)
            hull = hull[ConvexHull(hull).vertices]
            for long in _longest(hull):
                short = _widest(hull, long)
                size = _length(long), _length(short)
                if _beats(size, best):
                    best = size
                    found = cls(axis, number, plane.world(long, number), plane.world(short, number))
        return found

    @property
    def long_mm(self) -> float:
        """The longest diameter."""
        return _length(self.long_ends)

    @property
    def short_mm(self) -> float:
        """The short axis, at right angles to the longest diameter."""
        return _length(self.short_ends)

    @property
    def product_mm2(self) -> float:
        """Longest diameter times short axis."""
        return self.long_mm * self.short_mm


def slice_axis(grid: Geometry) -> Axis:
    """The voxel axis across which the slices lie: a picture's own, else the one nearest to feet-head."""
    flat = [axis for axis, count in enumerate(grid.shape) if count == 1]
    upright = next(axis for axis, letter in enumerate(grid.orientation) if letter in "SI")
    chosen = flat[0] if flat and upright not in flat else upright
    return (0, 1, 2)[chosen]


@dataclass(frozen=True, eq=False)
class _Plane:
    """Slices with coordinates in mm along two directions at right angles."""

    origin: Points  # (3,) of the first voxel
    step: Points  # (3,) to the next slice
    directions: Points  # (3, 2) unit vectors
    scale: Points  # (2, 2) voxel steps -> mm along the directions

    @classmethod
    def of(cls, grid: Geometry, axis: Axis) -> _Plane:
        steps = np.delete(grid.affine[:3, :3], axis, axis=1)
        directions, scale = np.linalg.qr(steps)
        return cls(grid.affine[:3, 3], grid.affine[:3, axis], directions, scale)

    def outline(self, voxels: npt.NDArray[np.intp]) -> Points:
        """Where the outline of these voxels (n, 2) passes, and points inside it."""
        sides = voxels[:, None, :] + HALVES
        return np.asarray(sides.reshape(-1, 2) @ self.scale.T)

    def world(self, points: Points, number: int) -> Points:
        """Places in the patient of points of a slice."""
        return np.asarray(self.origin + number * self.step + points @ self.directions.T)


Piece = tuple[int, npt.NDArray[np.intp], float]  # slice, voxels (n, 2), no diameter of it is longer


def _pieces(mask: Mask, axis: Axis, plane: _Plane) -> Iterator[Piece]:
    others = tuple(other for other in range(3) if other != axis)
    for number in np.flatnonzero(mask.any(axis=others)):
        pieces, _ = ndimage.label(mask.take(number, axis=axis), TOUCHING)
        for value, box in enumerate(ndimage.find_objects(pieces), 1):
            start = [side.start for side in box]
            voxels = _ends_of_rows(pieces[box] == value) + start
            size = np.array([side.stop - side.start for side in box])
            corners = np.array([(0, 0), (0, 1), (1, 0), (1, 1)]) * size @ plane.scale.T
            yield int(number), voxels, float(pdist(corners).max())


def _ends_of_rows(piece: Mask) -> npt.NDArray[np.intp]:
    """The first and last voxel of each row and column: no other can be on the hull."""
    rows, columns = np.flatnonzero(piece.any(axis=1)), np.flatnonzero(piece.any(axis=0))
    last_row, last_column = piece.shape[0] - 1, piece.shape[1] - 1
    return np.concatenate(
        [
            np.column_stack([rows, piece[rows].argmax(axis=1)]),
            np.column_stack([rows, last_column - piece[rows, ::-1].argmax(axis=1)]),
            np.column_stack([piece[:, columns].argmax(axis=0), columns]),
            np.column_stack([last_row - piece[::-1, columns].argmax(axis=0), columns]),
        ]
    )


def _longest(hull: Points) -> list[Points]:
    """Every longest line (2, 2) between corners of a hull; its ends are the diameter of all that it holds."""
    lengths = squareform(pdist(hull))
    ends = np.argwhere(np.triu(lengths >= lengths.max() * (1 - SAME)))
    return [hull[pair] for pair in ends]


def _widest(hull: Points, long: Points) -> Points:
    """The longest line (2, 2) across a hull at right angles to its diameter."""
    along = (long[1] - long[0]) / _length(long)
    across = np.array([-along[1], along[0]])
    t, width = (hull - long[0]) @ along, (hull - long[0]) @ across
    # Nothing but its own ends lies above the ends of a diameter: both sides are functions of t.
    order = np.argsort(t)
    t, width = t[order], width[order]
    ends = [(0.0, 0.0), (_length(long), 0.0)]
    sides = []
    for sign in (-1, 1):
        side = [(a, w) for a, w in zip(t, width, strict=True) if sign * w > 0 and 0 < a < ends[1][0]]
        sides.append(np.interp(t, *np.array([ends[0], *side, ends[1]]).T))
    place = int(np.argmax(sides[1] - sides[0]))
    return np.asarray(long[0] + t[place] * along + np.outer([s[place] for s in sides], across))


def _length(ends: Points) -> float:
    return float(np.linalg.norm(ends[1] - ends[0]))


def _beats(size: tuple[float, float], best: tuple[float, float]) -> bool:
    """Whether a line is longer, or as long with a wider piece across it."""
    if abs(size[0] - best[0]) > SAME * best[0]:
        return size[0] > best[0]
    return size[1] > best[1] * (1 + SAME)
