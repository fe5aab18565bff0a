"""Prepared scan: the array that a network sees, on a grid of its own.

`prepare_scan` is the one way there, for training cases and for new scans: turn, denoise, cut off the empty
border, normalise, resample. The order matters: intensities are measured before interpolation blurs the edge
of the patient (a plan of another tool's model may have it the other way round).
Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.planning.plan import ChannelPlan, Configuration, Plan
from delineate.preparation.align import cropped, turned
from delineate.preparation.clean import cleaned
from delineate.preparation.normalize import Mask, normalized, normalized_apart
from delineate.space import Geometry, Spacing, Volume, nonzero_mask, resample, resample_labels, triple
from delineate.space.labels import Values
from delineate.space.resampling import Orders

Array = npt.NDArray[Any]

ANISOTROPIC = 3.0  # largest over smallest spacing above which thick slices are not interpolated across
SAME_SPACING = 1e-3  # relative difference of spacings that are the same but for rounding in the header


@dataclass(frozen=True, eq=False)
class PreparedScan:
    """A scan as a network sees it.

    array     (channel, i, j, k) float32
    geometry  the grid of the array, at the configuration's spacing
    cropped   the scan's own voxels, turned and cropped, which were resampled onto `geometry`
    """

    array: npt.NDArray[np.float32]
    geometry: Geometry
    cropped: Geometry


@dataclass(frozen=True, eq=False)
class Upright:
    """A scan turned, denoised, cropped and normalised: what all configurations start from.

    array    (channel, i, j, k) float32
    cropped  its grid: voxels of the scan
    masked   numbers of the channels that are zero outside the patient
    mask     (i, j, k) where the patient is, if there are such channels
    later    the channels, if they are normalised on the network's grid instead
    missing  numbers of the channels that the scan lacks: 0 all over
    """

    array: npt.NDArray[np.float32]
    cropped: Geometry
    masked: tuple[int, ...]
    mask: Mask | None
    later: tuple[ChannelPlan, ...] = ()
    missing: tuple[int, ...] = ()


def prepare_scan(scan: Volume, plan: Plan, configuration: Configuration) -> PreparedScan:
    """The scan as the network of this configuration sees it; the same for training and for new scans.

    Channels that are normalised inside the patient only are exactly 0 elsewhere.
    """
    return respaced(upright(scan, plan), configuration)


def upright(scan: Volume, plan: Plan) -> Upright:
    """The scan as all configurations of the plan want it, on its own voxels."""
    _check_channels(scan, plan)
    there = present(scan, plan)
    channels = tuple(plan.channels[n] for n in there)
    clean = cleaned(turned(scan, plan.orientation), channels)
    clean = cropped(clean, to_nonzero=plan.crop_to_nonzero)
    if plan.normalized == "resampled":
        array = _spread(np.array(clean.array, dtype=np.float32, order="C"), there, plan)
        return Upright(array, clean.geometry, (), None, plan.channels, _missing(there, plan))
    rules = [channel.normalization for channel in plan.channels]
    masked = tuple(n for n in there if rules[n].masked and rules[n].rule == "zscore")
    mask = nonzero_mask(clean) if masked else None
    array = _spread(normalized(clean, channels, mask), there, plan)
    return Upright(array, clean.geometry, masked, mask, missing=_missing(there, plan))


def present(scan: Volume, plan: Plan) -> tuple[int, ...]:
    """The channels of the plan that the scan has, by number."""
    if len(scan.channels) == len(plan.channels):  # perhaps by other names
        return tuple(range(len(plan.channels)))
    return tuple(n for n, channel in enumerate(plan.channels) if channel.name in scan.channels)


def _missing(there: tuple[int, ...], plan: Plan) -> tuple[int, ...]:
    return tuple(n for n in range(len(plan.channels)) if n not in there)


def _spread(array: npt.NDArray[np.float32], there: tuple[int, ...], plan: Plan) -> npt.NDArray[np.float32]:
    """The channels that are there, each in its place; 0 all over stands for one that is missing."""
    if len(there) == len(plan.channels):
        return array
    spread = np.zeros((len(plan.channels), *array.shape[1:]), np.float32)
    spread[list(there)] = array
    return spread


def respaced(scan: Upright, configuration: Configuration) -> PreparedScan:
    """The scan at the configuration's spacing, by splines."""
    sampling = configuration.sampling
    grid, orders = interpolation(scan.cropped, configuration, order=sampling.order)
    beyond = 0 if sampling.keeps == "extent" else None
    array = resample(scan.array, scan.cropped, grid, order=orders, outside=beyond)
    if scan.later:
        array = normalized_apart(Volume(array, grid, tuple(c.name for c in scan.later)), scan.later)
    if scan.mask is not None:
        outside = ~respaced_labels(scan.mask, scan.cropped, configuration)
        for n in scan.masked:
            array[n][outside] = 0
    for n in scan.missing:  # whatever normalising made of nothing
        array[n] = 0
    return PreparedScan(array, grid, scan.cropped)


def respaced_labels(labels: Array, cropped: Geometry, configuration: Configuration) -> Array:
    """Label values or a mask (i, j, k) on `cropped`, at the configuration's spacing."""
    grid, orders = interpolation(cropped, configuration, order=1)
    return resample_labels(labels, cropped, grid, order=orders)


def respaced_ids(ids: Values, cropped: Geometry, configuration: Configuration) -> npt.NDArray[np.int32]:
    """Ids of objects (i, j, k) on `cropped`, at the configuration's spacing: each voxel takes the nearest."""
    grid, _ = interpolation(cropped, configuration, order=1)
    return resample_labels(ids, cropped, grid, order=0).astype(np.int32)


def interpolation(source: Geometry, configuration: Configuration, *, order: int) -> tuple[Geometry, Orders]:
    """The network's grid over a scan, and the spline order along each axis on the way there.

    The slices of a 2D configuration stay where they are. Across thick slices, the nearest one is taken.
    """
    spacing = triple(
        here if axis == configuration.slice_axis else there
        for axis, (here, there) in enumerate(zip(source.spacing, configuration.spacing, strict=True))
    )
    sampling = configuration.sampling
    grid = source.respaced(spacing) if sampling.keeps == "extent" else source.respaced_from_first(spacing)
    across = thick_axis(source.spacing, spacing) if sampling.across == "nearest" else None
    return grid, triple(0 if axis == across else order for axis in range(3))


def thick_axis(current: Spacing, target: Spacing) -> int | None:
    """The axis across thick slices, if there is one: what lies that far apart says little about between.

    The largest over the smallest spacing is above 3 before resampling, or else after it, and one axis
    alone is the coarsest. Source: as above, "resampling of anisotropic data"; nnU-Net 2.
    """
    for spacing in (current, target):
        if max(spacing) / min(spacing) > ANISOTROPIC:
            coarsest = [axis for axis in range(3) if spacing[axis] > max(spacing) * (1 - SAME_SPACING)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def lacks(scan: Volume, plan: Plan) -> tuple[str, ...]:
    """Channels that the scan lacks and that the networks learnt to do without."""
    return tuple(name for name in plan.dispensable if name not in scan.channels)


def _check_channels(scan: Volume, plan: Plan) -> None:
    expected = tuple(channel.name for channel in plan.channels)
    if scan.channels and scan.channels == tuple(n for n in expected if n not in lacks(scan, plan)):
        return
    if len(scan.channels) != len(expected):
        raise DataError(
            f"the plan expects {len(expected)} channels ({', '.join(expected)}), this scan has "
            f"{len(scan.channels)} ({', '.join(scan.channels)}){scan.source.note}. "
            f"Give one file per channel, in the order of the plan."
        )
    if scan.channels != expected and sorted(scan.channels) == sorted(expected):
        raise DataError(
            f"the channels are in another order: the plan expects {', '.join(expected)}, this scan has "
            f"{', '.join(scan.channels)}{scan.source.note}. Give the files in the order of the plan."
        )
