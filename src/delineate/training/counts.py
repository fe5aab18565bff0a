"""Counts: voxels found, found too much and missed, per structure, over many patches."""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.space import LabelSchema
from delineate.training.losses import Target


def count(logits: Tensor, target: Target, *, exclusive: bool) -> Tensor:
    """(3, structure) whole numbers: voxels hit, extra and missed of logits (batch, output, *edges).

    The hardest reading of the logits counts: the highest output, or for regions each above one half.
    """
    if exclusive:
        winner = logits.argmax(1, keepdim=True)
        outputs = torch.arange(1, logits.shape[1], device=logits.device)
        found = winner == outputs.view(-1, *[1] * (logits.ndim - 2))
        true = target.values[:, 1:]
    else:
        found, true = logits > 0, target.values
    axes = (0, *range(2, logits.ndim))
    found = found & target.known
    hit = (found & true).sum(axes)
    return torch.stack([hit, found.sum(axes) - hit, true.sum(axes) - hit])


def dice_of(counts: Tensor, schema: LabelSchema) -> dict[str, float | None]:
    """Dice per structure from counts (3, structure); None for one neither there nor found."""
    names = list(schema.structures)
    hit, extra, missed = counts.double().cpu()
    sizes = (2 * hit + extra + missed).tolist()
    return {
        name: 2 * both / size if size else None
        for name, both, size in zip(names, hit.tolist(), sizes, strict=True)
    }
