"""Sizing: how large a patch, a batch and a network a training step can afford.

The patch starts as large as the median case (or 256 voxels cubed, 2048 pixels squared, whichever is less),
in the proportions of the tissue. While it does not fit into memory, the edge that is largest compared with
the median case is cut. What room is left goes into the batch. Source: Isensee 2021,
doi:10.1038/s41592-020-01008-z, Methods, "Adaptation of network topology, patch size and batch size".

Where work is limited too (a CPU, a budget of minutes), first the batch gives way, then the width of the
network, then the patch: a network that sees too little around a voxel cannot know where it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from delineate.errors import PlanError
from delineate.planning.memory import feature_values, training_operations
from delineate.planning.plan import NetworkSpec
from delineate.planning.presets import BASE_WIDTH, REFERENCE_BATCH, SMALLEST_BATCH, Preset
from delineate.planning.topology import Axes, Topology

LARGEST_START = {2: 2048**2, 3: 256**3}  # voxels of the first patch; only a bound on the search


@dataclass(frozen=True)
class Demand:
    """What the dataset asks of every network."""

    inputs: int  # channels
    outputs: int  # structures and background
    voxels: float  # of all cases together, at the spacing in question


@dataclass(frozen=True)
class Allowance:
    """What a training step may cost.

    operations  floating-point operations of a step, or None where time is no matter
    widths      features at full resolution to try, the best first
    batches     2 or 3 axes -> the batch that work must suffice for
    edges       2 or 3 axes -> work never cuts an edge below this many of the finest voxels
    stretch     so many times more a step may cost before the patch is cut: fewer steps do less harm
    """

    preset: Preset
    memory_gb: float
    operations: float | None = None
    widths: tuple[int, ...] = (BASE_WIDTH,)
    batches: dict[int, int] | None = None
    edges: dict[int, int] | None = None
    stretch: float = 1.0

    @property
    def stretched(self) -> Allowance:
        """What a step may cost before the patch is cut."""
        if self.operations is None:
            return self
        return replace(self, operations=self.operations * self.stretch)


@dataclass(frozen=True)
class Draft:
    """A network and a patch under consideration. Axes in the order of the rules."""

    spacing: tuple[float, ...]
    median: tuple[float, ...]
    demand: Demand
    allowance: Allowance
    width: int
    shape: Topology

    @property
    def dims(self) -> int:
        """2 or 3."""
        return len(self.spacing)

    @cached_property
    def network(self) -> NetworkSpec:
        """The network for this patch."""
        return self.allowance.preset.network(self.shape, self.width)

    @cached_property
    def counted(self) -> NetworkSpec:
        """The U-Net of this shape, by which values and operations are counted."""
        return self.allowance.preset.plain(self.shape, self.width)

    @cached_property
    def values(self) -> int:
        """Feature values of one patch."""
        other = self.allowance.preset.other
        values = feature_values(self.counted, self.shape.patch, self.demand.outputs)
        return values if other is None else round(values * other.memory[self.dims])

    @cached_property
    def operations(self) -> int:
        """Floating-point operations of one patch in one training step."""
        other = self.allowance.preset.other
        demand = self.demand
        counted = training_operations(self.counted, self.shape.patch, demand.inputs, demand.outputs)
        return counted if other is None else round(counted * other.work[self.dims])

    @property
    def is_shallow(self) -> bool:
        """Whether nothing is ever halved: no U-Net."""
        return len(self.shape.strides) == 1

    @property
    def room(self) -> float:
        """Feature values of a reference batch that fit into memory."""
        return self.allowance.preset.room(self.dims, self.allowance.memory_gb)

    @property
    def fits_memory(self) -> bool:
        """Whether the smallest batch worth having fits into memory."""
        batch = self.allowance.preset.batch_that_must_fit(self.dims)
        return self.values / REFERENCE_BATCH[self.dims] * batch <= self.room

    @property
    def batch_by_memory(self) -> int:
        """The batch that fits into memory."""
        return round(self.room / self.values * REFERENCE_BATCH[self.dims])

    @property
    def batch_by_cases(self) -> int:
        """The batch that holds as much of the dataset as it may."""
        return round(self.demand.voxels * self.allowance.preset.covered / math.prod(self.shape.patch))

    @property
    def batch_by_work(self) -> int | None:
        """The batch that can be worked off in time, or None where time is no matter."""
        allowed = self.allowance.operations
        return None if allowed is None else int(allowed // self.operations)

    @property
    def largest_batch(self) -> int:
        """The batch if time is no matter."""
        return max(min(self.batch_by_memory, self.batch_by_cases), SMALLEST_BATCH)

    @property
    def batch(self) -> int:
        """Patches in a batch."""
        by_work = self.batch_by_work
        if by_work is None:
            return self.largest_batch
        return max(min(self.largest_batch, by_work), SMALLEST_BATCH)

    @property
    def operations_of_a_step(self) -> int:
        """Floating-point operations of a training step."""
        return self.operations * self.batch

    @property
    def fits_work(self) -> bool:
        """Whether a batch worth having can be worked off in time."""
        by_work = self.batch_by_work
        wanted = (self.allowance.batches or {}).get(self.dims, SMALLEST_BATCH)
        return by_work is None or by_work >= min(wanted, self.largest_batch)

    def cut(self, axes: Sequence[int]) -> Draft | None:
        """With the edge cut, among `axes`, that is largest compared with the median case.

        None where that would leave nothing. By how much an edge is cut depends on the size that it
        would have then: stepping from 256 by its own divisor (64) would skip 224.
        """
        edges = list(self.shape.patch)
        axes = [axis for axis in axes if edges[axis] > self.shape.divisor[axis]]
        if not axes:
            return None
        axis = max(axes, key=lambda a: (edges[a] / self.median[a], a))
        smaller = list(edges)
        smaller[axis] -= self.shape.divisor[axis]
        shaped = self.allowance.preset.shape
        step = shaped(self.spacing, smaller).divisor[axis]
        edges[axis] -= step
        shape = shaped(self.spacing, edges) if edges[axis] > 0 else self.shape
        return None if shape == self.shape else replace(self, shape=shape)


def sized(
    spacing: Sequence[float], median: Sequence[float], demand: Demand, allowance: Allowance
) -> tuple[Draft, Axes]:
    """The network, patch and batch to train with, and the patch that it started from.

    Raises:
        PlanError: nothing fits into the memory.
    """
    first = allowance.preset.shape(spacing, first_patch(spacing, median))
    draft = Draft(tuple(spacing), tuple(median), demand, allowance, allowance.widths[0], first)
    for width in allowance.widths:
        draft = _fitted_to_memory(replace(draft, width=width, shape=first))
        if draft.fits_work:
            return draft, first.patch
    return _fitted_to_work(draft), first.patch


def first_patch(spacing: Sequence[float], median: Sequence[float]) -> list[float]:
    """The patch to start from: the proportions of the tissue, no larger than the median case."""
    aspect = 1 / np.array(spacing)
    scale = (LARGEST_START[len(spacing)] / np.prod(aspect)) ** (1 / len(spacing))
    return [min(round(float(a)), float(n)) for a, n in zip(aspect * scale, median, strict=True)]


def _fitted_to_memory(draft: Draft) -> Draft:
    while not draft.fits_memory:
        smaller = draft.cut(range(draft.dims))
        if smaller is None:
            raise PlanError(
                f"{draft.allowance.memory_gb:g} GB of memory hold no network for {draft.demand.inputs} "
                f"channels and {draft.demand.outputs} outputs. Allow more memory (8 GB is usual)."
            )
        draft = smaller
    return draft


def _fitted_to_work(draft: Draft) -> Draft:
    """Cut until the work is done in time, or no edge may be cut any more."""
    draft = replace(draft, allowance=draft.allowance.stretched)
    other = draft.allowance.preset.other
    floor = max((draft.allowance.edges or {}).get(draft.dims, 1), 0 if other is None else other.edge)
    finest = min(draft.spacing)
    while not draft.fits_work:
        long = [a for a, s in enumerate(draft.spacing) if draft.shape.patch[a] > floor * finest / s]
        smaller = draft.cut(long) if long else None
        if smaller is None or smaller.is_shallow:
            break
        draft = smaller
    return draft
