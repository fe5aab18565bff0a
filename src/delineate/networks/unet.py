"""U-Net: plain and with a residual encoder, in two and three dimensions.

Sources: Ronneberger 2015, doi:10.1007/978-3-319-24574-4_28; Cicek 2016, doi:10.1007/978-3-319-46723-8_49;
the details (leaky ReLU, instance norm, strided convolutions, deep supervision, a convolution with bias
everywhere) are nnU-Net's: Isensee 2021, doi:10.1038/s41592-020-01008-z, and the residual encoder
Isensee 2024, doi:10.1007/978-3-031-72114-4_47.

Arguments run from full resolution to the bottleneck. `strides[0]` is nearly always one; strides and
kernels have two entries each for images and three for volumes. In training with deep supervision the
networks return a tuple of logits from finest to coarsest; otherwise the finest logits only.
"""

from __future__ import annotations

import math

from torch import Tensor, nn

from delineate.errors import PlanError
from delineate.networks.blocks import (
    ConvBlock,
    Decoder,
    Edges,
    conv_blocks,
    encoded,
    residual_blocks,
)


class UNet(nn.Module):
    """A plain U-Net: `encoder_blocks` and `decoder_blocks` count the convolutions of each stage."""

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
        self.divisor = divisor(strides)
        given = (in_channels, *features)
        self.encoder = nn.ModuleList(
            conv_blocks(*stage)
            for stage in zip(encoder_blocks, given, features, kernels, strides, strict=False)
        )
        self.decoder = Decoder(out_channels, features, strides, kernels, decoder_blocks, deep_supervision)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        return self.decoder(encoded(self.encoder, x))  # type: ignore[no-any-return]


class ResidualUNet(nn.Module):
    """A U-Net whose encoder is made of residual blocks, `encoder_blocks` in each stage, after a stem."""

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
        self.divisor = divisor(strides)
        self.stem = ConvBlock(in_channels, features[0], kernels[0], (1,) * len(kernels[0]))
        given = (features[0], *features)
        self.encoder = nn.ModuleList(
            residual_blocks(*stage)
            for stage in zip(encoder_blocks, given, features, kernels, strides, strict=False)
        )
        self.decoder = Decoder(out_channels, features, strides, kernels, decoder_blocks, deep_supervision)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        return self.decoder(encoded(self.encoder, self.stem(x)))  # type: ignore[no-any-return]


def divisor(strides: tuple[Edges, ...]) -> Edges:
    """What each edge of an image must be a multiple of: the product of the strides along it."""
    return tuple(math.prod(along) for along in zip(*strides, strict=True))


def check_edges(edges: Edges, divisor: Edges) -> None:
    """Refuses an image that the strides do not divide."""
    if len(edges) != len(divisor):
        raise PlanError(
            f"expected an image with {len(divisor)} spatial axes, got {len(edges)}: {_shown(edges)} voxels."
        )
    if any(edge % step for edge, step in zip(edges, divisor, strict=True)):
        raise PlanError(
            f"an image of {_shown(edges)} voxels does not fit this network: each edge must be a multiple "
            f"of {_shown(divisor)}. Pad it, or plan with fewer strides."
        )


def check_bottleneck(edges: Edges, divisor: Edges) -> None:
    """Refuses an image that ends as one voxel: instance norm of a single voxel is undefined."""
    if edges == divisor:
        raise PlanError(
            f"an image of {_shown(edges)} voxels is a single voxel at the bottleneck of this network, where "
            f"instance norm is undefined. Use a larger patch, or plan with fewer strides."
        )


def _shown(edges: Edges) -> str:
    return " x ".join(map(str, edges))
