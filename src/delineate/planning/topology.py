"""Topology: how often a network halves each axis, and with which kernels.

Finer axes are halved first, until all are about as coarse; an axis of thick slices is not convolved
across before that. Works on two or three axes, in any order.

Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "Network topology"; nnU-Net 2.8.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

SMALLEST_EDGE = 4  # voxels: feature maps stay at least this large
SIMILAR = 2.0  # axes whose spacings differ by less than this factor are treated alike
ALONE = 3  # a last axis is halved alone only above this many smallest edges

Axes = tuple[int, ...]


@dataclass(frozen=True)
class Topology:
    """Strides and kernels of every stage, from full resolution to the bottleneck, and the patch.

    patch  the size asked for, rounded up to what can be halved so often
    """

    patch: Axes
    strides: tuple[Axes, ...]
    kernels: tuple[Axes, ...]

    @property
    def divisor(self) -> Axes:
        """What each edge of the patch is a multiple of."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))


def topology(spacing: Sequence[float], size: Sequence[float], most: int | None = None) -> Topology:
    """The topology for a patch of `size` voxels of `spacing` mm, halved `most` times at most."""
    spacing_now, size_now = list(spacing), [float(n) for n in size]
    kernel = [1] * len(spacing_now)
    strides: list[Axes] = [(1,) * len(spacing_now)]
    kernels: list[Axes] = []
    while (most is None or len(kernels) < most) and (halved := _to_halve(spacing_now, size_now)):
        finest = min(spacing_now)
        kernel = [
            3 if k == 3 or s / finest < SIMILAR else 1 for k, s in zip(kernel, spacing_now, strict=True)
        ]
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in halved else 1 for axis in range(len(kernel))))
        for axis in halved:
            spacing_now[axis] *= 2
            size_now[axis] = math.ceil(size_now[axis] / 2)
    kernels.append((3,) * len(kernel))  # the bottleneck sees all around it
    divisor = [math.prod(steps) for steps in zip(*strides, strict=True)]
    patch = tuple(math.ceil(n / d) * d for n, d in zip(size, divisor, strict=True))
    return Topology(patch, tuple(strides), tuple(kernels))


def even_topology(size: Sequence[float], halvings: int) -> Topology:
    """Every axis halved `halvings` times, kernels of 3, for networks that know nothing else.

    At the bottleneck at least two voxels are left: norms of a single one are undefined.
    """
    dims, step = len(size), 2**halvings
    patch = [max(step, math.ceil(n / step) * step) for n in size]
    if set(patch) == {step}:
        patch[max(range(dims), key=lambda axis: size[axis])] += step
    strides = ((1,) * dims, *((2,) * dims,) * halvings)
    return Topology(tuple(patch), strides, ((3,) * dims,) * (halvings + 1))


def _to_halve(spacing: Sequence[float], size: Sequence[float]) -> list[int]:
    """The axes to halve next: large enough, and among those the finest and whatever is similar."""
    large = [axis for axis, n in enumerate(size) if n >= 2 * SMALLEST_EDGE]
    if not large:
        return []
    finest = min(spacing[axis] for axis in large)
    halved = [axis for axis in large if spacing[axis] / finest < SIMILAR]
    if len(halved) == 1 and size[halved[0]] < ALONE * SMALLEST_EDGE:
        return []
    return halved
