"""DenseNet: an encoder in which each layer reads all layers before it, and a U-Net upon it.

Source: Huang 2017, doi:10.1109/CVPR.2017.243. With three channels and batch norm the encoder of DenseNet-121
has the published number of parameters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delineate.networks.blocks import AVERAGE_POOL, CONVOLUTION, MAX_POOL, Edges, Norm, norm_of
from delineate.networks.resnet import decoder_to_full
from delineate.networks.unet import check_bottleneck, check_edges, divisor

INSIDE = 4  # a layer is so many times the growth wide before its large convolution


class DenseNetEncoder(nn.Module):
    """Stem and dense blocks; between two blocks the channels are halved and the image averaged.

    features  of what stages give, the stem first: they follow from `layers` and `growth`
    """

    def __init__(
        self,
        in_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        layers: tuple[int, ...],
        growth: int,
        norm: Norm,
    ) -> None:
        super().__init__()
        dims = len(strides[0])
        self.stem = nn.Sequential(
            _convolution(in_channels, features[0], kernels[0], strides[0]),
            norm_of(norm, features[0], dims),
            nn.ReLU(inplace=True),
        )
        self.pools, self.blocks = nn.ModuleList(), nn.ModuleList()
        width = features[0]
        for n in range(1, len(features)):
            self.pools.append(_first_pool(strides[1]) if n == 1 else _transition(width, strides[n], norm))
            width = width if n == 1 else width // 2
            block = nn.ModuleList(
                _layer(width + layer * growth, growth, kernels[n], norm) for layer in range(layers[n])
            )
            self.blocks.append(block)
            width += layers[n] * growth
        self.last = norm_of(norm, width, dims)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of each stage, the stem first."""
        seen = [self.stem(x)]
        for pool, block in zip(self.pools, self.blocks, strict=True):
            x = pool(seen[-1])
            for layer in block.children():
                x = torch.cat((x, layer(x)), dim=1)
            seen.append(x)
        return [*seen[:-1], self.last(seen[-1]).relu()]


class DenseNetUNet(nn.Module):
    """A U-Net's decoder on a dense encoder; the last step up joins the image itself."""

    def __init__(  # noqa: PLR0913 - as the other U-Nets, and what is its own
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        layers: tuple[int, ...],
        decoder_blocks: tuple[int, ...],
        deep_supervision: bool = True,
        *,
        growth: int = 32,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.divisor = divisor(strides)
        self.encoder = DenseNetEncoder(in_channels, features, strides, kernels, layers, growth, norm)
        self.decoder = decoder_to_full(
            in_channels, out_channels, features, strides, kernels, decoder_blocks, deep_supervision
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        return self.decoder([x, *self.encoder(x)])  # type: ignore[no-any-return]


def _layer(in_channels: int, growth: int, kernel: Edges, norm: Norm) -> nn.Sequential:
    unit, dims = (1,) * len(kernel), len(kernel)
    return nn.Sequential(
        norm_of(norm, in_channels, dims),
        nn.ReLU(inplace=norm != "none"),
        _convolution(in_channels, INSIDE * growth, unit, unit),
        norm_of(norm, INSIDE * growth, dims),
        nn.ReLU(inplace=True),
        _convolution(INSIDE * growth, growth, kernel, unit),
    )


def _transition(in_channels: int, stride: Edges, norm: Norm) -> nn.Sequential:
    unit, dims = (1,) * len(stride), len(stride)
    return nn.Sequential(
        norm_of(norm, in_channels, dims),
        nn.ReLU(inplace=norm != "none"),
        _convolution(in_channels, in_channels // 2, unit, unit),
        AVERAGE_POOL[dims](stride),  # type: ignore[arg-type]
    )


def _first_pool(stride: Edges) -> nn.Module:
    return MAX_POOL[len(stride)](tuple(2 * s - 1 for s in stride), stride, tuple(s - 1 for s in stride))


def _convolution(in_channels: int, out_channels: int, kernel: Edges, stride: Edges) -> nn.Module:
    padding = tuple((k - 1) // 2 for k in kernel)
    return CONVOLUTION[len(kernel)](in_channels, out_channels, kernel, stride, padding, bias=False)  # type: ignore[arg-type]
