"""Coarse: the same network on a coarser grid, where time matters more than the finest detail.

A network sees structures smaller than it learnt them. Up to a factor of about 1.4 they are as small as
augmentation made them (nnU-Net draws scales from 0.7 to 1.4); beyond that it is a guess that has to be
measured, and every result says so.
"""

from __future__ import annotations

import math

from delineate.planning.plan import Configuration, Plan
from delineate.space import triple

LEAST = 2  # voxels at the bottleneck: of one voxel, instance norm knows no spread
THICK = 1.5  # an axis whose voxels are so much longer than the shortest is coarse already


def coarser(plan: Plan, name: str, factor: float, *, smaller: bool) -> Plan:
    """The plan that uses one configuration alone, on a grid `factor` times as coarse.

    smaller  whether the patch covers the same tissue with fewer voxels; else the same voxels see more
    """
    was = plan.configuration(name)
    finest = min(step for axis, step in enumerate(was.spacing) if axis != was.slice_axis)
    scales = [
        1.0 if axis == was.slice_axis or step > finest * max(THICK, factor) else factor
        for axis, step in enumerate(was.spacing)
    ]
    spacing = triple(step * scale for step, scale in zip(was.spacing, scales, strict=True))
    patch = _patch(was, scales) if smaller else was.patch
    now = was.but(spacing=spacing, patch=patch, previous=None)
    keys = [key for key in plan.configurations if key == name]
    return plan.but(
        configurations=dict.fromkeys(keys, now),
        augmentation={key: plan.augmentation[key] for key in keys},
        use=tuple(keys),
    )


def _patch(was: Configuration, scales: list[float]) -> tuple[int, int, int]:
    """The patch with its edges divided, as far as the network allows."""
    if was.network.image is not None:
        return was.patch
    kept = [axis for axis in range(3) if axis != was.slice_axis]
    edges = list(was.patch)
    for axis, divisor in zip(kept, was.network.divisor, strict=True):
        least = min(was.patch[axis], LEAST * divisor)
        edges[axis] = max(least, divisor * math.ceil(was.patch[axis] / scales[axis] / divisor))
    return triple(edges)
