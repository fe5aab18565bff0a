"""Losses: how far logits are from labels, and how far at each resolution of the network.

A loss is the sum of up to three terms: an overlap (`overlap`), a surprise per voxel (cross-entropy and its
forms), and a distance from the border (`distance`). Each has a form for labels (softmax, background left
out of overlaps and distances) and one for regions (sigmoid); voxels that nobody annotated count in none.

Sources beside those of the terms: focal, Lin 2017, doi:10.1109/ICCV.2017.324; deep supervision, Isensee
2021, doi:10.1038/s41592-020-01008-z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from delineate.errors import PlanError
from delineate.planning.plan import LossName, Training
from delineate.space import LabelSchema
from delineate.training.coding import Coding, is_soft
from delineate.training.distance import boundary, hausdorff
from delineate.training.overlap import FLOOR, SCORES, Overlap, Region, by_class, overlap, wide
from delineate.training.skeleton import Lines

FOCUS = 2.0  # the focal loss's gamma; Lin 2017

Over = Literal["sample", "batch"]  # each sample by itself, or the batch as one image
Voxel = Literal["ce", "weighted_ce", "focal"]
Distance = Literal["boundary", "hausdorff"]
Total = Callable[[Tensor], Tensor]  # sums a tensor over the processes that share a batch

DISTANCES = {"boundary": boundary, "hausdorff": hausdorff}
DISTANCE_WEIGHTS = {
    "boundary": 0.01,  # with distances in voxels; where Kervadec 2019 begins
    "hausdorff": 0.001,  # squares of them: so that at first it is no larger than the Dice beside it
}


def alone(value: Tensor) -> Tensor:
    """The sum over the only process there is."""
    return value


class Terms(NamedTuple):
    """What a loss is made of."""

    region: Region | None = None
    voxel: Voxel | None = None
    distance: Distance | None = None


TERMS: dict[LossName, Terms] = {  # what a plan calls it
    "dice_ce": Terms("dice", "ce"),
    "dice_weighted_ce": Terms("dice", "weighted_ce"),
    "dice_focal": Terms("dice", "focal"),
    "dice_squared_ce": Terms("dice_squared", "ce"),
    "generalised_dice_ce": Terms("generalised_dice", "ce"),
    "jaccard_ce": Terms("jaccard", "ce"),
    "tversky_ce": Terms("tversky", "ce"),
    "tversky_focal": Terms("tversky", "focal"),
    "semimetric_ce": Terms("semimetric", "ce"),
    "cldice_ce": Terms("cldice", "ce"),
    "dice_ce_boundary": Terms("dice", "ce", "boundary"),
    "dice_ce_hausdorff": Terms("dice", "ce", "hausdorff"),
    "dice": Terms("dice"),
    "dice_squared": Terms("dice_squared"),
    "generalised_dice": Terms("generalised_dice"),
    "jaccard": Terms("jaccard"),
    "tversky": Terms("tversky"),
    "semimetric": Terms("semimetric"),
    "cldice": Terms("cldice"),
    "ce": Terms(None, "ce"),
    "weighted_ce": Terms(None, "weighted_ce"),
    "focal": Terms(None, "focal"),
}


@dataclass(frozen=True)
class Parts:
    """A loss and what it is made of: `total` is `voxel` minus `region`."""

    total: Tensor
    region: Tensor  # mean overlap score, 1 is perfect
    voxel: Tensor  # mean surprise per voxel, 0 is perfect; with its distance, where the loss has one


@dataclass(frozen=True)
class Seen:
    """What a loss sees of a batch.

    surprise  (batch, 1 or output, *edges): of what the label says; 0 where nobody annotated
    weight    (batch, 1 or output, *edges): how much each counts; 0 where nobody annotated
    sums      the overlap, of every structure
    """

    surprise: Tensor
    weight: Tensor
    sums: Overlap


@dataclass(frozen=True, eq=False)
class Loss:
    """What training lowers: the surprise per voxel minus the overlap per structure.

    coding         softmax, with background left out of the overlap; or sigmoid per output
    over           whether the overlap is taken per sample or over the batch
    region         the overlap score, or None
    voxel          cross-entropy (binary for regions), its weighted or focal form, or None
    distance       what is added for probability far from the border, or None
    class_weights  (output,) for "weighted_ce": of a class; of a region, of its inside against its outside
    sides          of a voxel, for distances; None where they are equal
    """

    coding: Coding
    over: Over = "sample"
    region: Region | None = "dice"
    voxel: Voxel | None = "ce"
    distance: Distance | None = None
    class_weights: Tensor | None = None
    sides: tuple[float, ...] | None = None

    def on(self, device: torch.device) -> Loss:
        """The same on a device."""
        weights = None if self.class_weights is None else self.class_weights.to(device)
        return replace(self, coding=self.coding.on(device), class_weights=weights)

    def on_coarser(self, factors: Sequence[float]) -> Loss:
        """The same for voxels that are larger by these factors."""
        sides = self.sides or (1.0,) * len(factors)
        return replace(self, sides=tuple(side * by for side, by in zip(sides, factors, strict=True)))

    def __call__(self, logits: Tensor, labels: Tensor, total: Total = alone) -> Parts:
        """The loss of logits (batch, output, *edges); 0 where not one voxel was annotated.

        Labels are hard or soft (see `coding`). With `total` the loss is that of the whole batch, of which
        each process holds some samples.
        """
        logits, known = wide(logits), self.coding.known(labels)
        voxels = torch.ones_like(logits[:, 0]) if known is None else known.to(logits.dtype)
        seen = self._seen(logits, labels, known, voxels)
        zero = logits.new_zeros(())
        voxel = self._voxel(seen, total) if self.voxel else zero
        sums, distance = seen.sums, zero
        if self.region == "cldice" or self.distance:
            p, g = self._masks(logits, labels, known)
            if self.region == "cldice":
                sums = replace(sums, lines=Lines.of(p, g))
            distance = self._distance(p, g, voxels, total) if self.distance else zero
        region = self._region(sums, voxels, total) if self.region else zero
        return Parts(voxel + distance - region, region, voxel + distance)

    def _seen(self, logits: Tensor, labels: Tensor, known: Tensor | None, voxels: Tensor) -> Seen:
        squared = self.region == "dice_squared"
        weights = self.class_weights if self.voxel == "weighted_ce" else None
        if not self.coding.exclusive:
            return _by_sigmoid(logits, self.coding.values(labels), voxels, weights, squared=squared)
        if is_soft(labels):
            return _by_shares(logits, self.coding.values(labels), voxels, weights, squared=squared)
        return _by_softmax(logits, labels.long(), known, weights, squared=squared)

    def _masks(self, logits: Tensor, labels: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor]:
        """Probabilities and targets of every structure, nothing where nobody annotated."""
        first = 1 if self.coding.exclusive else 0
        p = (logits.softmax(1) if self.coding.exclusive else logits.sigmoid())[:, first:]
        g = self.coding.values(labels)[:, first:].to(p.dtype)
        return (p, g) if known is None else (p * known.unsqueeze(1), g)

    def _voxel(self, seen: Seen, total: Total) -> Tensor:
        """Mean over the voxels annotated, of the batch as a whole."""
        surprise, weight = seen.surprise, seen.weight
        if self.voxel == "focal":
            surprise = (1 - torch.exp(-surprise)) ** FOCUS * surprise
        repeats = surprise.shape[1] // weight.shape[1]
        count = total(weight.flatten(1).sum(1).sum()) * repeats
        return total((surprise * weight).sum()) / count.clamp(min=FLOOR)

    def _region(self, sums: Overlap, voxels: Tensor, total: Total) -> Tensor:
        """Mean over structures and over the samples in which anything is annotated."""
        score = SCORES[self.region or "dice"]
        samples = voxels.flatten(1).sum(1).clamp(max=1)
        if self.over == "batch":
            whole = sums.mapped(lambda part: total(part.sum(0)))
            return score(whole).mean() * total(samples.sum()).clamp(max=1)
        means = score(sums).mean(1)
        return total((means * samples).sum()) / total(samples.sum()).clamp(min=1)

    def _distance(self, p: Tensor, g: Tensor, voxels: Tensor, total: Total) -> Tensor:
        """Weighted mean over structures and the voxels annotated."""
        kind = self.distance or "boundary"
        values = DISTANCES[kind](p, g, self.sides or (1.0,) * (p.ndim - 2)) * voxels.unsqueeze(1)
        count = total(voxels.flatten(1).sum(1).sum()) * p.shape[1]
        return DISTANCE_WEIGHTS[kind] * total(values.sum()) / count.clamp(min=1)


def _by_softmax(
    logits: Tensor, labels: Tensor, known: Tensor | None, weights: Tensor | None, *, squared: bool
) -> Seen:
    """What is seen of hard labels.

    The target is never written out: with a hundred classes it would be as large as the probabilities.
    """
    log_p, index, classes = functional.log_softmax(logits, 1), labels.clamp(min=0), logits.shape[1]
    at_label = log_p.gather(1, index.unsqueeze(1)).squeeze(1)
    there = torch.ones_like(at_label) if known is None else known.to(at_label.dtype)
    p = log_p.exp() if known is None else log_p.exp() * there.unsqueeze(1)
    sums = Overlap(
        by_class(at_label.exp() * there, index, classes),
        (p * p if squared else p).flatten(2).sum(2),
        by_class(there, index, classes),
    )
    weight = there if weights is None else there * weights.to(there.dtype)[index]
    surprise = -(at_label * there).unsqueeze(1)
    return Seen(surprise, weight.unsqueeze(1), sums.mapped(lambda part: part[:, 1:]))


def _by_shares(
    logits: Tensor, shares: Tensor, voxels: Tensor, weights: Tensor | None, *, squared: bool
) -> Seen:
    """What is seen of soft labels that exclude each other.

    A voxel weighs as its classes do on average, so that each costs least at the raters' own shares.
    """
    log_p, shares, there = functional.log_softmax(logits, 1), shares.to(logits.dtype), voxels.unsqueeze(1)
    surprise, weight = -(shares * log_p).sum(1, keepdim=True) * there, there
    if weights is not None:
        weight = there * torch.einsum("bc...,c->b...", shares, weights.to(shares.dtype)).unsqueeze(1)
    return Seen(surprise, weight, overlap(log_p.exp()[:, 1:], shares[:, 1:], voxels, squared=squared))


def _by_sigmoid(
    logits: Tensor, values: Tensor, voxels: Tensor, weights: Tensor | None, *, squared: bool
) -> Seen:
    """What is seen of regions: a surprise for each."""
    g, there = values.to(logits.dtype), voxels.unsqueeze(1)
    surprise = functional.binary_cross_entropy_with_logits(logits, g, reduction="none") * there
    weight = there
    if weights is not None:
        inside = weights.to(g.dtype).view(-1, *(1,) * (g.ndim - 2))
        weight = there * (1 + (inside - 1) * g)
    return Seen(surprise, weight, overlap(logits.sigmoid(), values, voxels, squared=squared))


def make_loss(
    training: Training, schema: LabelSchema, *, batch_dice: bool, spacing: Sequence[float] | None = None
) -> Loss:
    """The loss that a plan names; distances are in units of the finest `spacing`.

    Raises:
        PlanError: it is one that a network brings with it.
    """
    if training.loss == "mask_rcnn":
        raise PlanError(
            f"the loss {training.loss!r} compares objects, not voxels: it belongs to the network of its name."
        )
    terms = TERMS[training.loss]
    weighted = terms.voxel == "weighted_ce" and training.class_weights is not None
    return Loss(
        Coding.of(schema),
        "batch" if batch_dice else "sample",
        *terms,
        class_weights=torch.tensor(training.class_weights) if weighted else None,
        sides=None if spacing is None else tuple(side / min(spacing) for side in spacing),
    )


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
        (weight, _at_level(loss, logits, labels, total))
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


def _at_level(loss: Loss, logits: Tensor, labels: Tensor, total: Total) -> Parts:
    edges = tuple(logits.shape[2:])
    fine = tuple(labels.shape[-len(edges) :])
    if loss.distance and fine != edges:
        loss = loss.on_coarser([many / few for many, few in zip(fine, edges, strict=True)])
    return loss(logits, shrunk(labels, edges), total)


def shrunk(labels: Tensor, edges: tuple[int, ...]) -> Tensor:
    """Labels at another resolution: at each centre, the voxel it falls in."""
    if tuple(labels.shape[-len(edges) :]) == edges:
        return labels
    if is_soft(labels):
        return functional.interpolate(labels, size=edges, mode="nearest-exact")
    smaller = functional.interpolate(labels.unsqueeze(1).float(), size=edges, mode="nearest-exact")
    return smaller.squeeze(1).long()
