"""DeepLabv3+: an atrous pyramid over a residual encoder, and one step back to finer features.

The encoder stops at a sixteenth of the image; its last stage looks twice as far apart instead of halving.
The pyramid reads its features at several rates at once, and their mean. Source: Chen 2018,
doi:10.1007/978-3-030-01234-2_49; with features (64, 256, 512, 1024, 2048), 3, 4, 23 and 3 blocks and rates
6, 12 and 18 it is the paper's network on ResNet-101: 256 channels in the pyramid, 48 from below.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from delineate.networks.blocks import CONVOLUTION, Edges, Norm, norm_of, resized
from delineate.networks.resnet import ResNetEncoder

WIDTH = 4  # of pyramid and decoder, in widths of the stem: 256 of 64
LOW = (3, 4)  # of the finer features: 48 of 64
DROPOUT = 0.1  # before the logits, as the authors' code
LAST = 2  # dilation of the last stage


class DeepLabV3Plus(nn.Module):
    """The strides are those of the encoder's stages, the last one 1; any image fits."""

    def __init__(  # noqa: PLR0913 - as the other U-Nets, and what is its own
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        blocks: tuple[int, ...],
        *,
        rates: tuple[int, ...] = (6, 12, 18),
        bottleneck: bool = False,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        dims, unit = len(strides[0]), (1,) * len(strides[0])
        width, low = WIDTH * features[0], max(1, LOW[0] * features[0] // LOW[1])
        self.encoder = ResNetEncoder(
            in_channels, features, strides, kernels, blocks, bottleneck, norm, dilation=LAST
        )
        self.pyramid = Pyramid(features[-1], width, kernels[-1], rates, norm)
        self.low = atrous(features[1], low, unit, 1, norm)
        self.decoder = nn.Sequential(
            atrous(width + low, width, kernels[1], 1, norm),
            atrous(width, width, kernels[1], 1, norm),
            nn.Dropout(DROPOUT),
            CONVOLUTION[dims](width, out_channels, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) of the size of the image (batch, channel, ...), whatever it is."""
        edges = tuple(x.shape[2:])
        _, finer, *_, deepest = self.encoder(x)
        seen = resized(self.pyramid(deepest), tuple(finer.shape[2:]))
        return resized(self.decoder(torch.cat((seen, self.low(finer)), dim=1)), edges)


class Pyramid(nn.Module):
    """Atrous spatial pyramid pooling: a 1x1 convolution, one for each rate, and the mean of the image."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Edges, rates: tuple[int, ...], norm: Norm
    ) -> None:
        super().__init__()
        unit, dims = (1,) * len(kernel), len(kernel)
        self.branches = nn.ModuleList(
            [
                atrous(in_channels, out_channels, unit, 1, norm),
                *(atrous(in_channels, out_channels, kernel, rate, norm) for rate in rates),
            ]
        )
        # One value per channel: its instance norm would be zero, and its batch norm that of two numbers.
        self.mean = nn.Sequential(CONVOLUTION[dims](in_channels, out_channels, 1), nn.ReLU(inplace=True))
        self.joined = atrous((len(rates) + 2) * out_channels, out_channels, unit, 1, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Features of the size of `x`."""
        axes = tuple(range(2, x.ndim))
        mean = self.mean(x.mean(axes, keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.joined(torch.cat([*(branch(x) for branch in self.branches), mean], dim=1))  # type: ignore[no-any-return]


def atrous(in_channels: int, out_channels: int, kernel: Edges, rate: int, norm: Norm) -> nn.Sequential:
    """Convolution of this rate without bias, norm, ReLU."""
    padding = tuple(rate * (k - 1) // 2 for k in kernel)
    return nn.Sequential(
        CONVOLUTION[len(kernel)](
            in_channels,
            out_channels,
            kernel,  # type: ignore[arg-type]
            padding=padding,  # type: ignore[arg-type]
            dilation=rate,
            bias=norm == "none",
        ),
        norm_of(norm, out_channels, len(kernel)),
        nn.ReLU(inplace=True),
    )
