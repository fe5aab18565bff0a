"""FCN-8s: a classification network whose scores at three strides are added up.

Source: Long 2015, doi:10.1109/CVPR.2015.7298965, on VGG16 (Simonyan 2015, arXiv:1409.1556). Where the
authors pad by 100 and crop by an offset, pooling here keeps the rest of an odd edge and every score is cut
to the size of the one that it is added to: any image fits, and logits have its size.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from delineate.networks.blocks import (
    CONVOLUTION,
    MAX_POOL,
    TRANSPOSED,
    Edges,
    Norm,
    activated,
    activated_row,
)


class BilinearUp(nn.Module):
    """A transposed convolution that starts as linear interpolation, each class by itself."""

    def __init__(self, channels: int, stride: Edges) -> None:
        super().__init__()
        self.stride = stride
        kernel = tuple(2 * s - s % 2 for s in stride)
        padding = tuple(s // 2 for s in stride)
        self.conv = TRANSPOSED[len(stride)](channels, channels, kernel, stride, padding, bias=False)  # type: ignore[arg-type]

    def start(self) -> None:
        """Linear interpolation."""
        weight = self.conv.weight
        taps = torch.ones((1,) * len(self.stride), device=weight.device)
        for axis, (size, stride) in enumerate(zip(weight.shape[2:], self.stride, strict=True)):
            centre = (size - 1) / 2
            along = 1 - (torch.arange(size, device=weight.device) - centre).abs() / stride
            taps = taps * along.reshape([-1 if n == axis else 1 for n in range(len(self.stride))])
        with torch.no_grad():
            weight.zero_()
            for channel in range(len(weight)):
                weight[channel, channel] = taps

    def forward(self, x: Tensor, edges: Edges) -> Tensor:
        """Scores `stride` times as large, cut to `edges`."""
        y: Tensor = self.conv(x)
        for axis, edge in enumerate(edges):
            y = y.narrow(axis + 2, 0, edge)
        return y


class FCN8s(nn.Module):
    """Stages of convolutions, each after the first behind a pool; the last one is the classifier.

    `blocks` counts convolutions; of the last stage, the first has its kernel and the others are 1x1.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        blocks: tuple[int, ...],
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        dims = len(strides[0])
        given = (in_channels, *features)
        self.pools = nn.ModuleList(MAX_POOL[dims](s, s, ceil_mode=True) for s in strides[1:])
        self.stages = nn.ModuleList(
            activated_row(*stage, norm)
            for stage in zip(blocks[:-1], given, features[:-1], kernels, strict=False)
        )
        self.stages.append(_classifier(blocks[-1], features[-2], features[-1], kernels[-1], norm))
        scored = (features[-1], features[-3], features[-4])  # the last stage, and what the pools before gave
        self.scores = nn.ModuleList(CONVOLUTION[dims](width, out_channels, 1) for width in scored)
        rest = tuple(math.prod(along) for along in zip(*strides[1:-2], strict=True))
        self.ups = nn.ModuleList(BilinearUp(out_channels, s) for s in (strides[-1], strides[-2], rest))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) of the size of the image (batch, channel, ...), whatever it is."""
        edges, pooled = tuple(x.shape[2:]), []
        x = self.stages[0](x)
        for pool, stage in zip(self.pools, self.stages[1:], strict=True):
            pooled.append(pool(x))
            x = stage(pooled[-1])
        score: Tensor = self.scores[0](x)
        for up, head, skip in zip(self.ups, self.scores[1:], pooled[-2:-4:-1], strict=False):
            finer = head(skip)
            score = up(score, tuple(finer.shape[2:])) + finer
        return self.ups[-1](score, edges)  # type: ignore[no-any-return]


def _classifier(count: int, in_channels: int, out_channels: int, kernel: Edges, norm: Norm) -> nn.Sequential:
    unit = (1,) * len(kernel)
    return nn.Sequential(
        activated(in_channels, out_channels, kernel, unit, norm),
        *(activated(out_channels, out_channels, unit, unit, norm) for _ in range(count - 1)),
    )
