"""Pyramid: features of one width at several resolutions, each knowing what the coarser ones know.

Source: Lin 2017, arXiv:1612.03144.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Pyramid(nn.Module):
    """Takes the features of an encoder's stages, finest first, and gives as many of one width.

    features  channels of the stages
    """

    def __init__(self, features: tuple[int, ...], width: int) -> None:
        super().__init__()
        self.across = nn.ModuleList(nn.Conv2d(channels, width, 1) for channels in features)
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in features)

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Features (image, width, i, j) of each level, the finest first."""
        joined: list[Tensor] = []
        for stage, across in zip(reversed(stages), reversed(self.across), strict=True):
            here = across(stage)
            if joined:
                edges = tuple(here.shape[2:])
                here = here + functional.interpolate(joined[-1], size=edges, mode="nearest")
            joined.append(here)
        return [smooth(level) for smooth, level in zip(self.smooth, reversed(joined), strict=True)]
