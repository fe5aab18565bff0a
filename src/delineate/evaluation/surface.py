"""Surface: how far the surfaces of two masks are apart, in mm.

Respected tools differ by several per cent on the same pair of masks, so each definition has its name here.

border   the voxels of a mask that touch its outside by a face (mask XOR its erosion with connectivity 1);
         beyond the grid is outside. Every border voxel counts the same (MedPy, MONAI, MetricsReloaded).
area     surface elements between voxel centres, each weighted with its area (DeepMind, BraTS)

pooled            one list of distances from both directions, then a percentile (MedPy)
max of directed   a percentile for each direction, then the larger one (MONAI, MetricsReloaded)

Distances are between points in the patient, so oblique, anisotropic and sheared grids are all exact, and
only border points that the two masks do not share are searched for. Along an axis of one voxel there is no
surface: a picture has contours.

Sources: Nikolov 2018, arXiv:1809.04430 (area); Lorensen and Cline 1987, doi:10.1145/37401.37422 (elements);
Taha and Hanbury 2015, doi:10.1186/s12880-015-0068-x; Podobnik and Vrtovec 2024, arXiv:2410.02630.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from delineate.errors import GeometryError
from delineate.evaluation.overlap import Mask
from delineate.space import Box, Geometry, triple

Numbers = npt.NDArray[np.float64]  # (n,)


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances between two surfaces in mm, both of which exist.

    from_reference   for each element of the reference's surface, how far the prediction's is
    from_prediction  and the other way round
    reference_area, prediction_area  the weight of each element; all 1 for border voxels
    """

    from_reference: Numbers
    from_prediction: Numbers
    reference_area: Numbers
    prediction_area: Numbers

    def hausdorff(self) -> float:
        """The largest distance of all."""
        return float(max(self.from_reference.max(), self.from_prediction.max()))

    def percentile_pooled(self, percent: float = 95) -> float:
        """The percentile of both directions in one list, linearly interpolated; weights are not used."""
        return float(np.percentile(np.concatenate([self.from_reference, self.from_prediction]), percent))

    def percentile_directed(self, percent: float = 95) -> float:
        """The larger of the two directions' percentiles, linearly interpolated; weights are not used."""
        return float(
            max(np.percentile(self.from_reference, percent), np.percentile(self.from_prediction, percent))
        )

    def percentile_weighted(self, percent: float = 95) -> float:
        """The larger of the two directions' distances below which `percent` of the area lies."""
        return max(
            _weighted_percentile(self.from_reference, self.reference_area, percent),
            _weighted_percentile(self.from_prediction, self.prediction_area, percent),
        )

    def directed_means(self) -> tuple[float, float]:
        """The weighted mean distance from the reference, and from the prediction."""
        return (
            float(np.average(self.from_reference, weights=self.reference_area)),
            float(np.average(self.from_prediction, weights=self.prediction_area)),
        )

    def pooled_mean(self) -> float:
        """The weighted mean over both directions in one list (ASSD)."""
        distances = np.concatenate([self.from_reference, self.from_prediction])
        return float(
            np.average(distances, weights=np.concatenate([self.reference_area, self.prediction_area]))
        )

    def mean_of_directed(self) -> float:
        """The mean of the two directions' means (MASD)."""
        return sum(self.directed_means()) / 2

    def within(self, tolerance_mm: float) -> float:
        """The share of both surfaces that lies within `tolerance_mm` of the other one (NSD)."""
        near = sum(
            float(area[distances <= tolerance_mm].sum())
            for distances, area in (
                (self.from_reference, self.reference_area),
                (self.from_prediction, self.prediction_area),
            )
        )
        return near / float(self.reference_area.sum() + self.prediction_area.sum())


def border_distances(
    reference: Mask, prediction: Mask, grid: Geometry, known: Mask | None = None
) -> SurfaceDistances | None:
    """Distances between the border voxels of two masks (i, j, k), or None if one has no border.

    Voxels that are not `known` have no border and make none: a face towards them is no surface.
    """
    cut = _cut(reference, prediction, grid)
    if cut is None:
        return None
    seen = np.ones_like(reference[cut]) if known is None else known[cut]
    ends = [border(mask[cut], seen) for mask in (reference, prediction)]
    ones = [np.ones(np.count_nonzero(end)) for end in ends]
    return _distances(ends[0], ends[1], ones[0], ones[1], grid)


def area_distances(reference: Mask, prediction: Mask, grid: Geometry) -> SurfaceDistances | None:
    """Distances between the surface elements of two masks (i, j, k), or None if one is empty.

    Elements lie on the corners of voxels: where the 2 x 2 x 2 voxels around a corner are neither all in
    nor all out. In a picture they are pieces of contour and weigh their length.
    """
    cut = _cut(reference, prediction, grid)
    if cut is None:
        return None
    table = element_areas(grid)
    codes = [corner_codes(mask[cut]) for mask in (reference, prediction)]
    ends = [(code > 0) & (code < 255) for code in codes]
    areas = [table[code[end]] for code, end in zip(codes, ends, strict=True)]
    return _distances(ends[0], ends[1], areas[0], areas[1], grid)


def border(mask: Mask, known: Mask) -> Mask:
    """The voxels of a mask that touch, by a face, a known voxel outside it or the end of the grid."""
    inside = np.pad(mask | ~known, 1)
    core = inside[1:-1, 1:-1, 1:-1].copy()
    for axis, count in enumerate(mask.shape):
        if count > 1:
            for side in (slice(0, -2), slice(2, None)):
                core &= inside[triple(side if a == axis else slice(1, -1) for a in range(3))]
    return mask & known & ~core


def corner_codes(mask: Mask) -> npt.NDArray[np.uint8]:
    """For each corner of the voxels, which of the eight around it are in the mask: one bit each.

    The result has one corner more than voxels along each axis; along an axis of one voxel the mask
    is taken to go on for ever.
    """
    flat = [count == 1 for count in mask.shape]
    padded = np.pad(mask, 1).astype(np.uint8)
    for axis, is_flat in enumerate(flat):
        if is_flat:
            middle = padded.take([1], axis=axis)
            padded = np.concatenate([middle, middle], axis=axis)
    codes = np.zeros(triple(n - 1 for n in padded.shape), np.uint8)
    for bit, corner in enumerate(product((0, 1), repeat=3)):
        part = tuple(slice(c, c + n) for c, n in zip(corner, codes.shape, strict=True))
        codes |= padded[part] << np.uint8(bit)
    return codes


def element_areas(grid: Geometry) -> Numbers:
    """The area in mm^2 of the surface element of each of the 256 codes of `corner_codes`.

    Where the grid is one voxel thick along an axis, the length in mm of the contour's piece instead.
    """
    linear = grid.affine[:3, :3]
    to_area = np.linalg.det(linear) * np.linalg.inv(linear).T  # how area vectors change
    flat = [axis for axis, count in enumerate(grid.shape) if count == 1]
    # A contour's wall has the area of its length times the distance of the two faces of the slice.
    thickness = 1.0
    if len(flat) == 1:
        thickness = float(abs(np.linalg.det(linear)) / np.linalg.norm(to_area[:, flat[0]]))
    return np.array(
        [np.linalg.norm(vectors @ to_area.T, axis=1).sum() / thickness for vectors in area_vectors()]
    )


@cache
def area_vectors() -> tuple[npt.NDArray[np.float64], ...]:
    """For each code, the area vectors (triangle, 3) of its surface element in a unit cube.

    Lorensen's triangles of the corners that are in; where those are more than four, of those out.
    """
    found: list[npt.NDArray[np.float64]] = []
    for code in range(256):
        bits = np.array([code >> bit & 1 for bit in range(8)], dtype=float)
        corners = (bits if bits.sum() <= 4 else 1 - bits).reshape(2, 2, 2)
        if not corners.any():
            found.append(np.zeros((0, 3)))
            continue
        vertices, faces, _, _ = marching_cubes(corners, 0.5, method="lorensen")  # type: ignore[no-untyped-call]
        a, b, c = (vertices[faces[:, n]].astype(float) for n in range(3))
        found.append(np.cross(b - a, c - a) / 2)
    return tuple(found)


def _cut(reference: Mask, prediction: Mask, grid: Geometry) -> tuple[slice, slice, slice] | None:
    """The part of the grid with both masks and one voxel around; None if one of them is empty."""
    if not reference.shape == prediction.shape == grid.shape:
        raise GeometryError(f"masks on {grid!r} have its shape, got {reference.shape} and {prediction.shape}")
    there, here = Box.around(reference), Box.around(prediction)
    if there is None or here is None:
        return None
    # One voxel around keeps apart the end of the box, which is no end of the grid, from the mask.
    return there.joined(here).grown(1).clipped(grid.shape).slices


def _distances(
    reference: Mask, prediction: Mask, reference_area: Numbers, prediction_area: Numbers, grid: Geometry
) -> SurfaceDistances | None:
    if not len(reference_area) or not len(prediction_area):
        return None
    return SurfaceDistances(
        _nearest(reference, prediction, grid),
        _nearest(prediction, reference, grid),
        reference_area,
        prediction_area,
    )


def _nearest(here: Mask, there: Mask, grid: Geometry) -> Numbers:
    """For each True element of `here`, the distance in mm to the nearest True element of `there`."""
    linear = grid.affine[:3, :3].T
    shared = there[here]
    result = np.zeros(len(shared))
    if not shared.all():
        alone = np.argwhere(here)[~shared] @ linear
        tree = cKDTree(np.argwhere(there) @ linear, balanced_tree=False, compact_nodes=False)
        result[~shared] = tree.query(alone)[0]
    return result


def _weighted_percentile(distances: Numbers, weights: Numbers, percent: float) -> float:
    order = np.argsort(distances, kind="stable")
    reached = np.cumsum(weights[order]) / weights.sum()
    place = int(np.searchsorted(reached, percent / 100))
    return float(distances[order][min(place, len(order) - 1)])
