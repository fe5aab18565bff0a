"""Orientation: which way the voxel axes run in the patient, in three letters.

"RAS" means that i grows towards the patient's Right, j towards Anterior, k towards Superior
(nibabel's and the world's convention here); "LPS" is how most DICOM series and PNG images lie.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError

POSITIVE = "RAS"
NEGATIVE = "LPI"


def orientation_of(affine: npt.NDArray[np.float64]) -> str:
    """The three letters nearest to an affine (4, 4): no two axes get the same letter pair."""
    unit = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    worlds = max(permutations(range(3)), key=lambda p: sum(abs(unit[p[axis], axis]) for axis in range(3)))
    return "".join(
        POSITIVE[world] if unit[world, axis] > 0 else NEGATIVE[world] for axis, world in enumerate(worlds)
    )


def world_axes(code: str) -> tuple[int, ...]:
    """For each voxel axis the world axis (0 right, 1 anterior, 2 superior) that it runs along."""
    axes = tuple(POSITIVE.find(c) if c in POSITIVE else NEGATIVE.find(c) for c in code)
    if sorted(axes) != [0, 1, 2]:
        raise GeometryError(
            f"{code!r} is no orientation: expected three letters, one of R/L, one of A/P, one of S/I."
        )
    return axes


def turn(source: str, target: str) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """How to get from one orientation to another.

    For each axis of the target: the axis of the source that it reads, and whether backwards.
    """
    from_axes, to_axes = world_axes(source), world_axes(target)
    order = tuple(from_axes.index(world) for world in to_axes)
    flips = tuple(target[axis] != source[order[axis]] for axis in range(3))
    return order, flips
