"""The U-Net that MONAI calls `UNet`: strided convolutions down, transposed ones up, residual units, PReLU.

Source: Kerfoot 2018, "Left-Ventricle Quantification Using Residual U-Net", doi:10.1007/978-3-030-12029-0_40.
There are no features at full resolution: the first convolution is strided, the last one transposed.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from delineate.networks.blocks import CONVOLUTION, TRANSPOSED, Edges, Norm, convolution, norm_of
from delineate.networks.unet import check_bottleneck, check_edges, divisor


class KerfootUNet(nn.Module):
    """`encoder_blocks` counts the convolutions of each unit on the way down; on the way up there is one.

    residual  whether what enters a unit is added to what leaves it; without, the way up has no units
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        encoder_blocks: tuple[int, ...],
        *,
        residual: bool,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.divisor = divisor(strides)
        shapes = list(zip(kernels, strides, strict=True))
        given = (in_channels, *features)
        self.down = nn.ModuleList(
            Unit(*widths, *shape, count, norm, residual=residual)
            for widths, shape, count in zip(pairwise(given), shapes, encoder_blocks, strict=True)
        )
        joined = [2 * here for here in features[:-2]] + [features[-2] + features[-1]]
        leaving = (out_channels, *features[:-2])
        self.up = nn.ModuleList(
            Up(*widths, *shapes[level], norm, residual=residual, last=level == 0)
            for level, widths in enumerate(zip(joined, leaving, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        skips = []
        for unit in self.down:
            x = unit(x)
            skips.append(x)
        x = skips.pop()
        for up in reversed(self.up):
            x = up(torch.cat((skips.pop(), x), dim=1))
        return x


class Unit(nn.Module):
    """Convolutions, each with its norm and PReLU; the first is strided. `last` leaves out norm and PReLU."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Edges,
        stride: Edges,
        count: int,
        norm: Norm,
        *,
        residual: bool,
        last: bool = False,
    ) -> None:
        super().__init__()
        unit = (1,) * len(kernel)
        widths, strides = (in_channels, *(out_channels,) * count), (stride, *(unit,) * (count - 1))
        ending: Norm = "none" if last else norm
        self.parts = nn.Sequential(
            *(
                _part(convolution(a, b, kernel, step), b, len(kernel), ending, active=not last)
                for (a, b), step in zip(pairwise(widths), strides, strict=True)
            )
        )
        self.shortcut: nn.Module | None = None
        if residual:
            self.shortcut = _shortcut(in_channels, out_channels, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` over the stride."""
        y: Tensor = self.parts(x)
        return y if self.shortcut is None else y + self.shortcut(x)


class Up(nn.Module):
    """A transposed convolution and, in a residual network, a unit; `last` ends as logits."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: Edges,
        stride: Edges,
        norm: Norm,
        *,
        residual: bool,
        last: bool,
    ) -> None:
        super().__init__()
        dims, bare = len(kernel), last and not residual
        transposed = TRANSPOSED[dims](
            in_channels,
            out_channels,
            kernel,  # type: ignore[arg-type]
            stride,  # type: ignore[arg-type]
            padding=tuple((k - 1) // 2 for k in kernel),  # type: ignore[arg-type]
            output_padding=tuple(s - 1 for s in stride),  # type: ignore[arg-type]
        )
        self.enlarge = _part(transposed, out_channels, dims, "none" if bare else norm, active=not bare)
        unit = (1,) * dims
        self.unit = (
            Unit(out_channels, out_channels, kernel, unit, 1, norm, residual=True, last=last)
            if residual
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` times the stride."""
        return self.unit(self.enlarge(x))  # type: ignore[no-any-return]


def _part(convolution: nn.Module, channels: int, dims: int, norm: Norm, *, active: bool) -> nn.Sequential:
    """Convolution, norm, PReLU."""
    return nn.Sequential(convolution, norm_of(norm, channels, dims), nn.PReLU() if active else nn.Identity())


def _shortcut(in_channels: int, out_channels: int, kernel: Edges, stride: Edges) -> nn.Module:
    """What is added: the input itself, or a convolution of it where its size or width changes."""
    if max(stride) > 1:
        return convolution(in_channels, out_channels, kernel, stride)
    if in_channels != out_channels:
        return CONVOLUTION[len(kernel)](in_channels, out_channels, 1)
    return nn.Identity()
