"""Attention U-Net: skips pass through gates that the coarser features open.

Source: Oktay 2018, arXiv:1804.03999: additive attention, one coefficient between 0 and 1 per voxel of the
gate, read linearly at the size of the skip. `gates` gives these maps, to look at.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from delineate.networks.blocks import (
    CONVOLUTION,
    Edges,
    conv_blocks,
    encoded,
    resized,
    upsampling,
)
from delineate.networks.unet import check_bottleneck, check_edges, divisor


class AttentionUNet(nn.Module):
    """A plain U-Net with a gate on each skip."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        encoder_blocks: tuple[int, ...],
        decoder_blocks: tuple[int, ...],
        deep_supervision: bool = True,
    ) -> None:
        super().__init__()
        dims, unit = len(strides[0]), (1,) * len(strides[0])
        self.divisor, self.deep_supervision = divisor(strides), deep_supervision
        given = (in_channels, *features)
        self.encoder = nn.ModuleList(
            conv_blocks(*stage)
            for stage in zip(encoder_blocks, given, features, kernels, strides, strict=False)
        )
        levels = [*zip(pairwise(features), strides[1:], strict=True)]
        self.attention = nn.ModuleList(Gate(here, below, stride) for (here, below), stride in levels)
        self.ups = nn.ModuleList(upsampling(below, here, stride) for (here, below), stride in levels)
        self.decoder = nn.ModuleList(
            conv_blocks(count, 2 * here, here, kernel, unit)
            for count, here, kernel in zip(decoder_blocks, features, kernels, strict=False)
        )
        supervised = features[:-1] if deep_supervision else features[:1]
        self.heads = nn.ModuleList(CONVOLUTION[dims](here, out_channels, 1) for here in supervised)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        joined, _ = self._through(x)
        if self.training and self.deep_supervision:
            return tuple(head(y) for head, y in zip(self.heads, joined, strict=True))
        return self.heads[0](joined[0])  # type: ignore[no-any-return]

    @torch.no_grad()
    def gates(self, x: Tensor) -> tuple[Tensor, ...]:
        """How far each gate is open, (batch, 1, ...) at the size of the image, finest gate first."""
        edges = tuple(x.shape[2:])
        return tuple(resized(opening, edges) for opening in self._through(x)[1])

    def _through(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Features of the decoder and openings of the gates, finest first."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        *skips, y = encoded(self.encoder, x)
        joined, openings = [], []
        for level in reversed(range(len(skips))):
            opening = self.attention[level](skips[level], y)
            y = self.decoder[level](torch.cat((self.ups[level](y), skips[level] * opening), dim=1))
            joined.append(y)
            openings.append(opening)
        return joined[::-1], openings[::-1]


class Gate(nn.Module):
    """Additive attention: sigmoid(psi(relu(theta(skip) + phi(coarse)))), at the size of the skip."""

    def __init__(self, skip_channels: int, coarse_channels: int, stride: Edges) -> None:
        super().__init__()
        dims, inner = len(stride), max(1, skip_channels // 2)
        self.theta = CONVOLUTION[dims](skip_channels, inner, stride, stride, bias=False)  # type: ignore[arg-type]
        self.phi = CONVOLUTION[dims](coarse_channels, inner, 1)
        self.psi = CONVOLUTION[dims](inner, 1, 1)

    def forward(self, skip: Tensor, coarse: Tensor) -> Tensor:
        """(batch, 1, ...) in [0, 1]."""
        opening = torch.sigmoid(self.psi((self.theta(skip) + self.phi(coarse)).relu()))
        return resized(opening, tuple(skip.shape[2:]))
