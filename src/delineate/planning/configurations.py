"""Configurations: the resolutions at which a dataset may be learnt.

2d                  slices across the coarsest axis, each an image of its own
3d_fullres          volumes at the spacing of the median case
3d_lowres           volumes at a coarser spacing, where a patch would see too little of the full one
3d_cascade_fullres  full resolution again, with the labels of 3d_lowres as further channels

Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods, "Configuration of the U-Net cascade".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from delineate.errors import PlanError
from delineate.planning.fingerprint import Fingerprint
from delineate.planning.plan import Configuration, ConfigurationName, NetworkSpec
from delineate.planning.sizing import Allowance, Demand, Draft, sized
from delineate.planning.spacing import Frame, along_ijk
from delineate.planning.topology import Axes
from delineate.space import LabelSchema, triple

LOWRES_BELOW = 0.25  # share of the median case that a patch sees; below, a coarser resolution helps
LOWRES_FACTOR = 2.0  # ... if it has so many times fewer voxels
COARSENING = 1.03  # one step on the way to that resolution
SIMILAR = 2.0  # the finer axes are coarsened first, until all are this similar


@dataclass(frozen=True)
class Chosen:
    """A configuration, and how it came about.

    draft  how patch and batch were found, its axes in the order of the rules (see `spacing`)
    first  the edges of the patch that the search started from, in the order i, j, k
    """

    configuration: Configuration
    draft: Draft
    first: Axes

    @property
    def seen(self) -> float:
        """Share of the median case that a patch sees."""
        return math.prod(self.draft.shape.patch) / math.prod(self.draft.median)


def configurations(found: Fingerprint, frame: Frame, allowance: Allowance) -> dict[ConfigurationName, Chosen]:
    """Every configuration that makes sense for the dataset.

    Raises:
        PlanError: images too small for a network, or too little memory for one.
    """
    demand = Demand(len(found.channels), counted_outputs(found.labels), frame.voxels)
    slices = float(np.median(found.spacings[:, frame.slice_axis]))  # as measured: never resampled
    chosen: dict[ConfigurationName, Chosen] = {"2d": _flat(frame, slices, demand, allowance)}
    if frame.is_flat:
        return chosen
    full = _solid(frame, frame.spacing, frame.median, demand, allowance)
    _refuse_shallow(full.draft)
    low = _coarser(frame, full, allowance)
    if low is None:
        return chosen | {"3d_fullres": full}
    # Dice over the batch where a patch sees little of the scan and often no structure at all.
    full = replace(full, configuration=full.configuration.but(batch_dice=True))
    cascade = replace(full, configuration=full.configuration.but(previous="3d_lowres"))
    return chosen | {"3d_fullres": full, "3d_lowres": low, "3d_cascade_fullres": cascade}


def counted_outputs(labels: LabelSchema) -> int:
    """Outputs for the memory count: background, labels or regions, and the ignore label too, as nnU-Net."""
    return 1 + len(labels.regions or labels.labels) + (labels.ignore is not None)


def _flat(frame: Frame, slices: float, demand: Demand, allowance: Allowance) -> Chosen:
    draft, first = sized(frame.spacing[1:], frame.median[1:], demand, allowance)
    _refuse_shallow(draft)
    return Chosen(
        Configuration(
            spacing=triple(along_ijk((slices, *frame.spacing[1:]), frame.axes)),
            median_shape=triple(along_ijk([round(n) for n in frame.median], frame.axes)),
            patch=triple(along_ijk((1, *draft.shape.patch), frame.axes)),
            batch=draft.batch,
            slice_axis=frame.slice_axis,
            network=_turned(draft, frame.axes[1:]),
            batch_dice=True,
        ),
        draft,
        along_ijk(first, frame.axes[1:]),
    )


def _solid(
    frame: Frame, spacing: Sequence[float], median: Sequence[float], demand: Demand, allowance: Allowance
) -> Chosen:
    draft, first = sized(spacing, median, demand, allowance)
    return Chosen(
        Configuration(
            spacing=triple(along_ijk(spacing, frame.axes)),
            median_shape=triple(along_ijk([round(n) for n in median], frame.axes)),
            patch=triple(along_ijk(draft.shape.patch, frame.axes)),
            batch=draft.batch,
            network=_turned(draft, frame.axes),
            batch_dice=False,
        ),
        draft,
        along_ijk(first, frame.axes),
    )


def _coarser(frame: Frame, full: Chosen, allowance: Allowance) -> Chosen | None:
    """The resolution at which a patch sees enough of the median case, if it is much coarser."""
    spacing, whole = np.array(frame.spacing), math.prod(frame.median)
    voxels, chosen = whole, full
    while math.prod(chosen.draft.shape.patch) / voxels < LOWRES_BELOW:
        spacing = _coarsened(spacing)
        size = np.array(frame.spacing) / spacing * frame.median
        voxels = float(np.prod(size))
        demand = replace(full.draft.demand, voxels=voxels * frame.cases)
        median = [round(float(n)) for n in size]
        chosen = _solid(frame, spacing.tolist(), median, demand, allowance)
    return None if whole / voxels < LOWRES_FACTOR or chosen.draft.is_shallow else chosen


def _coarsened(spacing: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    finer = spacing.max() / spacing > SIMILAR
    return np.where(finer if finer.any() else True, spacing * COARSENING, spacing)


def _refuse_shallow(draft: Draft) -> None:
    if draft.is_shallow:
        raise PlanError(
            f"the median image has {' x '.join(f'{n:g}' for n in draft.median)} voxels of "
            f"{' x '.join(f'{s:.3g}' for s in draft.spacing)} mm, and a patch of "
            f"{' x '.join(map(str, draft.shape.patch))} fits into {draft.allowance.memory_gb:g} GB: a U-Net "
            "cannot halve that even once. Use larger crops, images with more voxels along the finest axis, "
            "or more memory."
        )


def _turned(draft: Draft, axes: Sequence[int]) -> NetworkSpec:
    """The network with strides and kernels in the order i, j, k."""
    return draft.network.but(
        strides=tuple(along_ijk(stride, axes) for stride in draft.network.strides),
        kernels=tuple(along_ijk(kernel, axes) for kernel in draft.network.kernels),
        image=None if draft.network.image is None else along_ijk(draft.network.image, axes),
    )
