"""Originals: the first U-Net and the first 3D U-Net, with valid convolutions or padded ones.

A valid convolution sees only what is there: 572 x 572 pixels become 388 x 388 (`OriginalUNet.inside`), and
132 x 132 x 116 voxels 44 x 44 x 28. So that any image fits and has logits everywhere, `forward` mirrors the
image beyond its border by what is lost, as the authors do at the border of theirs ("overlap-tile").

Sources: Ronneberger 2015, doi:10.1007/978-3-319-24574-4_28; Cicek 2016, doi:10.1007/978-3-319-46723-8_49.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from delineate.networks.blocks import CONVOLUTION, MAX_POOL, TRANSPOSED, Edges, Norm, norm_of
from delineate.networks.unet import check_edges, divisor

Widths = tuple[int, ...]


class OriginalUNet(nn.Module):
    """Two convolutions and ReLU in each stage, no norm; upsampling halves the channels (Ronneberger)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Widths,
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        *,
        padded: bool = False,
    ) -> None:
        super().__init__()
        down = [(a, b, b) for a, b in pairwise((in_channels, *features))]
        up = [(2 * a, a, a) for a in features[:-1]]
        widths = [*zip(features[1:], features[:-1], strict=True)]
        self.path = _Path(down, up, widths, strides, kernels, "none", padded)
        self.head = CONVOLUTION[len(strides[0])](features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) of the size of the image (batch, channel, ...)."""
        return self.head(self.path(x))  # type: ignore[no-any-return]

    def inside(self, x: Tensor) -> Tensor:
        """Logits of the part of the image that is seen wholly; its strides must fit."""
        return self.head(self.path.inside(x))  # type: ignore[no-any-return]


class UNet3d(nn.Module):
    """Convolution, norm, ReLU twice in each stage, channels doubled before the pool (Cicek).

    `features` are what stages give; with (64, 128, 256, 512), three channels, three classes and batch norm
    it has the 19 069 955 parameters of the paper.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: Widths,
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        *,
        norm: Norm = "instance",
        padded: bool = True,
    ) -> None:
        super().__init__()
        down = [(a, max(1, b // 2), b) for a, b in pairwise((in_channels, *features))]
        up = [(a + b, a, a) for a, b in pairwise(features)]
        widths = [(b, b) for b in features[1:]]
        self.path = _Path(down, up, widths, strides, kernels, norm, padded)
        self.head = CONVOLUTION[len(strides[0])](features[0], out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) of the size of the image (batch, channel, ...)."""
        return self.head(self.path(x))  # type: ignore[no-any-return]

    def inside(self, x: Tensor) -> Tensor:
        """Logits of the part of the image that is seen wholly; its strides must fit."""
        return self.head(self.path.inside(x))  # type: ignore[no-any-return]


class _Path(nn.Module):
    """The way down and up again: everything but the logits.

    down, up  channels into, between and out of the two convolutions of each stage
    widths    channels into and out of each upsampling
    """

    def __init__(
        self,
        down: Sequence[tuple[int, int, int]],
        up: Sequence[tuple[int, int, int]],
        widths: Sequence[tuple[int, int]],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        norm: Norm,
        padded: bool,
    ) -> None:
        super().__init__()
        dims = len(strides[0])
        self.strides, self.kernels, self.padded = strides, kernels, padded
        self.divisor = divisor(strides)
        self.encoder = nn.ModuleList(_twice(*w, k, norm, padded) for w, k in zip(down, kernels, strict=True))
        self.pools = nn.ModuleList(MAX_POOL[dims](s, s) for s in strides[1:])
        self.ups = nn.ModuleList(
            TRANSPOSED[dims](a, b, s, s)  # type: ignore[arg-type]
            for (a, b), s in zip(widths, strides[1:], strict=True)
        )
        self.decoder = nn.ModuleList(_twice(*w, k, norm, padded) for w, k in zip(up, kernels, strict=False))

    def forward(self, x: Tensor) -> Tensor:
        """Features of the size of the image, which is mirrored beyond its border where it must be."""
        edges = tuple(x.shape[2:])
        if self.padded:
            check_edges(edges, self.divisor)
            return self.inside(x)
        for axis, edge in enumerate(edges):
            needed, seen = self.needed(edge, axis)
            x = mirrored_beyond(x, axis + 2, (needed - seen) // 2, needed - edge - (needed - seen) // 2)
        y = self.inside(x)
        for axis, edge in enumerate(edges):
            y = y.narrow(axis + 2, 0, edge)
        return y

    def inside(self, x: Tensor) -> Tensor:
        """Features of the part that is seen wholly."""
        skips: list[Tensor] = []
        for level, stage in enumerate(self.encoder):
            x = stage(x if level == 0 else self.pools[level - 1](x))
            skips.append(x)
        for level in reversed(range(len(self.ups))):
            x = self.ups[level](x)
            x = self.decoder[level](torch.cat((_centre(skips[level], tuple(x.shape[2:])), x), dim=1))
        return x

    def needed(self, edge: int, axis: int) -> tuple[int, int]:
        """The smallest edge that fits, of which at least `edge` voxels are seen, and how many are."""
        strides, lost = [s[axis] for s in self.strides], [2 * (k[axis] - 1) for k in self.kernels]
        seen, up = edge, []
        for stride, loss in zip(strides[1:], lost, strict=False):  # downwards through the decoder
            up.append(math.ceil((seen + loss) / stride))
            seen = up[-1]
        wanted = seen + lost[-1]
        for stride, loss in zip(reversed(strides[1:]), reversed(lost[:-1]), strict=True):
            wanted = wanted * stride + loss
        given = up[-1] if up else edge
        for stride, loss in zip(reversed(strides[1:]), reversed(lost[:-1]), strict=True):
            given = given * stride - loss
        return wanted, given


def mirrored_beyond(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """`x` longer at both ends of an axis, mirrored at the outermost voxels, again where that is too short."""
    n = x.shape[axis]
    period = max(1, 2 * (n - 1))
    places = torch.arange(-before, n + after, device=x.device) % period
    return x.index_select(axis, torch.where(places < n, places, period - places))


def _centre(x: Tensor, edges: Edges) -> Tensor:
    for axis, edge in enumerate(edges):
        x = x.narrow(axis + 2, (x.shape[axis + 2] - edge) // 2, edge)
    return x


def _twice(
    in_channels: int, between: int, out_channels: int, kernel: Edges, norm: Norm, padded: bool
) -> nn.Sequential:
    padding = tuple((k - 1) // 2 if padded else 0 for k in kernel)
    parts = nn.Sequential()
    for a, b in ((in_channels, between), (between, out_channels)):
        parts.append(CONVOLUTION[len(kernel)](a, b, kernel, padding=padding))  # type: ignore[arg-type]
        parts.append(norm_of(norm, b, len(kernel)))
        parts.append(nn.ReLU(inplace=True))
    return parts
