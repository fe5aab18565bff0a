"""Grids: whether two files of a case show the same voxels, and how to say that they do not."""

from __future__ import annotations

import numpy as np

from delineate.space import Geometry

# Affines are stored as float32 or as quaternions: corners of equal grids differ by thousandths of a voxel.
TOLERANCE = 0.02  # voxels, of the smallest edge


def same_grid(a: Geometry, b: Geometry) -> bool:
    """Whether voxels of one lie where those of the other do, to a fiftieth of a voxel."""
    return a.same_place(b, tolerance_mm=TOLERANCE * min(a.spacing))


def difference(a: Geometry, b: Geometry) -> str:
    """How two grids differ, in words."""
    if a.shape != b.shape:
        return f"{voxels(a)} and {voxels(b)} voxels"
    if not np.allclose(a.spacing, b.spacing, rtol=0.01):
        return f"voxels of {millimetres(a)} and {millimetres(b)} mm"
    if a.orientation != b.orientation:
        return f"axes that run to {a.orientation} and {b.orientation}"
    apart = float(np.linalg.norm(a.corners() - b.corners(), axis=1).max())
    return f"the same {voxels(a)} voxels, but up to {apart:.3g} mm apart"


def voxels(geometry: Geometry) -> str:
    """The shape in words: 240 x 240 x 155."""
    return " x ".join(map(str, geometry.shape))


def millimetres(geometry: Geometry) -> str:
    """The spacing in words: 0.9 x 0.9 x 3."""
    return " x ".join(f"{s:.3g}" for s in geometry.spacing)
