"""Objects: the objective of a network that finds single objects and is told where they are.

The loss of a sample is the sum of five: whether anchors are objects, and where those that are should be; what
the regions are, where those that are objects should be, and the voxels of their outlines. Samples count
alike, with many objects or with none. Source: He 2017, doi:10.1109/ICCV.2017.322, section 3; Ren 2015,
arXiv:1506.01497, section 3.1.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.networks.mask_rcnn import Answers, Found, Judged, Truth, truth_of
from delineate.networks.mask_rcnn.boxes import overlap
from delineate.space import LabelSchema
from delineate.training.counts import dice_of
from delineate.training.losses import Parts, Total, alone
from delineate.training.objective import Figures

BEND = 1 / 9  # where the loss of shifts turns from a square to a line; Ren 2015's code
SURE = 0.5  # score from which an object counts as found
SAME = 0.5  # IoU of boxes above which it is the one that is there


@dataclass(frozen=True)
class Objects:
    """Answers about anchors and regions, compared with the objects that are there; objects are counted."""

    labels: LabelSchema

    def on(self, device: torch.device) -> Objects:
        """The same: it holds nothing that is anywhere."""
        del device
        return self

    def __call__(self, outputs: Answers | Judged, labels: Tensor, total: Total = alone) -> Parts:
        """The mean loss of the samples of all processes; the network was told the labels."""
        del labels
        samples = losses(outputs.answers if isinstance(outputs, Judged) else outputs)
        loss = total(samples.sum()) / total(torch.full_like(samples, 1.0).sum())
        return Parts(loss, torch.zeros_like(loss), loss)

    @torch.no_grad()
    def hardness(self, outputs: Answers, labels: Tensor) -> Tensor:
        """(sample,) the loss of each."""
        del labels
        return losses(outputs)

    def counted(self, outputs: Judged, labels: Tensor) -> Tensor:
        """(3, structure) objects hit, extra and missed: by their boxes."""
        structures = len(self.labels.labels)
        pairs = zip(outputs.found, labels, strict=True)
        return torch.stack([counted(found, truth_of(one), structures) for found, one in pairs]).sum(0)

    def figures(self, counts: Tensor) -> Figures:
        """F1 of objects per structure, which is their Dice; None for one neither there nor found."""
        return dice_of(counts, self.labels)


def losses(answers: Answers) -> Tensor:
    """(sample,) the loss of each sample: the sum of the five."""
    is_object = functional.binary_cross_entropy_with_logits(
        answers.objectness, answers.is_object, reduction="none"
    )
    shifts = functional.smooth_l1_loss(answers.shifts, answers.true_shifts, reduction="none", beta=BEND).sum(
        1
    )
    kinds = functional.cross_entropy(answers.kinds, answers.true_kinds, reduction="none")
    changes = functional.smooth_l1_loss(answers.changes, answers.true_changes, reduction="none").sum(1)
    outlines = functional.binary_cross_entropy_with_logits(
        answers.masks, answers.true_masks, reduction="none"
    ).mean((1, 2))
    anchors, regions, objects = (
        _sums(torch.ones_like(of, dtype=torch.float32), of, answers.samples).clamp(min=1)
        for of in (answers.of_anchor, answers.of_region, answers.of_mask)
    )
    return (
        _sums(is_object, answers.of_anchor, answers.samples) / anchors
        + _sums(shifts, answers.of_shift, answers.samples) / anchors
        + _sums(kinds, answers.of_region, answers.samples) / regions
        + _sums(changes, answers.of_mask, answers.samples) / regions
        + _sums(outlines, answers.of_mask, answers.samples) / objects
    )


def counted(found: Found, truth: Truth, structures: int) -> Tensor:
    """(3, structure) objects hit, extra and missed, by kind.

    A hit is an object and a find that are each other's nearest, of one kind, with boxes that agree.
    """
    sure = found.scores >= SURE
    kinds, boxes = found.kinds[sure], found.boxes[sure]
    there, mine = (torch.bincount(of, minlength=structures + 1)[1:] for of in (truth.kinds, kinds))
    table = overlap(truth.boxes, boxes) * (truth.kinds[:, None] == kinds[None])
    if table.numel() == 0:
        return torch.stack([torch.zeros_like(there), mine, there])
    nearest = table.argmax(1)
    rows = torch.arange(len(nearest), device=nearest.device)
    hits = (table[rows, nearest] > SAME) & (table.argmax(0)[nearest] == rows)
    hit = torch.bincount(truth.kinds[hits], minlength=structures + 1)[1:]
    return torch.stack([hit, mine - hit, there - hit])


def _sums(values: Tensor, of: Tensor, samples: int) -> Tensor:
    """(sample,) the sums of the values of each."""
    return values.new_zeros(samples).index_add(0, of, values)
