"""Heads: what is said of every anchor, of every region, and of the voxels in it.

Source: Ren 2015, arXiv:1506.01497 (anchors), Lin 2017, arXiv:1612.03144 (boxes), He 2017,
doi:10.1109/ICCV.2017.322 (masks).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

CALM = 0.05  # last layers begin so much smaller: anchors stay where they are until something is learnt
MASK_CONVOLUTIONS = 4  # He 2017


class Last(nn.Module):
    """A last layer, whose answers begin near zero."""

    def __init__(self, layer: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        """The layer's answers."""
        return self.layer(x)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start(self) -> None:
        """The first weights, made small."""
        self.layer.weight.mul_(CALM)


class AnchorHead(nn.Module):
    """Says of each anchor whether an object is there, and what box it has; the same at every level.

    shapes  anchors of a place, at the level that has most; levels with fewer leave the rest unused
    """

    def __init__(self, width: int, shapes: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.object = Last(nn.Conv2d(width, shapes, 1))
        self.change = Last(nn.Conv2d(width, 4 * shapes, 1))
        self.shapes = shapes

    def forward(self, level: Tensor, used: int) -> tuple[Tensor, Tensor]:
        """Logits (image, anchor) and changes (image, anchor, 4), in the order of `anchors.anchors`."""
        seen = self.look(level).relu()
        logits = self.object(seen)[:, :used].movedim(1, -1)
        changes = self.change(seen).unflatten(1, (self.shapes, 4))[:, :used]
        return logits.flatten(1).float(), changes.permute(0, 3, 4, 1, 2).flatten(1, 3).float()


class BoxHead(nn.Module):
    """Says of each region what it is, background first, and what box it has."""

    def __init__(self, width: int, cells: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * cells * cells, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.kind = Last(nn.Linear(hidden, outputs))
        self.change = Last(nn.Linear(hidden, 4))

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (region, output) and changes (region, 4) for features (region, width, cells, cells)."""
        seen = self.body(regions)
        return self.kind(seen).float(), self.change(seen).float()


class MaskHead(nn.Module):
    """Says of the voxels of each region, on a grid twice as fine as its features, whether they are object."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential()
        for _ in range(MASK_CONVOLUTIONS):
            self.body.append(nn.Conv2d(width, width, 3, padding=1))
            self.body.append(nn.ReLU(inplace=True))
        self.up = nn.ConvTranspose2d(width, width, 2, 2)
        self.mask = nn.Conv2d(width, outputs - 1, 1)

    def forward(self, regions: Tensor, kinds: Tensor) -> Tensor:
        """Logits (region, 2 cells, 2 cells) of the outline of each region's own kind (region,), from 1."""
        every: Tensor = self.mask(self.up(self.body(regions)).relu()).float()
        own = (kinds - 1).reshape(-1, 1, 1, 1).expand(-1, 1, *every.shape[2:])
        return every.gather(1, own)[:, 0]
