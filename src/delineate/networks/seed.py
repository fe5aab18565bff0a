"""Seed networks: two teaching networks of fixed layout, kept exactly for comparison.

Their defaults have 31,030,723 parameters (2D, 1 channel, 3 outputs) and 5,602,595 (3D, 1 channel, 3
outputs). They return logits at full resolution, and know no deep supervision.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from delineate.networks.unet import check_edges

FEATURES_2D = (64, 128, 256, 512, 1024)
DROPOUTS_2D = (0.1, 0.1, 0.2, 0.2, 0.3, 0.2, 0.2, 0.1, 0.1)
FEATURES_3D = (32, 64, 128, 256)


class SeedUNet2d(nn.Module):
    """The Keras-style U-Net of Ronneberger 2015 with padded convolutions, ReLU and dropout, no norm.

    `dropouts` are those of the blocks in the order in which the image passes them.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...] = FEATURES_2D,
        dropouts: tuple[float, ...] = DROPOUTS_2D,
    ) -> None:
        super().__init__()
        self.divisor = (2 ** (len(features) - 1),) * 2
        given, down, up = (in_channels, *features), dropouts[: len(features)], dropouts[len(features) :]
        self.encoder = nn.ModuleList(
            _dropout_block(a, b, p) for (a, b), p in zip(pairwise(given), down, strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        rising = tuple(pairwise(reversed(features)))
        self.ups = nn.ModuleList(nn.ConvTranspose2d(below, here, 2, 2) for below, here in rising)
        self.decoder = nn.ModuleList(
            _dropout_block(2 * here, here, p) for (_, here), p in zip(rising, up, strict=True)
        )
        self.head = nn.Conv2d(features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, i, j) for an image (batch, channel, i, j)."""
        check_edges(tuple(x.shape[2:]), self.divisor)
        return self.head(_through(x, self.encoder, self.pool, self.ups, self.decoder))  # type: ignore[no-any-return]


class SeedUNet3d(nn.Module):
    """A 3D U-Net with batch norm and ReLU, two convolutions in each stage, max pooling."""

    def __init__(self, in_channels: int, out_channels: int, features: tuple[int, ...] = FEATURES_3D) -> None:
        super().__init__()
        self.divisor = (2 ** (len(features) - 1),) * 3
        self.encoder = nn.ModuleList(_norm_block(a, b) for a, b in pairwise((in_channels, *features)))
        self.pool = nn.MaxPool3d(2)
        rising = tuple(pairwise(reversed(features)))
        self.ups = nn.ModuleList(nn.ConvTranspose3d(below, here, 2, 2) for below, here in rising)
        self.decoder = nn.ModuleList(_norm_block(2 * here, here) for _, here in rising)
        self.head = nn.Conv3d(features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, i, j, k) for a volume (batch, channel, i, j, k)."""
        check_edges(tuple(x.shape[2:]), self.divisor)
        return self.head(_through(x, self.encoder, self.pool, self.ups, self.decoder))  # type: ignore[no-any-return]


def _through(
    x: Tensor, encoder: nn.ModuleList, pool: nn.Module, ups: nn.ModuleList, decoder: nn.ModuleList
) -> Tensor:
    skips: list[Tensor] = []
    for stage in encoder:
        x = stage(pool(x) if skips else x)
        skips.append(x)
    for up, stage, skip in zip(ups, decoder, skips[-2::-1], strict=True):
        x = stage(torch.cat((up(x), skip), dim=1))
    return x


def _dropout_block(in_channels: int, out_channels: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Dropout(dropout),
        nn.Conv2d(out_channels, out_channels, 3, padding=1),
        nn.ReLU(inplace=True),
    )


def _norm_block(in_channels: int, out_channels: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for given in (in_channels, out_channels):
        parts += [
            nn.Conv3d(given, out_channels, 3, padding=1),
            nn.BatchNorm3d(out_channels),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*parts)
