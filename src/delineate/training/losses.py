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
from dataclasses import dataclass, replace
from typing import Literal, Self

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
Region = Literal["dice", "jaccard", "tversky"] | None
Voxel = Literal["ce", "focal"] | None
Total = Callable[[Tensor], Tensor]  # sums a tensor over the processes that share a batch


def alone(value: Tensor) -> Tensor:
    """The sum over the only process there is."""
    return value


@dataclass(frozen=True, eq=False)
class Coding:
    """How schema indices become targets.

    table        (index, output) booleans: whether voxels of an index belong to an output
    exclusive    whether each index has exactly one output, its own (softmax), or any number (sigmoid)
    has_unknown  whether there may be voxels that nobody annotated
    """

    table: Tensor
    exclusive: bool
    has_unknown: bool

    @classmethod
    def of(cls, schema: LabelSchema) -> Self:
        """The coding of a schema."""
        values = np.array([0, *(label.value for label in schema.labels)])
        table = torch.from_numpy(np.ascontiguousarray(schema.encode(values).values.T))
        return cls(table, schema.exclusive, schema.ignore is not None)

    def on(self, device: torch.device) -> Coding:
        """The same on a device."""
        return Coding(self.table.to(device), self.exclusive, self.has_unknown)

    def known(self, labels: Tensor) -> Tensor | None:
        """(batch, *edges) booleans: which voxels somebody annotated; None where all are."""
        return labels != UNKNOWN if self.has_unknown else None

    def values(self, labels: Tensor) -> Tensor:
        """(batch, output, *edges) booleans: what the outputs should be; False where unknown."""
        known = self.known(labels)
        index = labels.long() if known is None else labels.long().clamp(min=0)
        values = self.table.T[:, index].transpose(0, 1)
        return values if known is None else values & known.unsqueeze(1)


@dataclass(frozen=True)
class Overlap:
    """Sums over voxels, (sample, output)."""

    both: Tensor  # probability where the target is
    predicted: Tensor
    target: Tensor


def overlap(
    probabilities: Tensor, target: Tensor, known: Tensor | None = None, *, squared: bool = False
) -> Overlap:
    """How probabilities (batch, output, *edges) and a target of the same shape meet, per sample.

    `squared` sums squares in place of values (Milletari); voxels where `known` (batch, *edges) is False
    count nowhere.
    """
    p = _wide(probabilities)
    g = target.to(p.dtype)
    if known is not None:
        p, g = p * known.unsqueeze(1), g * known.unsqueeze(1)
    parts = (p * g, p * p if squared else p, g * g if squared else g)
    return Overlap(*(part.flatten(2).sum(2) for part in parts))


def by_class(values: Tensor, index: Tensor, classes: int) -> Tensor:
    """(sample, class) sums of values (batch, *edges) over the voxels of each class.

    Row by row first: one running sum over millions of voxels would lose the small ones.
    """
    rows = index.reshape(-1, index.shape[-1])
    sums = values.new_zeros((len(rows), classes)).scatter_add(1, rows, values.reshape(rows.shape))
    return sums.view(len(index), -1, classes).sum(1)


def soft_dice(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Twice the overlap over the two sizes, per output."""
    return (2 * sums.both + smooth) / (sums.predicted + sums.target + smooth).clamp(min=FLOOR)


def soft_jaccard(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Overlap over union, per output."""
    union = sums.predicted + sums.target - sums.both
    return (sums.both + smooth) / (union + smooth).clamp(min=FLOOR)


def tversky(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Dice that minds what is missed more than what is too much, per output."""
    extra, missed = sums.predicted - sums.both, sums.target - sums.both
    size = sums.both + FALSE_POSITIVE * extra + FALSE_NEGATIVE * missed
    return (sums.both + smooth) / (size + smooth).clamp(min=FLOOR)


SCORES = {"dice": soft_dice, "jaccard": soft_jaccard, "tversky": tversky}

TERMS: dict[str, tuple[Region, Voxel]] = {  # what a plan calls it -> overlap, surprise
    "dice_ce": ("dice", "ce"),
    "dice_focal": ("dice", "focal"),
    "jaccard_ce": ("jaccard", "ce"),
    "tversky_ce": ("tversky", "ce"),
    "dice": ("dice", None),
    "ce": (None, "ce"),
}


@dataclass(frozen=True)
class Parts:
    """A loss and what it is made of: `total` is `voxel` minus `region`."""

    total: Tensor
    region: Tensor  # mean overlap score, 1 is perfect
    voxel: Tensor  # mean surprise per voxel, 0 is perfect


@dataclass(frozen=True, eq=False)
class Loss:
    """What training lowers: the surprise per voxel minus the overlap per structure.

    coding  softmax, with background left out of the overlap; or sigmoid per output
    over    whether the overlap is taken per sample or over the batch
    region  the overlap score, or None
    voxel   cross-entropy (binary for regions), its focal form, or None
    """

    coding: Coding
    over: Over = "sample"
    region: Region = "dice"
    voxel: Voxel = "ce"

    def on(self, device: torch.device) -> Loss:
        """The same on a device."""
        return replace(self, coding=self.coding.on(device))

    def __call__(self, logits: Tensor, labels: Tensor, total: Total = alone) -> Parts:
        """The loss of logits (batch, output, *edges); 0 where not one voxel was annotated.

        With `total` the loss is that of the whole batch, of which each process holds some samples.
        """
        known = self.coding.known(labels)
        if self.coding.exclusive:
            surprise, sums = _by_softmax(_wide(logits), labels.long(), known)
        else:
            surprise, sums = _by_sigmoid(_wide(logits), self.coding.values(labels), known)
        voxels = torch.ones_like(surprise[:, 0]) if known is None else known.to(surprise.dtype)
        annotated = voxels.flatten(1).sum(1)  # (sample,)
        voxel = self._voxel(surprise, annotated, total) if self.voxel else surprise.new_zeros(())
        region = self._region(sums, annotated, total) if self.region else surprise.new_zeros(())
        return Parts(voxel - region, region, voxel)

    def _voxel(self, surprise: Tensor, annotated: Tensor, total: Total) -> Tensor:
        """Mean over the voxels annotated, of the batch as a whole."""
        if self.voxel == "focal":
            surprise = (1 - torch.exp(-surprise)) ** FOCUS * surprise
        count = total(annotated.sum()) * surprise.shape[1]
        return total(surprise.sum()) / count.clamp(min=1)

    def _region(self, sums: Overlap, annotated: Tensor, total: Total) -> Tensor:
        """Mean over structures and over the samples in which anything is annotated."""
        score = SCORES[self.region or "dice"]
        samples = annotated.clamp(max=1)
        if self.over == "batch":
            whole = Overlap(*(total(part.sum(0)) for part in (sums.both, sums.predicted, sums.target)))
            return score(whole).mean() * total(samples.sum()).clamp(max=1)
        means = score(sums).mean(1)
        return total((means * samples).sum()) / total(samples.sum()).clamp(min=1)


def _by_softmax(logits: Tensor, labels: Tensor, known: Tensor | None) -> tuple[Tensor, Overlap]:
    """Surprise per voxel (batch, 1, *edges), and the overlap of every class but background.

    The target is never written out: with a hundred classes it would be as large as the probabilities.
    """
    log_p, index, classes = functional.log_softmax(logits, 1), labels.clamp(min=0), logits.shape[1]
    at_label = log_p.gather(1, index.unsqueeze(1)).squeeze(1)
    weight = torch.ones_like(at_label) if known is None else known.to(at_label.dtype)
    p = log_p.exp() if known is None else log_p.exp() * weight.unsqueeze(1)
    sums = (
        by_class(at_label.exp() * weight, index, classes),
        p.flatten(2).sum(2),
        by_class(weight, index, classes),
    )
    return -(at_label * weight).unsqueeze(1), Overlap(*(one[:, 1:] for one in sums))


def _by_sigmoid(logits: Tensor, values: Tensor, known: Tensor | None) -> tuple[Tensor, Overlap]:
    """Surprise per voxel and region (batch, region, *edges), and the overlap of every region."""
    surprise = functional.binary_cross_entropy_with_logits(logits, values.to(logits.dtype), reduction="none")
    if known is not None:
        surprise = surprise * known.unsqueeze(1)
    return surprise, overlap(logits.sigmoid(), values, known)


def make_loss(training: Training, schema: LabelSchema, *, batch_dice: bool) -> Loss:
    """The loss that a plan names."""
    region, voxel = TERMS[training.loss]
    return Loss(Coding.of(schema), "batch" if batch_dice else "sample", region, voxel)


def level_weights(levels: int) -> tuple[float, ...]:
    """Weights of the outputs from finest to coarsest: halved each time, the coarsest 0, summing to 1."""
    if levels == 1:
        return (1.0,)
    halves = [0.5**level for level in range(levels - 1)]
    return (*(half / sum(halves) for half in halves), 0.0)


def supervised(loss: Loss, outputs: Tensor | Sequence[Tensor], labels: Tensor, total: Total = alone) -> Parts:
    """The weighted loss of the outputs at every resolution, finest first (deep supervision)."""
    levels = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    weights = level_weights(len(levels))
    parts = [
        (weight, loss(logits, shrunk(labels, tuple(logits.shape[2:])), total))
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
