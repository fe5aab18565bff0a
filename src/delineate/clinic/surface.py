"""Surface: a structure as closed triangles in the patient, in LPS+ mm, normals outward.

The surface passes midway between voxels that are in and voxels that are out (marching cubes, Lorensen and
Cline 1987, doi:10.1145/37401.37422), between slices as they lie, leaning and uneven ones too. Beyond the
first and last slice and the edges of the images is outside, so every surface is closed.

Smoothing (Taubin 1995, doi:10.1145/218380.218473: a step that shrinks, then one that grows) takes the steps
off. No corner moves by more than NEAR of a voxel by it, so small pieces stay. In the end all corners move
along their normals by one distance, so that the volume within is that of the voxels (to VOLUME_SHARE).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from delineate.clinic.measurements import volume_ml
from delineate.clinic.result import Finding, Mask, Result
from delineate.clinic.series import Series

Points = npt.NDArray[np.float64]  # (n, 3)
Triangles = npt.NDArray[np.int64]  # (n, 3) numbers of corners, counter-clockwise seen from outside

SMOOTHING = 10  # pairs of steps
SHRINK, GROW = 0.5, -0.53  # Taubin: the second a little more, so that large forms keep their size
NEAR = 0.4  # of a voxel: as far as smoothing may move a corner
VOLUME_SHARE = 1e-3  # of a structure's volume: how far that within its surface may be from it
ROUNDS = 30  # Newton's; two or three are enough but for single voxels


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
        return np.column_stack(
            [
                np.bincount(self.triangles.ravel(), np.repeat(areas[:, axis], 3), len(self.corners))
                for axis in range(3)
            ]
        )

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
    index = index + np.array(box.start)
    index = _smoothed(index, triangles, smoothing)
    found = _outward(Surface(_to_patient(result.series, index), triangles))
    return _filled(found, volume_ml(result, finding) * 1000)


def _marched(mask: Mask) -> tuple[Points, Triangles]:
    """Corners in voxels of the mask, and triangles."""
    from skimage.measure import marching_cubes

    padded = np.pad(mask, 1).astype(np.float32)
    # Lewiner's tables leave edges of four triangles where voxels touch at an edge; Lorensen's do not.
    corners, triangles, _, _ = marching_cubes(padded, 0.5, method="lorensen")  # type: ignore[no-untyped-call]
    return corners.astype(np.float64) - 1, triangles.astype(np.int64)


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


def _outward(found: Surface) -> Surface:
    if found.volume_mm3 >= 0:
        return found
    return replace(found, triangles=found.triangles[:, ::-1])


def _filled(found: Surface, volume_mm3: float) -> Surface:
    """The surface with all corners moved along their normals by one distance, so that it holds a volume."""
    for _ in range(ROUNDS):
        missing = volume_mm3 - found.volume_mm3
        if abs(missing) <= VOLUME_SHARE / 10 * volume_mm3:
            break
        weights = found.weights
        area = float(np.linalg.norm(weights, axis=1).sum())
        found = replace(found, corners=found.corners + missing / area * _unit(weights))
    return found


def _unit(vectors: npt.NDArray[Any]) -> Points:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1))
