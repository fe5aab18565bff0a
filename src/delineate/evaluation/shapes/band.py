"""Band: the part of a mask that lies along its boundary.

The IoU of a large structure hardly feels its boundary: most voxels are far inside. Boundary IoU looks only
at the band of each mask that is at most `width_mm` deep, measured between centres of voxels; the voxels that
touch the outside by a face are always in it. Beyond the grid is outside; what is not annotated is neither
inside nor outside, and makes no boundary. Along an axis of one voxel there is none.

Source: Cheng 2021, doi:10.1109/CVPR46437.2021.01508. There the depth counts erosions by a square and is 2 %
of the diagonal of a photograph; in a scan a depth in mm means the same for every patient.
"""

from __future__ import annotations

from itertools import product

import edt
import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.evaluation.overlap import Confusion, Mask
from delineate.space import Geometry, triple

WIDTH_MM = 2.0  # one or two voxels of clinical scans, and about what readers differ by (Nikolov 2018); no law
ROUNDING = 1e-5  # of a width: affines in files are rounded, distances are kept in single precision
SQUARE = 1e-6  # cosine between axes up to which they count as at right angles

Offsets = npt.NDArray[np.intp]  # (n, 3) in voxels


def boundary_counts(
    reference: Mask, prediction: Mask, grid: Geometry, known: Mask | None = None, width_mm: float = WIDTH_MM
) -> Confusion:
    """The counts of the two bands: their IoU is boundary IoU, their Dice is boundary Dice."""
    bands = [band(mask, grid, known, width_mm) for mask in (reference, prediction)]
    return Confusion.of(bands[0], bands[1], known)


def band(mask: Mask, grid: Geometry, known: Mask | None = None, width_mm: float = WIDTH_MM) -> Mask:
    """The voxels of a mask (i, j, k) whose distance to the nearest voxel outside is at most `width_mm`."""
    if mask.shape != grid.shape:
        raise GeometryError(f"a mask on {grid!r} has its shape, got {mask.shape}")
    mask = mask if known is None else mask & known
    inside = mask if known is None else mask | ~known
    core = _core(inside, _faces(grid))
    core &= _deep(inside, grid, width_mm) if _is_square(grid) else _core(inside, _offsets(grid, width_mm))
    return np.asarray(mask & ~core)


def _deep(inside: Mask, grid: Geometry, width_mm: float) -> Mask:
    """Where the outside is farther than `width_mm`, on a grid whose axes are at right angles."""
    pad = [1 if count > 1 else 0 for count in grid.shape]
    padded = np.pad(inside, [(n, n) for n in pad])
    if padded.all():
        return np.ones(grid.shape, bool)  # no axis along which there is an outside
    depth = edt.edt(np.ascontiguousarray(padded), anisotropy=grid.spacing, black_border=False)
    cut = triple(slice(n, n + count) for n, count in zip(pad, grid.shape, strict=True))
    return np.asarray(depth[cut] > width_mm * (1 + ROUNDING))


def _core(inside: Mask, offsets: Offsets) -> Mask:
    """Where every voxel that is one of these steps away is inside too."""
    reach = np.abs(offsets).max(axis=0, initial=0)
    padded = np.pad(inside, [(int(n), int(n)) for n in reach])
    core = inside.copy()
    for start in reach + offsets:
        core &= padded[triple(slice(int(s), int(s + n)) for s, n in zip(start, inside.shape, strict=True))]
    return core


def _offsets(grid: Geometry, width_mm: float) -> Offsets:
    """The steps in voxels that are no longer than `width_mm`, on any grid."""
    linear = grid.affine[:3, :3]
    planes = 1 / np.linalg.norm(np.linalg.inv(linear), axis=1)  # from one plane of voxels to the next, mm
    most = np.floor(width_mm * (1 + ROUNDING) / planes).astype(int)
    ranges = [range(-n, n + 1) if count > 1 else range(1) for n, count in zip(most, grid.shape, strict=True)]
    steps = np.array(list(product(*ranges)), np.intp)
    return np.asarray(steps[np.linalg.norm(steps @ linear.T, axis=1) <= width_mm * (1 + ROUNDING)])


def _faces(grid: Geometry) -> Offsets:
    axes = np.eye(3, dtype=np.intp)[[axis for axis, count in enumerate(grid.shape) if count > 1]]
    return np.concatenate([axes, -axes])


def _is_square(grid: Geometry) -> bool:
    """Whether the axes are at right angles, as those of nearly every scan are."""
    directions = grid.affine[:3, :3] / np.array(grid.spacing)
    return bool(np.abs(directions.T @ directions - np.eye(3)).max() <= SQUARE)
