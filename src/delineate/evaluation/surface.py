"""Surface: how far the surfaces of two masks are apart, in mm.

What the surface of a mask of voxels is, is a definition, and each has its name here and in `mesh`.

border   the voxels of a mask that touch its outside by a face (mask XOR its erosion with connectivity 1);
         beyond the grid is outside. Every border voxel counts the same (MedPy, MONAI, MetricsReloaded).
area     surface elements between voxel centres, each weighted with its area (DeepMind, BraTS)

Distances are between points in the patient, so oblique, anisotropic and sheared grids are all exact, and
only points that the two surfaces do not share are searched for. Along an axis of one voxel there is no
surface: a picture has contours.

Sources: Nikolov 2018, arXiv:1809.04430 (area); Lorensen and Cline 1987, doi:10.1145/37401.37422 (elements).
"""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.evaluation.distances import Directed, Numbers, SurfaceDistances
from delineate.evaluation.nearest import nearest
from delineate.evaluation.overlap import Mask
from delineate.space import Box, Geometry

Codes = npt.NDArray[np.uint8]  # (i, j, k), of `corner_codes`


def border_distances(
    reference: Mask, prediction: Mask, grid: Geometry, known: Mask | None = None
) -> SurfaceDistances | None:
    """Distances between the border voxels of two masks (i, j, k), or None if one has no border.

    Voxels that are not `known` have no border and make none: a face towards them is no surface.
    """
    cut = cut_around(reference, prediction, grid)
    if cut is None:
        return None
    order = sorted(range(3), key=lambda axis: -abs(reference.strides[axis]))  # as it lies in memory
    seen = None if known is None else known[cut].transpose(order)
    ends = [border(mask[cut].transpose(order), seen) for mask in (reference, prediction)]
    if not all(end.any() for end in ends):
        return None
    linear = grid.affine[:3, :3][:, order]
    return SurfaceDistances(
        *(
            Directed(distances, np.ones(len(distances)))
            for distances in (nearest(ends[0], ends[1], linear), nearest(ends[1], ends[0], linear))
        )
    )


def area_distances(
    reference: Mask, prediction: Mask, grid: Geometry, known: Mask | None = None
) -> SurfaceDistances | None:
    """Distances between the surface elements of two masks (i, j, k), or None if one has none.

    Elements lie on the corners of voxels: where the 2 x 2 x 2 voxels around a corner are neither all in
    nor all out. In a picture they are pieces of contour and weigh their length. Around a voxel that is not
    `known` there are none.
    """
    cut = cut_around(reference, prediction, grid)
    if cut is None:
        return None
    table, linear = element_areas(grid), grid.affine[:3, :3]
    codes = known_codes((reference[cut], prediction[cut]), None if known is None else known[cut])
    ends = [on_surface(code) for code in codes]
    if not all(end.any() for end in ends):
        return None
    return SurfaceDistances(
        Directed(nearest(ends[0], ends[1], linear), table[codes[0][ends[0]]]),
        Directed(nearest(ends[1], ends[0], linear), table[codes[1][ends[1]]]),
    )


def border(mask: Mask, known: Mask | None = None) -> Mask:
    """The voxels of a mask that touch, by a face, a known voxel outside it or the end of the grid."""
    inside = np.ascontiguousarray(mask if known is None else mask | ~known)
    core = inside.copy()
    source, target = inside.reshape(-1), core.reshape(-1)
    for axis, count in enumerate(mask.shape):
        if count == 1:
            continue
        # A step along the axis is a step in memory; where it leads out of the row, the row ends anyway.
        step = inside.strides[axis] // inside.itemsize
        target[step:] &= source[:-step]
        target[:-step] &= source[step:]
        ends = np.moveaxis(core, axis, 0)
        ends[0] = ends[-1] = False
    rim = inside ^ core
    return rim if known is None else rim & mask & known


def corner_codes(mask: Mask) -> Codes:
    """For each corner of the voxels, which of the eight around it are in the mask: one bit each.

    The bits are those of (0, 0, 0), (0, 0, 1), (0, 1, 0) ... The result has one corner more than voxels
    along each axis; along an axis of one voxel there is one, and the mask is taken to go on for ever.
    """
    codes = np.ascontiguousarray(mask).view(np.uint8)
    for axis, bits in ((2, np.uint8(1)), (1, np.uint8(2)), (0, np.uint8(4))):
        if mask.shape[axis] == 1:
            codes = codes | codes << bits
            continue
        wider = np.zeros([n + (a == axis) for a, n in enumerate(codes.shape)], np.uint8)
        corners, voxels = np.moveaxis(wider, axis, 0), np.moveaxis(codes, axis, 0)
        corners[1:] |= voxels  # the voxel before a corner
        corners[:-1] |= voxels << bits  # and the one after it
        codes = wider
    return codes


def known_codes(masks: tuple[Mask, Mask], known: Mask | None) -> list[Codes]:
    """The `corner_codes` of both masks; 0 around voxels that are not known."""
    codes = [corner_codes(mask) for mask in masks]
    if known is not None:
        is_open = corner_codes(~known) > 0
        for code in codes:
            code[is_open] = 0
    return codes


def on_surface(codes: Codes) -> Mask:
    """Corners around which some voxels are in the mask and some are not."""
    return codes - np.uint8(1) < 254  # 0 becomes 255


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
    vectors, code = area_vectors()
    return np.bincount(code, np.linalg.norm(vectors @ to_area.T, axis=1), 256) / thickness


@cache
def area_vectors() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """The area vectors (triangle, 3) of surface elements in a unit cube, and the code of each.

    Lorensen's triangles of the corners that are in; where those are more than four, of those out.
    """
    from skimage.measure import marching_cubes

    found, codes = [], []
    for code in range(1, 255):
        bits = np.array([code >> bit & 1 for bit in range(8)], dtype=float)
        corners = (bits if bits.sum() <= 4 else 1 - bits).reshape(2, 2, 2)
        vertices, faces, _, _ = marching_cubes(corners, 0.5, method="lorensen")  # type: ignore[no-untyped-call]
        a, b, c = (vertices[faces[:, n]].astype(float) for n in range(3))
        found.append(np.cross(b - a, c - a) / 2)
        codes += [code] * len(faces)
    return np.concatenate(found), np.array(codes)


def cut_around(reference: Mask, prediction: Mask, grid: Geometry) -> tuple[slice, slice, slice] | None:
    """The part of the grid with both masks and one voxel around; None if one of them is empty."""
    if not reference.shape == prediction.shape == grid.shape:
        raise GeometryError(f"masks on {grid!r} have its shape, got {reference.shape} and {prediction.shape}")
    there, here = Box.around(reference), Box.around(prediction)
    if there is None or here is None:
        return None
    # One voxel around keeps apart the end of the box, which is no end of the grid, from the mask.
    return there.joined(here).grown(1).clipped(grid.shape).slices
