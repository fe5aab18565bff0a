"""Losses: how far logits are from labels, and how far at each resolution of the network.

Targets come as schema indices: (batch, *edges) integers, 0 background, n the n-th label, -1 a voxel that
nobody annotated. A table (index, output) says which outputs an index belongs to: one each for labels
(softmax), any number for regions (sigmoid). Unannotated voxels count in no term.

Sums over voxels are taken in single precision at least, whatever the network computes in.

Sources: soft Dice, Milletari 2016, doi:10.1109/3DV.2016.79 (squared) and Isensee 2021,
doi:10.1038/s41592-020-01008-z (linear, smoothing, deep supervision); Tversky, Salehi 2017,
doi:10.1007/978-3-319-67389-9_44; focal, Lin 2017, doi:10.1109/ICCV.2017.324.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delineate.planning.plan import Training
from delineate.space import LabelSchema

SMOOTH = 1e-5  # on both sides of the fraction: an empty target found empty scores 1; Isensee 2021
FLOOR = 1e-8  # of the denominator
FALSE_POSITIVE, FALSE_NEGATIVE = 0.3, 0.7  # Tversky's alpha and beta; Salehi 2017
FOCUS = 2.0  # the focal loss's gamma; Lin 2017
UNKNOWN = -1

Over = Literal["sample", "batch"]  # each sample by itself, or the batch as one image
Total = Callable[[Tensor], Tensor]  # sums a tensor over the processes that share a batch


def alone(value: Tensor) -> Tensor:
    """The sum over the only process there is."""
    return value


def membership(schema: LabelSchema) -> Tensor:
    """(index, output) booleans: whether voxels of a schema index belong to an output."""
    values = np.array([0, *(label.value for label in schema.labels)])
    return torch.from_numpy(np.ascontiguousarray(schema.encode(values).values.T))


@dataclass(frozen=True)
class Target:
    """What the outputs should be.

    labels  (batch, *edges) schema indices, -1 unknown
    values  (batch, output, *edges) booleans, False where unknown
    known   (batch, 1, *edges) booleans
    """

    labels: Tensor
    values: Tensor
    known: Tensor


def encode(labels: Tensor, table: Tensor) -> Target:
    """The target of schema indices (batch, *edges), by a table (index, output)."""
    labels = labels.long()
    known = labels != UNKNOWN
    values = table.T[:, labels.clamp(min=0)].transpose(0, 1)
    return Target(labels, values & known.unsqueeze(1), known.unsqueeze(1))


@dataclass(frozen=True)
class Overlap:
    """Sums over voxels, (sample, output), or (1, output) for a batch taken as one image."""

    both: Tensor  # probability times target
    predicted: Tensor
    target: Tensor


def overlap(
    probabilities: Tensor,
    target: Tensor,
    known: Tensor | None = None,
    *,
    squared: bool = False,
    over: Over = "sample",
    total: Total = alone,
) -> Overlap:
    """How probabilities (batch, output, *edges) and a target of the same shape meet.

    `squared` sums squares in place of values (Milletari); voxels where `known` is False count nowhere.
    """
    p, g = _wide(probabilities), target.to(_wide(probabilities).dtype)
    if known is not None:
        p, g = p * known, g * known
    sums = [p * g, p * p if squared else p, g * g if squared else g]
    axes = tuple(range(2, p.ndim)) if over == "sample" else (0, *range(2, p.ndim))
    both, predicted, true = (
        value.sum(axes, keepdim=over == "batch").reshape(-1, p.shape[1]) for value in sums
    )
    if over == "batch":
        both, predicted, true = total(both), total(predicted), total(true)
    return Overlap(both, predicted, true)


def soft_dice(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Twice the overlap over the two sizes, per row and output."""
    return (2 * sums.both + smooth) / (sums.predicted + sums.target + smooth).clamp(min=FLOOR)


def soft_jaccard(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Overlap over union, per row and output."""
    union = sums.predicted + sums.target - sums.both
    return (sums.both + smooth) / (union + smooth).clamp(min=FLOOR)


def tversky(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Dice that minds what is missed more than what is too much, per row and output."""
    extra, missed = sums.predicted - sums.both, sums.target - sums.both
    size = sums.both + FALSE_POSITIVE * extra + FALSE_NEGATIVE * missed
    return (sums.both + smooth) / (size + smooth).clamp(min=FLOOR)


SCORES = {"dice": soft_dice, "jaccard": soft_jaccard, "tversky": tversky}


@dataclass(frozen=True)
class Parts:
    """A loss and what it is made of: `total` is `voxel` minus `region`."""

    total: Tensor
    region: Tensor  # mean overlap score, 1 is perfect
    voxel: Tensor  # mean surprise per voxel, 0 is perfect


@dataclass(frozen=True)
class Loss:
    """What training lowers: the surprise per voxel minus the overlap per structure.

    exclusive  softmax, background left out of the overlap; else sigmoid per output
    over       whether the overlap is taken per sample or over the batch
    region     the overlap score, or None
    voxel      cross-entropy (binary for regions), its focal form, or None
    """

    exclusive: bool
    over: Over = "sample"
    region: Literal["dice", "jaccard", "tversky"] | None = "dice"
    voxel: Literal["ce", "focal"] | None = "ce"

    def __call__(self, logits: Tensor, target: Target, total: Total = alone) -> Parts:
        """The loss of logits (batch, output, *edges); 0 where not one voxel was annotated.

        With `total` the loss is that of the whole batch, of which each process holds some samples.
        """
        logits = _wide(logits)
        log_p = functional.log_softmax(logits, 1) if self.exclusive else None
        nothing = logits.new_zeros(())
        voxel = nothing if self.voxel is None else self._voxel(logits, log_p, target, total)
        probabilities = logits.sigmoid() if log_p is None else log_p.exp()
        region = nothing if self.region is None else self._region(probabilities, target, total)
        return Parts(voxel - region, region, voxel)

    def _voxel(self, logits: Tensor, log_p: Tensor | None, target: Target, total: Total) -> Tensor:
        if log_p is not None:
            surprise = functional.nll_loss(log_p, target.labels, ignore_index=UNKNOWN, reduction="none")
            outputs = 1
        else:
            surprise = functional.binary_cross_entropy_with_logits(
                logits, target.values.to(logits.dtype), reduction="none"
            )
            surprise = surprise * target.known
            outputs = logits.shape[1]
        if self.voxel == "focal":
            surprise = (1 - torch.exp(-surprise)) ** FOCUS * surprise
        count = total(target.known.sum().to(logits.dtype)) * outputs
        return total(surprise.sum()) / count.clamp(min=1)

    def _region(self, probabilities: Tensor, target: Target, total: Total) -> Tensor:
        first = 1 if self.exclusive else 0  # background is no structure
        sums = overlap(
            probabilities[:, first:], target.values[:, first:], target.known, over=self.over, total=total
        )
        scores = SCORES[self.region or "dice"](sums)
        annotated = target.known.flatten(1).any(1, keepdim=True).to(scores.dtype)  # (sample, 1)
        if self.over == "batch":
            return scores.mean() * total(annotated.sum()).clamp(max=1)
        count = total(annotated.sum()) * scores.shape[1]
        return total((scores * annotated).sum()) / count.clamp(min=1)


def make_loss(training: Training, schema: LabelSchema, *, batch_dice: bool) -> Loss:
    """The loss that a plan names."""
    region, voxel = {
        "dice_ce": ("dice", "ce"),
        "dice_focal": ("dice", "focal"),
        "jaccard_ce": ("jaccard", "ce"),
        "tversky_ce": ("tversky", "ce"),
        "dice": ("dice", None),
        "ce": (None, "ce"),
    }[training.loss]
    return Loss(schema.exclusive, "batch" if batch_dice else "sample", region, voxel)  # type: ignore[arg-type]


def level_weights(levels: int) -> tuple[float, ...]:
    """Weights of the outputs from finest to coarsest: halved each time, the coarsest 0, summing to 1."""
    if levels == 1:
        return (1.0,)
    halves = [0.5**level for level in range(levels - 1)]
    return (*(half / sum(halves) for half in halves), 0.0)


def supervised(
    loss: Loss, outputs: Tensor | Sequence[Tensor], labels: Tensor, table: Tensor, total: Total = alone
) -> Parts:
    """The weighted loss of the outputs at every resolution, finest first (deep supervision)."""
    levels = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    weights = level_weights(len(levels))
    parts = [
        (weight, loss(logits, encode(shrunk(labels, tuple(logits.shape[2:])), table), total))
        for weight, logits in zip(weights, levels, strict=True)
        if weight > 0
    ]
    # Outputs that count nothing still give gradients, all zero: processes that share them wait for each.
    nothing = [
        (0 * logits.sum()).nan_to_num(0) for weight, logits in zip(weights, levels, strict=True) if not weight
    ]
    return Parts(
        total=torch.stack([*(weight * part.total for weight, part in parts), *nothing]).sum(),
        region=torch.stack([weight * part.region for weight, part in parts]).sum(),
        voxel=torch.stack([weight * part.voxel for weight, part in parts]).sum(),
    )


def shrunk(labels: Tensor, edges: tuple[int, ...]) -> Tensor:
    """Labels (batch, *edges) at another resolution: at each centre, the voxel it falls in."""
    if tuple(labels.shape[1:]) == edges:
        return labels
    smaller = functional.interpolate(labels.unsqueeze(1).float(), size=edges, mode="nearest-exact")
    return smaller.squeeze(1).long()


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype == torch.float64 else values.float()
