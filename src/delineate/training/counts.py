"""Counts: voxels found, found too much and missed, per structure, over many patches."""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.space import LabelSchema
from delineate.training.coding import MOST, Coding
from delineate.training.overlap import by_class


def count(logits: Tensor, labels: Tensor, coding: Coding) -> Tensor:
    """(3, structure) whole numbers: voxels hit, extra and missed of logits (batch, output, *edges).

    The hardest reading of the logits counts: the highest output, or for regions each above one half.
    """
    known = coding.known(labels)
    if not coding.exclusive:
        return _counted_regions(logits > 0, coding.values(labels) > MOST, known)
    winner, index, classes = logits.argmax(1), coding.indices(labels).clamp(min=0), logits.shape[1]
    voxels = torch.ones_like(index) if known is None else known.long()
    hit = by_class(voxels * (winner == index), index, classes)
    found, true = by_class(voxels, winner, classes), by_class(voxels, index, classes)
    return torch.stack([hit, found - hit, true - hit]).sum(1)[:, 1:]


def dice_of(counts: Tensor, schema: LabelSchema) -> dict[str, float | None]:
    """Dice per structure from counts (3, structure); None for one neither there nor found."""
    names = list(schema.structures)
    hit, extra, missed = counts.double().cpu()
    sizes = (2 * hit + extra + missed).tolist()
    return {
        name: 2 * both / size if size else None
        for name, both, size in zip(names, hit.tolist(), sizes, strict=True)
    }


def _counted_regions(found: Tensor, true: Tensor, known: Tensor | None) -> Tensor:
    if known is not None:
        found = found & known.unsqueeze(1)
    axes = (0, *range(2, found.ndim))
    hit = (found & true).sum(axes)
    return torch.stack([hit, found.sum(axes) - hit, true.sum(axes) - hit])
