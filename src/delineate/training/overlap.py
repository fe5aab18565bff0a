"""Overlap: how well probabilities and targets cover each other, from sums over voxels.

Sums are taken in single precision at least, whatever the network computes in. Every score is 1 where a
structure is found exactly, and also where it is neither there nor found.

Sources: soft Dice, Milletari 2016, doi:10.1109/3DV.2016.79 (squared) and Isensee 2021,
doi:10.1038/s41592-020-01008-z (linear, smoothing); generalised Dice, Sudre 2017,
doi:10.1007/978-3-319-67558-9_28; Tversky, Salehi 2017, doi:10.1007/978-3-319-67389-9_44; semimetric Dice,
Wang 2023, doi:10.1007/978-3-031-43898-1_46; clDice, Shit 2021, doi:10.1109/CVPR46437.2021.01629.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from delineate.training.skeleton import Lines, soft_cldice

SMOOTH = 1e-5  # on both sides of the fraction: an empty target found empty scores 1; Isensee 2021
FLOOR = 1e-8  # of the denominator
FALSE_POSITIVE, FALSE_NEGATIVE = 0.3, 0.7  # Tversky's alpha and beta; Salehi 2017
LINE_SHARE = 0.5  # of clDice beside Dice; Shit 2021, the largest share that they advise

Region = Literal["dice", "dice_squared", "generalised_dice", "jaccard", "tversky", "semimetric", "cldice"]


@dataclass(frozen=True)
class Overlap:
    """Sums over voxels, (sample, output).

    apart  of |probability - target|; None follows from the others, where targets are 0 or 1
    lines  the same of middle lines, where a score asks for them
    """

    both: Tensor  # probability where the target is
    predicted: Tensor
    target: Tensor
    apart: Tensor | None = None
    lines: Lines | None = None

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Overlap:
        """With every sum changed."""
        return Overlap(
            change(self.both),
            change(self.predicted),
            change(self.target),
            None if self.apart is None else change(self.apart),
            None if self.lines is None else self.lines.mapped(change),
        )


def overlap(
    probabilities: Tensor, target: Tensor, known: Tensor | None = None, *, squared: bool = False
) -> Overlap:
    """How probabilities (batch, output, *edges) and a target of the same shape meet, per sample.

    `squared` sums squares in place of values (Milletari); voxels where `known` (batch, *edges) is False
    count nowhere.
    """
    p = wide(probabilities)
    g = target.to(p.dtype)
    if known is not None:
        p, g = p * known.unsqueeze(1), g * known.unsqueeze(1)
    apart = (p - g).abs() if target.is_floating_point() else None
    whole = Overlap(p * g, p * p if squared else p, g * g if squared else g, apart)
    return whole.mapped(lambda part: part.flatten(2).sum(2))


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


def generalised_dice(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """One Dice of all outputs, each weighted by 1 / size of its target squared; (sample, 1).

    The weights are divided by the largest, or the smoothing would drown structures of a million voxels.
    An output that is not there weighs as the smallest that is.
    """
    weight = (1 / sums.target**2).nan_to_num(posinf=0.0)
    largest = weight.amax(-1, keepdim=True)
    there = (largest > 0) & (weight > 0)
    weight = torch.where(there, weight / torch.where(largest > 0, largest, 1), 1)
    both = (weight * sums.both).sum(-1, keepdim=True)
    sizes = (weight * (sums.predicted + sums.target)).sum(-1, keepdim=True)
    return (2 * both + smooth) / (sizes + smooth).clamp(min=FLOOR)


def soft_jaccard(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Overlap over union, per output."""
    union = sums.predicted + sums.target - sums.both
    return (sums.both + smooth) / (union + smooth).clamp(min=FLOOR)


def tversky(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Dice that minds what is missed more than what is too much, per output."""
    extra, missed = sums.predicted - sums.both, sums.target - sums.both
    size = sums.both + FALSE_POSITIVE * extra + FALSE_NEGATIVE * missed
    return (sums.both + smooth) / (size + smooth).clamp(min=FLOOR)


def semimetric_dice(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """What the two sizes share over both of them, per output: 1 only where probability equals target.

    For targets of 0 and 1 it is `soft_dice`. For averaged raters that one would rather have
    probabilities of 0 and 1 than the raters' own.
    """
    sizes = sums.predicted + sums.target
    apart = sizes - 2 * sums.both if sums.apart is None else sums.apart
    return (sizes - apart + smooth) / (sizes + smooth).clamp(min=FLOOR)


def dice_and_lines(sums: Overlap, smooth: float = SMOOTH) -> Tensor:
    """Dice, and the Dice of middle lines, in equal shares, per output."""
    if sums.lines is None:
        raise ValueError("clDice needs the sums of middle lines: Overlap(..., lines=Lines.of(p, g))")
    return (1 - LINE_SHARE) * soft_dice(sums, smooth) + LINE_SHARE * soft_cldice(sums.lines, smooth)


SCORES: dict[Region, Callable[[Overlap], Tensor]] = {
    "dice": soft_dice,
    "dice_squared": soft_dice,  # of squared sums
    "generalised_dice": generalised_dice,
    "jaccard": soft_jaccard,
    "tversky": tversky,
    "semimetric": semimetric_dice,
    "cldice": dice_and_lines,
}


def wide(values: Tensor) -> Tensor:
    """The values in single precision at least."""
    return values if values.dtype == torch.float64 else values.float()
