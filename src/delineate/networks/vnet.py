"""V-Net: stages that add their input to their output, with kernels of five and PReLU.

Source: Milletari 2016, doi:10.1109/3DV.2016.79. Strided convolutions take the place of pools. The paper has
no norm; with batch norm the layout is that of the authors' later code, and of MONAI.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from delineate.networks.blocks import (
    CONVOLUTION,
    Edges,
    Norm,
    convolution,
    encoded,
    norm_of,
    upsampling,
)
from delineate.networks.unet import check_bottleneck, check_edges, divisor


class VNet(nn.Module):
    """`encoder_blocks` and `decoder_blocks` count the convolutions of each stage."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        encoder_blocks: tuple[int, ...],
        decoder_blocks: tuple[int, ...],
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.divisor = divisor(strides)
        first = _Repeated(in_channels, features[0])
        self.encoder = nn.ModuleList(
            [_Stage(first, in_channels, features[0], kernels[0], encoder_blocks[0], norm)]
        )
        for n, (above, here) in enumerate(pairwise(features), start=1):
            down = _taken(
                CONVOLUTION[len(strides[n])](above, here, strides[n], strides[n]),  # type: ignore[arg-type]
                here,
                strides[n],
                norm,
            )
            self.encoder.append(_Stage(down, here, here, kernels[n], encoder_blocks[n], norm))
        self.ups, self.decoder = nn.ModuleList(), nn.ModuleList()
        wide = (
            *(2 * f for f in features[:-1]),
            features[-1],
        )  # a stage on the way up is joined: twice as wide
        for n, (here, below) in enumerate(pairwise(features)):
            given = wide[n + 1] if n + 1 < len(features) - 1 else below
            self.ups.append(_taken(upsampling(given, here, strides[n + 1]), here, strides[n + 1], norm))
            self.decoder.append(_Stage(nn.Identity(), wide[n], wide[n], kernels[n], decoder_blocks[n], norm))
        self.head = CONVOLUTION[len(strides[0])](wide[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        *skips, x = encoded(self.encoder, x)
        for up, stage, skip in zip(self.ups[::-1], self.decoder[::-1], skips[::-1], strict=True):
            x = stage(torch.cat((up(x), skip), dim=1))
        return self.head(x)  # type: ignore[no-any-return]


class _Stage(nn.Module):
    """Convolutions around which the input is added; the first stage has the image's channels repeated."""

    def __init__(
        self, enter: nn.Module, in_channels: int, channels: int, kernel: Edges, count: int, norm: Norm
    ) -> None:
        super().__init__()
        self.enter, self.repeats = enter, isinstance(enter, _Repeated)
        self.convs = nn.Sequential()
        for n in range(count):
            given = in_channels if n == 0 else channels
            self.convs.append(convolution(given, channels, kernel, (1,) * len(kernel)))
            self.convs.append(norm_of(norm, channels, len(kernel)))
            if not (self.repeats and n == count - 1):
                self.convs.append(nn.PReLU(channels))
        self.activation = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size that entering leaves."""
        entered = self.enter(x)
        return self.activation(self.convs(x if self.repeats else entered) + entered)  # type: ignore[no-any-return]


class _Repeated(nn.Module):
    """The channels over and over, until there are as many as wanted."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.times, self.channels = -(-channels // in_channels), channels

    def forward(self, x: Tensor) -> Tensor:
        """(batch, channels, ...)."""
        return x.repeat(1, self.times, *(1,) * (x.ndim - 2))[:, : self.channels]


def _taken(conv: nn.Module, channels: int, stride: Edges, norm: Norm) -> nn.Sequential:
    return nn.Sequential(conv, norm_of(norm, channels, len(stride)), nn.PReLU(channels))
