"""Spacing: at which voxel size the dataset is learnt, and which axis is the coarsest.

The rules look at the axes in an order of their own: (k, j, i), then the coarsest moved to the front. The
order decides ties (isotropic scans have nothing but ties), so `Frame` holds everything in that order, and
`along_ijk` brings decisions back.

Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Supplementary Note 2, and nnU-Net 2.8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from delineate.planning.fingerprint import Fingerprint
from delineate.planning.plan import Axis

ANISOTROPIC = 3.0  # an axis this many times coarser than the others counts as slices
FLAT = 999.0  # a picture's third axis: so much coarser than a pixel that it is never touched

T = TypeVar("T")
IJK: tuple[Axis, ...] = (0, 1, 2)
Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Frame:
    """The dataset as the rules see it. Triples run along `axes`: coarsest axis, then the others.

    axes      which of (i, j, k) comes first, second, third
    spacing   mm, the voxel size to learn at
    median    voxels of the median case at that spacing; may be half a voxel
    sparse    whether the coarsest axis is finer than its median, because slices are few
    medians   mm, the median spacing before that
    cases     how many cases were measured
    """

    axes: tuple[Axis, ...]
    spacing: tuple[float, ...]
    median: tuple[float, ...]
    sparse: bool
    medians: tuple[float, ...]
    cases: int

    @classmethod
    def of(cls, found: Fingerprint) -> Frame:
        """The frame of the dataset."""
        spacings, sizes = measured_spacings(found)[:, ::-1], found.cropped_shapes[:, ::-1]
        target = target_spacing(spacings, sizes)
        order = coarsest_first(target)
        new = [resampled(size, spacing, target) for size, spacing in zip(sizes, spacings, strict=True)]
        medians = np.percentile(spacings, 50, axis=0)
        return cls(
            axes=tuple(IJK[2 - axis] for axis in order),
            spacing=tuple(target[order].tolist()),
            median=tuple(np.median(new, axis=0)[order].tolist()),
            sparse=bool((target != medians).any()),
            medians=tuple(medians[order].tolist()),
            cases=len(found.cases),
        )

    @property
    def is_flat(self) -> bool:
        """Whether the scans are pictures: one voxel along the coarsest axis."""
        return self.median[0] == 1

    @property
    def voxels(self) -> float:
        """Voxels of the whole dataset at this spacing, about."""
        return float(np.prod(self.median)) * self.cases

    @property
    def slice_axis(self) -> Axis:
        """Which of (i, j, k) is the coarsest: 2D networks see slices across it."""
        return self.axes[0]


def along_ijk(values: Sequence[T], axes: Sequence[int]) -> tuple[T, ...]:
    """Values that run along `axes`, in the order i, j, k; two values where two axes are named."""
    return tuple(value for _, value in sorted(zip(axes, values, strict=True), key=lambda pair: pair[0]))


def measured_spacings(found: Fingerprint) -> Array:
    """(case, 3) mm; along an axis of one voxel `FLAT` times the coarsest of the others."""
    spacings = found.spacings.copy()
    for row, shape in zip(spacings, found.shapes, strict=True):
        thin = shape == 1
        if thin.any() and not thin.all():
            row[thin] = FLAT * row[~thin].max()
    return spacings


def target_spacing(spacings: Array, sizes: npt.NDArray[np.int64]) -> Array:
    """The voxel size to learn at, from spacings (case, 3) in mm and sizes (case, 3) in voxels.

    The median along each axis. Where one axis has thick slices and few of them, the 10th percentile of
    that axis: at the median, the cases with finer slices would lose too many of their few slices.
    """
    target: Array = np.percentile(spacings, 50, axis=0)
    size = np.percentile(sizes, 50, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    finest_allowed = float(target[others].max())
    thick = target[worst] > ANISOTROPIC * finest_allowed
    few = size[worst] * ANISOTROPIC < size[others].min()
    if thick and few:
        tenth = float(np.percentile(spacings[:, worst], 10))
        target[worst] = tenth if tenth >= finest_allowed else finest_allowed + 1e-5
    return target


def coarsest_first(spacing: Array) -> list[int]:
    """The axes, coarsest first, the others as they were; among equals the first is the coarsest."""
    worst = int(np.argmax(spacing))
    return [worst, *(axis for axis in range(3) if axis != worst)]


def resampled(size: npt.NDArray[np.int64], spacing: Array, target: Array) -> list[int]:
    """Voxels of a case at another spacing."""
    return [round(float(s / t * n)) for n, s, t in zip(size, spacing, target, strict=True)]
