"""Blocks: what a masked autoencoder does not see. Three quarters of a patch, in blocks, are 0.

Source: He 2022, arXiv:2111.06377 (75 % hidden); for U-Nets in 3D, with hidden voxels set to 0 and
the loss on hidden voxels only, Wald 2025, arXiv:2410.23132. Blocks are of 16 voxels in patches of 160, and as
small a part of smaller patches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Edges = tuple[int, ...]

HIDDEN = 0.75
PARTS = 10  # blocks along an edge of the patch
SMALLEST, LARGEST = 2, 16  # voxels; a single one is filled in from its neighbours without learning anything


def block_of(edges: Edges) -> Edges:
    """The edges of what is hidden at once in a patch: a power of two, about a tenth of each edge."""
    return tuple(2 ** round(math.log2(min(max(edge / PARTS, SMALLEST), LARGEST))) for edge in edges)


@dataclass(frozen=True)
class Mask:
    """Blocks that are hidden."""

    block: Edges
    hidden: npt.NDArray[np.bool_]  # one entry per block

    def voxels(self, edges: Edges) -> npt.NDArray[np.bool_]:
        """Which voxels of a patch are hidden."""
        mask: npt.NDArray[Any] = self.hidden
        for axis, size in enumerate(self.block):
            mask = mask.repeat(size, axis)
        return mask[tuple(slice(edge) for edge in edges)]

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The image (channel, *edges) without what is hidden, and where that is (*edges)."""
        mask = torch.from_numpy(np.ascontiguousarray(self.voxels(tuple(image.shape[1:])))).to(image.device)
        return image.masked_fill(mask, 0), mask


def draw_mask(rng: np.random.Generator, edges: Edges, block: Edges, share: float) -> Mask:
    """Blocks, drawn all alike; at least one is hidden and one is seen."""
    grid = tuple(-(-edge // size) for edge, size in zip(edges, block, strict=True))
    count = math.prod(grid)
    many = min(max(round(share * count), 1), count - 1)
    hidden = np.zeros(count, dtype=bool)
    hidden[rng.permutation(count)[:many]] = True
    return Mask(block, hidden.reshape(grid))
