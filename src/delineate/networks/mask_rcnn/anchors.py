"""Anchors: boxes of a few shapes about every place of a feature map, from which objects are found.

Source: Ren 2015, arXiv:1506.01497. An anchor has a size, the root of its area, and a ratio of its edge
along i to that along j.
"""

from __future__ import annotations

import torch
from torch import Tensor


def shapes(sizes: tuple[float, ...], ratios: tuple[float, ...]) -> Tensor:
    """(size * ratio, 2) edges of every anchor of a place, all ratios of the first size first."""
    size = torch.tensor(sizes, dtype=torch.float32)[:, None]
    root = torch.tensor(ratios, dtype=torch.float32)[None].sqrt()
    return torch.stack([size * root, size / root], dim=-1).reshape(-1, 2)


def anchors(
    edges: tuple[int, ...], stride: tuple[int, ...], sizes: tuple[float, ...], ratios: tuple[float, ...]
) -> Tensor:
    """(place * shape, 4) the anchors of a feature map of `edges`, in voxels of the image.

    stride  voxels from one place of the map to the next; anchors are about the middle of what a place covers
    """
    lines = [
        (torch.arange(n, dtype=torch.float32) + 0.5) * step for n, step in zip(edges, stride, strict=True)
    ]
    middle = torch.stack(torch.meshgrid(*lines, indexing="ij"), dim=-1).reshape(-1, 1, 2)
    half = shapes(sizes, ratios)[None] / 2
    return torch.cat([middle - half, middle + half], dim=-1).reshape(-1, 4)
