"""MedNeXt: a U-Net of ConvNeXt blocks, depthwise convolutions between wide 1x1 ones.

Source: Roy 2023, doi:10.1007/978-3-031-43901-8_39. All steps down and up are such blocks too, with their own
shortcut; skips are added. With the layouts S, B, M and L and 32 features it has the parameters of the paper.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional

from delineate.networks.blocks import CONVOLUTION, TRANSPOSED, Edges
from delineate.networks.unet import check_bottleneck, check_edges, divisor


class MedNeXt(nn.Module):
    """`expansion` has a number for each stage of the encoder, the bottleneck and the decoder, in passing."""

    def __init__(  # noqa: PLR0913 - as the other U-Nets, and what is its own
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        encoder_blocks: tuple[int, ...],
        decoder_blocks: tuple[int, ...],
        deep_supervision: bool = True,
        *,
        expansion: tuple[int, ...],
    ) -> None:
        super().__init__()
        dims, last = len(strides[0]), len(features) - 1
        self.divisor, self.deep_supervision = divisor(strides), deep_supervision
        rising = expansion[:last:-1]  # of the decoder, finest first
        levels = [*enumerate(pairwise(features))]
        self.stem = CONVOLUTION[dims](in_channels, features[0], 1)
        self.encoder = nn.ModuleList(
            _row(count, width, ratio, kernel)
            for count, width, ratio, kernel in zip(encoder_blocks, features, expansion, kernels, strict=False)
        )
        self.downs = nn.ModuleList(
            Block(a, b, expansion[n], kernels[n], down=strides[n + 1]) for n, (a, b) in levels
        )
        self.ups = nn.ModuleList(
            Block(b, a, rising[n], kernels[n], up=strides[n + 1]) for n, (a, b) in levels
        )
        self.decoder = nn.ModuleList(
            _row(count, width, ratio, kernel)
            for count, width, ratio, kernel in zip(decoder_blocks, features, rising, kernels, strict=False)
        )
        supervised = features if deep_supervision else features[:1]
        self.heads = nn.ModuleList(CONVOLUTION[dims](width, out_channels, 1) for width in supervised)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        x, skips = self.encoder[0](self.stem(x)), []
        for down, stage in zip(self.downs, self.encoder[1:], strict=True):
            skips.append(x)
            x = stage(down(x))
        seen = [x]
        for level in reversed(range(len(skips))):
            x = self.decoder[level](self.ups[level](x) + skips[level])
            seen.append(x)
        if self.training and self.deep_supervision:
            return tuple(head(y) for head, y in zip(self.heads, reversed(seen), strict=True))
        return self.heads[0](x)  # type: ignore[no-any-return]


class Block(nn.Module):
    """Depthwise convolution, norm of each channel, 1x1 to `ratio` times the width, GELU, 1x1; input added.

    down, up  a stride, where the block changes the size; the shortcut is then a strided 1x1 convolution
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        ratio: int,
        kernel: Edges,
        *,
        down: Edges | None = None,
        up: Edges | None = None,
    ) -> None:
        super().__init__()
        dims = len(kernel)
        conv = CONVOLUTION if up is None else TRANSPOSED
        stride = down or up or (1,) * dims
        padding = tuple(k // 2 for k in kernel)
        self.depthwise = conv[dims](in_channels, in_channels, kernel, stride, padding, groups=in_channels)  # type: ignore[arg-type]
        self.norm = nn.GroupNorm(in_channels, in_channels)
        self.wide = CONVOLUTION[dims](in_channels, ratio * in_channels, 1)
        self.narrow = CONVOLUTION[dims](ratio * in_channels, out_channels, 1)
        changes = down is not None or up is not None
        self.shortcut = conv[dims](in_channels, out_channels, 1, stride) if changes else nn.Identity()  # type: ignore[arg-type]
        # A transposed convolution of an odd kernel lacks the first voxels of a window.
        self.lacking = tuple(n for s in reversed(up) for n in (s - 1, 0)) if up else ()

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x`, over or times the stride."""
        y = self.narrow(functional.gelu(self.wide(self.norm(self.depthwise(x))))) + self.shortcut(x)
        return functional.pad(y, self.lacking) if self.lacking else y


def _row(count: int, width: int, ratio: int, kernel: Edges) -> nn.Sequential:
    return nn.Sequential(*(Block(width, width, ratio, kernel) for _ in range(count)))
