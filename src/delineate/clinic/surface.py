"""Surface: a structure as closed triangles in the patient, in LPS+ mm, normals outward.

The surface passes midway between voxels that are in and voxels that are out (marching cubes, Lorensen and
Cline 1987, doi:10.1145/37401.37422), between slices as they lie, leaning and uneven ones too. Beyond the
first and last slice and the edges of the images is outside, so every surface is closed.

Smoothing (Taubin 1995, doi:10.1145/218380.218473: a step that shrinks, then one that grows) takes the steps
off. No corner moves by more than NEAR of a voxel by it, so small pieces stay. In the end the corners of each
piece move along their normals by one distance, so that it holds the volume of its voxels (to VOLUME_SHARE).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, sparse

from delineate.clinic.measurements import thicknesses
from delineate.clinic.result import Finding, Mask, Result
from delineate.clinic.series import Series

Points = npt.NDArray[np.float64]  # (n, 3)
Labels = npt.NDArray[np.int64]  # (corner,)
Triangles = npt.NDArray[np.int64]  # (n, 3) numbers of corners, counter-clockwise seen from outside

SMOOTHING = 10  # pairs of steps
SHRINK, GROW = 0.5, -0.53  # Taubin: the second a little more, so that large forms keep their size
NEAR = 0.4  # of a voxel: as far as smoothing may move a corner
VOLUME_SHARE = 1e-3  # of a structure's volume: how far that within its surface may be from it
STEP = 0.1  # of a voxel: how far Newton may move corners at once
ROUNDS = 50  # Newton's; two or three are enough but for single voxels


@dataclass(frozen=True, eq=False, repr=False)
class Surface:
    """A closed surface: corners in LPS+ mm, and triangles of them."""

    corners: Points
    triangles: Triangles

    @property
    def volume_mm3(self) -> float:
        """The volume within (divergence theorem)."""
        a, b, c = np.moveaxis(self._near[self.triangles], 1, 0)
        return float((a * np.cross(b, c)).sum() / 6)

    @property
    def weights(self) -> Points:
        """(corner, 3) how much volume grows when a corner moves: a third of the areas around, outward."""
        a, b, c = np.moveaxis(self._near[self.triangles], 1, 0)
        areas = np.cross(b - a, c - a) / 6
        return _summed(np.repeat(areas, 3, axis=0), self.triangles.ravel(), len(self.corners))

    @property
    def normals(self) -> Points:
        """(corner, 3) unit vectors outward."""
        return _unit(self.weights)

    @property
    def _near(self) -> Points:
        """Corners about their middle, where numbers are small."""
        return np.asarray(self.corners - self.corners.mean(axis=0))

    def __repr__(self) -> str:
        return f"Surface({len(self.triangles)} triangles, {self.volume_mm3 / 1000:.2f} ml)"


def surface_of(result: Result, finding: Finding, *, smoothing: int = SMOOTHING) -> Surface | None:
    """The surface of a structure in the patient; None where it is empty.

    smoothing  pairs of steps; 0 leaves corners midway between voxels but for the volume
    """
    part = result.part(finding)
    if part is None:
        return None
    box, mask = part
    index, triangles = _marched(mask)
    pieces, voxels = _pieces(index, triangles, mask)
    index = _filled(_smoothed(index, triangles, smoothing), triangles, pieces, voxels.sum(axis=1), STEP)
    series = result.series
    corners = _to_patient(series, index + np.array(box.start))
    volumes = voxels @ thicknesses(series)[box.slices[2]] * series.spacing[0] * series.spacing[1]
    step = STEP * min(*series.spacing, series.gap)
    return Surface(_filled(corners, triangles, pieces, volumes, step), triangles)


def _marched(mask: Mask) -> tuple[Points, Triangles]:
    """Corners in voxels of the mask, and triangles, counter-clockwise seen from outside."""
    from skimage.measure import marching_cubes

    padded = np.pad(mask, 1).astype(np.float32)
    # Lewiner's tables leave edges of four triangles where voxels touch at an edge; Lorensen's do not.
    corners, triangles, _, _ = marching_cubes(padded, 0.5, method="lorensen")  # type: ignore[no-untyped-call]
    return corners.astype(np.float64) - 1, triangles[:, ::-1].astype(np.int64)


def _smoothed(index: Points, triangles: Triangles, pairs: int) -> Points:
    """Corners drawn towards the mean of their neighbours and back."""
    if pairs == 0:
        return index
    count = len(index)
    a = np.concatenate([triangles[:, 0], triangles[:, 1], triangles[:, 2]])
    b = np.concatenate([triangles[:, 1], triangles[:, 2], triangles[:, 0]])
    near = sparse.csr_array((np.ones(len(a)), (a, b)), shape=(count, count))  # each edge is met both ways
    shares = sparse.diags_array(1 / near.sum(axis=1)) @ near
    moved = index
    for _ in range(pairs):
        for step in (SHRINK, GROW):
            moved = moved + step * (shares @ moved - moved)
    off = moved - index
    far = np.linalg.norm(off, axis=1, keepdims=True)
    return np.asarray(index + off * np.minimum(1, NEAR / np.maximum(far, NEAR)))


def _to_patient(series: Series, index: Points) -> Points:
    """LPS+ mm of places in voxels of the slices, between them too, and half a slice beyond the ends."""
    positions = series.positions
    first, last = series.normal * series.gap, series.normal * series.gap
    if len(positions) > 1:
        first, last = positions[1] - positions[0], positions[-1] - positions[-2]
    known = np.stack([positions[0] - first, *positions, positions[-1] + last])
    places = np.arange(-1, len(positions) + 1)
    origins = np.column_stack([np.interp(index[:, 2], places, known[:, axis]) for axis in range(3)])
    steps = series.axes * np.array(series.spacing)[:, None]
    return np.asarray(origins + index[:, :2] @ steps)


def _pieces(index: Points, triangles: Triangles, mask: Mask) -> tuple[Labels, npt.NDArray[np.int64]]:
    """The piece that each corner is of, and (piece, slice) how many voxels the pieces have.

    A piece is what hangs together by triangles or by the sides of voxels, with the surfaces of its holes.
    """
    parts, count = ndimage.label(mask)
    low, high = np.floor(index).astype(int), np.ceil(index).astype(int)
    padded = np.pad(parts, 1)
    parts_near = np.maximum(padded[tuple((low + 1).T)], padded[tuple((high + 1).T)])  # one end is outside: 0
    a = np.concatenate([triangles[:, 0], triangles[:, 1], np.arange(len(index))])
    b = np.concatenate([triangles[:, 1], triangles[:, 2], len(index) + parts_near - 1])
    nodes = len(index) + count
    graph = sparse.csr_array((np.ones(len(a), bool), (a, b)), shape=(nodes, nodes))
    number, of_node = sparse.csgraph.connected_components(graph, directed=False)
    of_part = np.concatenate([[0], of_node[len(index) :]])
    _, _, k = inside = np.nonzero(mask)
    voxels = np.zeros((number, mask.shape[2]), np.int64)
    np.add.at(voxels, (of_part[parts[inside]], k), 1)
    return of_node[: len(index)], voxels


def _filled(
    corners: Points, triangles: Triangles, pieces: Labels, volumes: npt.NDArray[Any], most: float
) -> Points:
    """Corners moved along their normals, those of a piece by one distance, so that it holds its volume."""
    middles = _summed(corners, pieces, len(volumes)) / np.bincount(pieces, minlength=len(volumes))[:, None]
    for _ in range(ROUNDS):
        a, b, c = np.moveaxis((corners - middles[pieces])[triangles], 1, 0)
        held = np.bincount(pieces[triangles[:, 0]], (a * np.cross(b, c)).sum(axis=1) / 6, len(volumes))
        missing = volumes - held
        if (np.abs(missing) <= VOLUME_SHARE / 10 * volumes).all():
            break
        weights = Surface(corners, triangles).weights
        areas = np.bincount(pieces, np.linalg.norm(weights, axis=1), len(volumes))
        steps = np.clip(missing / areas, -most, most)
        corners = corners + steps[pieces][:, None] * _unit(weights)
    return corners


def _summed(vectors: Points, pieces: Labels, count: int) -> Points:
    """(piece, 3) sums of vectors by piece."""
    return np.column_stack([np.bincount(pieces, vectors[:, axis], count) for axis in range(3)])


def _unit(vectors: npt.NDArray[Any]) -> Points:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))
