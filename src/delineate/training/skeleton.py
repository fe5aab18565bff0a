"""Skeleton: the middle line of what is probable, and how two of them meet; gradients flow through it.

Source: soft clDice, Shit 2021, doi:10.1109/CVPR46437.2021.01629 (arXiv:2003.07311): erosions and dilations
are the smallest and largest of the neighbours, and what an opening takes away is the line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch
from torch import Tensor
from torch.nn import functional

THINNINGS = 3  # as in the authors' code; tubes thicker than about 7 voxels are not thinned to a line


def soft_skeleton(values: Tensor, thinnings: int = THINNINGS) -> Tensor:
    """The middle lines of (batch, output, *edges) between 0 and 1, in the same form."""
    line = torch.zeros_like(values)
    for _ in range(thinnings + 1):
        thinner = _eroded(values)
        more = functional.relu(values - _dilated(thinner))
        line, values = line + functional.relu(more - line * more), thinner
    return line


@dataclass(frozen=True)
class Lines:
    """Sums over the voxels of two middle lines, (sample, output)."""

    right: Tensor  # of the predicted line, what lies within the target
    predicted: Tensor
    found: Tensor  # of the target's line, what lies within the prediction
    target: Tensor

    @classmethod
    def of(cls, p: Tensor, g: Tensor) -> Lines:
        """Of probabilities and a target, (batch, output, *edges)."""
        mine = soft_skeleton(p)
        with torch.no_grad():
            theirs = soft_skeleton(g)
        return cls(*(part.flatten(2).sum(2) for part in (mine * g, mine, theirs * p, theirs)))

    def mapped(self, change: Callable[[Tensor], Tensor]) -> Lines:
        """With every sum changed."""
        return Lines(*map(change, (self.right, self.predicted, self.found, self.target)))


def soft_cldice(lines: Lines, smooth: float) -> Tensor:
    """How much of each line lies within the other structure: the harmonic mean, per output."""
    precision = (lines.right + smooth) / (lines.predicted + smooth)
    recall = (lines.found + smooth) / (lines.target + smooth)
    return 2 * precision * recall / (precision + recall)


def _eroded(values: Tensor) -> Tensor:
    """The smallest of each voxel and those that share a face with it."""
    axes = range(values.ndim - 2)
    return reduce(torch.minimum, (-_largest(-values, [3 if n == axis else 1 for n in axes]) for axis in axes))


def _dilated(values: Tensor) -> Tensor:
    return _largest(values, [3] * (values.ndim - 2))


def _largest(values: Tensor, kernel: list[int]) -> Tensor:
    pool = functional.max_pool3d if len(kernel) == 3 else functional.max_pool2d
    return pool(values, kernel, 1, [n // 2 for n in kernel])
