"""Regions: where in a scan calibration is looked at.

Most of a scan is background that no model doubts, and an error over all voxels is that of the easy ones. So
it is measured as well where the model sees a structure, and in a band around its boundaries.

Both follow from what the model says, never from the reference. Among voxels chosen by what they *are*, those
that were forecast at 0.7 do not come true in seven of ten cases, however good the forecast: the choice itself
makes a perfect model look wrong.
"""

from __future__ import annotations

from math import ceil
from typing import Literal

import edt
import numpy as np

from delineate.evaluation.overlap import Mask
from delineate.space import Box, LabelMap

Where = Literal["everywhere", "foreground", "boundary"]
WHERE: tuple[Where, ...] = ("everywhere", "foreground", "boundary")

BAND_MM = 3.0  # a few voxels of usual scans on either side
ROUNDING = 1e-5  # of a distance: affines in files are rounded, distances are kept in single precision


def foreground(found: LabelMap) -> Mask:
    """Where the model sees any structure (i, j, k)."""
    return np.asarray(found.array != 0)


def boundary(found: LabelMap, band_mm: float = BAND_MM) -> Mask:
    """Voxels whose centre is at most `band_mm` from that of a voxel with another label (i, j, k).

    The edge of the scan is no boundary.
    """
    near = np.zeros(found.array.shape, bool)
    box = Box.around(found.array != 0)
    if box is None:
        return near
    spacing = found.geometry.spacing
    margin = max(ceil(band_mm / step) for step in spacing) + 1
    box = box.grown(margin).clipped(found.array.shape)
    part = np.ascontiguousarray(found.array[box.slices]).astype(np.uint32) + 1  # background is a label too
    if (part == part.flat[0]).all():
        return near
    depth = edt.edt(part, anisotropy=spacing, black_border=False)
    near[box.slices] = depth <= band_mm * (1 + ROUNDING)
    return near
