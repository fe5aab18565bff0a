"""Blocks: the small parts that the networks are built from, in two and three dimensions.

Everything takes `(batch, channel, i, j)` or `(batch, channel, i, j, k)`; how many axes there are follows
from the length of `kernel`. Convolutions are padded so that only the stride changes the size.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTION: dict[int, type[nn.Conv2d | nn.Conv3d]] = {2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, type[nn.ConvTranspose2d | nn.ConvTranspose3d]] = {
    2: nn.ConvTranspose2d,
    3: nn.ConvTranspose3d,
}
INSTANCE_NORM: dict[int, type[nn.InstanceNorm2d | nn.InstanceNorm3d]] = {
    2: nn.InstanceNorm2d,
    3: nn.InstanceNorm3d,
}
BATCH_NORM: dict[int, type[nn.BatchNorm2d | nn.BatchNorm3d]] = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
MAX_POOL: dict[int, type[nn.MaxPool2d | nn.MaxPool3d]] = {2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVERAGE_POOL: dict[int, type[nn.AvgPool2d | nn.AvgPool3d]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}

SLOPE = 0.01  # of leaky ReLU and of the Kaiming initialisation; Isensee 2021, doi:10.1038/s41592-020-01008-z

LINEAR = {2: "bilinear", 3: "trilinear"}

Edges = tuple[int, ...]  # one number per spatial axis
Norm = Literal["instance", "batch", "none"]


class ConvBlock(nn.Module):
    """Convolution, instance norm, leaky ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: Edges, stride: Edges) -> None:
        super().__init__()
        self.conv = convolution(in_channels, out_channels, kernel, stride)
        self.norm = instance_norm(out_channels, len(kernel))
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` over the stride."""
        return self.activation(self.norm(self.conv(x)))  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    """Two convolutions around which the input is added: He 2016, doi:10.1109/CVPR.2016.90, variant D.

    Variant D (He 2019, doi:10.1109/CVPR.2019.00065) averages before the 1x1 convolution of the shortcut,
    so that a strided block drops no voxel.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel: Edges, stride: Edges) -> None:
        super().__init__()
        dims = len(kernel)
        self.first = ConvBlock(in_channels, out_channels, kernel, stride)
        self.conv = convolution(out_channels, out_channels, kernel, (1,) * dims)
        self.norm = instance_norm(out_channels, dims)
        self.shortcut = shortcut(in_channels, out_channels, stride)
        self.activation = nn.LeakyReLU(SLOPE, inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` over the stride."""
        return self.activation(self.norm(self.conv(self.first(x))) + self.shortcut(x))  # type: ignore[no-any-return]


def convolution(in_channels: int, out_channels: int, kernel: Edges, stride: Edges) -> nn.Module:
    """A convolution with bias that keeps the size, but for the stride."""
    padding = tuple((k - 1) // 2 for k in kernel)
    return CONVOLUTION[len(kernel)](in_channels, out_channels, kernel, stride, padding)  # type: ignore[arg-type]


def instance_norm(channels: int, dims: int) -> nn.Module:
    """Instance norm with learnt scale and shift, without running statistics."""
    return INSTANCE_NORM[dims](channels, eps=1e-5, affine=True)


def norm_of(norm: Norm, channels: int, dims: int) -> nn.Module:
    """A norm by name; "none" is nothing at all."""
    match norm:
        case "instance":
            return instance_norm(channels, dims)
        case "batch":
            return BATCH_NORM[dims](channels)
        case "none":
            return nn.Identity()


def activated(in_channels: int, out_channels: int, kernel: Edges, stride: Edges, norm: Norm) -> nn.Sequential:
    """Convolution that keeps the size but for the stride, norm, ReLU."""
    return nn.Sequential(
        convolution(in_channels, out_channels, kernel, stride),
        norm_of(norm, out_channels, len(kernel)),
        nn.ReLU(inplace=True),
    )


def activated_row(
    count: int, in_channels: int, out_channels: int, kernel: Edges, norm: Norm
) -> nn.Sequential:
    """`count` of them in a row, all without stride."""
    unit = (1,) * len(kernel)
    widths = (in_channels, *(out_channels,) * count)
    return nn.Sequential(*(activated(a, b, kernel, unit, norm) for a, b in pairwise(widths)))


def resized(x: Tensor, edges: Edges) -> Tensor:
    """Features read linearly at another size."""
    if tuple(x.shape[2:]) == edges:
        return x
    return functional.interpolate(x, size=edges, mode=LINEAR[len(edges)])


@runtime_checkable
class StartsItself(Protocol):
    """A part that knows its first weights."""

    def start(self) -> None: ...  # noqa: D102


def upsampling(in_channels: int, out_channels: int, stride: Edges) -> nn.Module:
    """A transposed convolution that makes each axis `stride` times as long."""
    return TRANSPOSED[len(stride)](in_channels, out_channels, stride, stride)  # type: ignore[arg-type]


def shortcut(in_channels: int, out_channels: int, stride: Edges) -> nn.Module:
    """What is added around a residual block: averaged over the stride, projected where channels change."""
    dims, parts = len(stride), nn.Sequential()
    if max(stride) > 1:
        parts.append(AVERAGE_POOL[dims](stride))  # type: ignore[arg-type]
    if in_channels != out_channels:
        parts.append(CONVOLUTION[dims](in_channels, out_channels, 1, bias=False))
        parts.append(instance_norm(out_channels, dims))
    return parts


def conv_blocks(
    count: int, in_channels: int, out_channels: int, kernel: Edges, stride: Edges
) -> nn.Sequential:
    """`count` convolution blocks in a row, the first of which carries the stride."""
    return nn.Sequential(
        *(
            ConvBlock(given, out_channels, kernel, step)
            for given, step in _row(count, in_channels, out_channels, stride)
        )
    )


def residual_blocks(
    count: int, in_channels: int, out_channels: int, kernel: Edges, stride: Edges
) -> nn.Sequential:
    """`count` residual blocks in a row, the first of which carries the stride."""
    return nn.Sequential(
        *(
            ResidualBlock(given, out_channels, kernel, step)
            for given, step in _row(count, in_channels, out_channels, stride)
        )
    )


def _row(count: int, in_channels: int, out_channels: int, stride: Edges) -> list[tuple[int, Edges]]:
    unit = (1,) * len(stride)
    return [(in_channels, stride), *[(out_channels, unit)] * (count - 1)]


class Decoder(nn.Module):
    """The way up of a U-Net: upsample, join the skip, convolve; logits at each resolution or the finest.

    Arguments run from full resolution to the bottleneck, as everywhere; `blocks` has one entry fewer.
    `skips` are the channels that are joined, where they are not those of the decoder's own stages.
    """

    def __init__(
        self,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        blocks: tuple[int, ...],
        deep_supervision: bool,
        skips: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__()
        dims, unit = len(strides[0]), (1,) * len(strides[0])
        self.ups = nn.ModuleList(
            upsampling(below, here, stride)
            for (here, below), stride in zip(pairwise(features), strides[1:], strict=True)
        )
        self.stages = nn.ModuleList(
            conv_blocks(count, joined + here, here, kernel, unit)
            for count, joined, here, kernel in zip(blocks, skips or features, features, kernels, strict=False)
        )
        supervised = features[:-1] if deep_supervision else features[:1]
        self.heads = nn.ModuleList(CONVOLUTION[dims](here, out_channels, 1) for here in supervised)
        self.deep_supervision = deep_supervision

    def forward(self, skips: list[Tensor]) -> Tensor | tuple[Tensor, ...]:
        """Logits from the encoder's features (full resolution first, bottleneck last).

        While training with deep supervision a tuple, finest first; else the finest logits only. Features are
        taken out of `skips` when it is their turn: what nobody needs any more takes no memory.
        """
        x, joined, supervised = skips.pop(), [], self.training and self.deep_supervision
        for level in reversed(range(len(self.stages))):
            x = torch.cat((self.ups[level](x), skips.pop()), dim=1)
            for block in self.stages[level]:  # type: ignore[attr-defined]
                x = block(x)
            if supervised:
                joined.append(x)
        if supervised:
            return tuple(head(x) for head, x in zip(self.heads, reversed(joined), strict=True))
        return self.heads[0](x)  # type: ignore[no-any-return]


def encoded(stages: Iterable[nn.Module], x: Tensor) -> list[Tensor]:
    """What each stage gives, each fed by the one before."""
    skips = []
    for stage in stages:
        x = stage(x)
        skips.append(x)
    return skips
