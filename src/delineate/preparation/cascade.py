"""Cascade: the labels that a coarser network gave, as further input channels, made worse at random.

In training these labels come from networks that have not seen the case and are still better than those
of a new scan may be; so they are eroded, dilated, opened, closed and robbed of pieces, lest the second
network trusts them blindly. Source: nnU-Net's cascade (Isensee 2021, doi:10.1038/s41592-020-01008-z).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import cc3d
import edt
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.preparation.transform import happens

Mask = npt.NDArray[np.bool_]
Labels = npt.NDArray[Any]  # (*edges), 0 background, n the n-th label
Operation = Literal["dilate", "erode", "open", "close"]
OPERATIONS: tuple[Operation, ...] = ("dilate", "erode", "open", "close")

OPERATION_PROBABILITY = 0.4  # of a patch
LOSS_PROBABILITY = 0.2  # of a patch
LABEL_PROBABILITY = 0.5  # of each label, once either happens
RADIUS = (1, 8)  # of the ball, in voxels of the finest axis
LARGEST_LOSS = 0.15  # of the patch: a piece of this size or more stays


@dataclass(frozen=True)
class Reshape:
    """An operation on one label with a ball of a radius in voxels of the finest axis."""

    label: int
    operation: Operation
    radius: int


@dataclass(frozen=True)
class Loss:
    """A piece of one label that is lost: `which`, in [0, 1), picks it among the small ones."""

    label: int
    which: float


@dataclass(frozen=True)
class Corruption:
    """What is done to the previous labels of one patch, in this order.

    spacing  relative size of the voxels along each axis: the ball is round in the patient
    """

    spacing: tuple[float, ...]
    reshapes: tuple[Reshape, ...] = ()
    losses: tuple[Loss, ...] = ()

    def apply(self, labels: Tensor) -> Tensor:
        """The labels (*edges), made worse; a label that grows displaces its neighbours."""
        if not self.reshapes and not self.losses:
            return labels
        array = labels.cpu().numpy().copy()
        for change in self.reshapes:
            before = array == change.label
            after = _reshaped(before, change, self.spacing)
            array[before & ~after] = 0
            array[after & ~before] = change.label
        for loss in self.losses:
            array[_piece(array == loss.label, loss.which)] = 0
        return torch.from_numpy(array).to(labels.device)


def draw_corruption(rng: np.random.Generator, labels: int, spacing: tuple[float, ...]) -> Corruption:
    """How the previous labels of one patch get worse, for each of `labels` labels."""
    reshapes: list[Reshape] = []
    losses: list[Loss] = []
    if happens(rng, OPERATION_PROBABILITY):
        for label in _some(rng, labels):
            operation = OPERATIONS[int(rng.integers(len(OPERATIONS)))]
            reshapes.append(Reshape(label, operation, int(rng.integers(RADIUS[0], RADIUS[1] + 1))))
    if happens(rng, LOSS_PROBABILITY):
        losses += [Loss(label, float(rng.random())) for label in _some(rng, labels)]
    return Corruption(spacing, tuple(reshapes), tuple(losses))


def one_hot(labels: Tensor, count: int) -> Tensor:
    """(label, *edges): one float channel for each label 1 to `count`; background has none."""
    values = torch.arange(1, count + 1, device=labels.device, dtype=labels.dtype)
    return (labels[None] == values.reshape(-1, *(1 for _ in labels.shape))).to(torch.float32)


def _some(rng: np.random.Generator, labels: int) -> list[int]:
    return [label for label in range(1, labels + 1) if happens(rng, LABEL_PROBABILITY)]


def _reshaped(mask: Mask, change: Reshape, spacing: tuple[float, ...]) -> Mask:
    """Morphology by distance: as quick for a large ball as for a small one."""
    voxels = tuple(size / min(spacing) for size in spacing)
    steps: dict[Operation, tuple[Callable[..., Mask], ...]] = {
        "dilate": (_dilated,),
        "erode": (_eroded,),
        "open": (_eroded, _dilated),
        "close": (_dilated, _eroded),
    }
    for step in steps[change.operation]:
        mask = step(mask, change.radius, voxels)
    return mask


def _dilated(mask: Mask, radius: int, voxels: tuple[float, ...]) -> Mask:
    if not mask.any():
        return mask
    return np.asarray(edt.edt(np.ascontiguousarray(~mask), anisotropy=voxels) <= radius)


def _eroded(mask: Mask, radius: int, voxels: tuple[float, ...]) -> Mask:
    if mask.all():  # what lies beyond the patch is not known to be background
        return mask
    return np.asarray(edt.edt(np.ascontiguousarray(mask), anisotropy=voxels) > radius)


def _piece(mask: Mask, which: float) -> Mask:
    """One connected piece of the mask, of those that are small enough; or nothing."""
    mask = np.ascontiguousarray(mask)
    pieces = cc3d.connected_components(mask, connectivity=26 if mask.ndim == 3 else 8)
    sizes = np.bincount(pieces.ravel())[1:]
    small = np.flatnonzero(sizes < LARGEST_LOSS * mask.size) + 1
    if not len(small):
        return np.zeros_like(mask)
    return np.asarray(pieces == small[int(which * len(small))])
