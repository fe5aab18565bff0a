"""ResNet: residual encoders of classification networks, and a U-Net upon them.

Source: He 2016, doi:10.1109/CVPR.2016.90. Convolutions have no bias, as in the paper; with three channels
and batch norm the encoders of 18, 34, 50 and 101 layers have the published numbers of parameters. The stem
halves the image at once, so that there are no features at full resolution.
"""

from __future__ import annotations

from torch import Tensor, nn

from delineate.networks.blocks import CONVOLUTION, MAX_POOL, Decoder, Edges, Norm, encoded, norm_of
from delineate.networks.unet import check_bottleneck, check_edges, divisor

NARROWER = 4  # a bottleneck block is so many times narrower inside


class ResNetEncoder(nn.Module):
    """Stem, and stages of residual blocks; gives the features of each.

    features    of what stages give, the stem first
    strides     of the stem, of the pool after it, and of each further stage
    blocks      residual blocks of each stage; the stem's is one convolution
    dilation    of the last stage, whose stride is then one
    """

    def __init__(
        self,
        in_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        blocks: tuple[int, ...],
        bottleneck: bool,
        norm: Norm,
        dilation: int = 1,
    ) -> None:
        super().__init__()
        dims, unit = len(strides[0]), (1,) * len(strides[0])
        self.stem = nn.Sequential(
            _convolution(in_channels, features[0], kernels[0], strides[0]),
            norm_of(norm, features[0], dims),
            nn.ReLU(inplace=True),
        )
        self.pool = MAX_POOL[dims](
            tuple(2 * s - 1 for s in strides[1]), strides[1], tuple(s - 1 for s in strides[1])
        )
        kind = _Bottleneck if bottleneck else _Basic
        self.stages, last = nn.ModuleList(), len(features) - 1
        for n in range(1, len(features)):
            stage = nn.Sequential()
            for block in range(blocks[n]):
                given = features[n] if block else features[n - 1]
                stride = strides[n] if block == 0 and n > 1 else unit
                stage.append(kind(given, features[n], kernels[n], stride, norm, dilation if n == last else 1))
            self.stages.append(stage)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of each stage, the stem first."""
        stem = self.stem(x)
        return [stem, *encoded(self.stages, self.pool(stem))]


class ResNetUNet(nn.Module):
    """A U-Net's decoder on a residual encoder; the last step up has no features to join."""

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
        bottleneck: bool = False,
        norm: Norm = "instance",
    ) -> None:
        super().__init__()
        self.divisor = divisor(strides)
        self.encoder = ResNetEncoder(
            in_channels, features, strides, kernels, encoder_blocks, bottleneck, norm
        )
        self.decoder = decoder_to_full(
            in_channels, out_channels, features, strides, kernels, decoder_blocks, deep_supervision
        )

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        check_bottleneck(edges, self.divisor)
        return self.decoder([x, *self.encoder(x)])  # type: ignore[no-any-return]


def decoder_to_full(
    in_channels: int,
    out_channels: int,
    features: tuple[int, ...],
    strides: tuple[Edges, ...],
    kernels: tuple[Edges, ...],
    blocks: tuple[int, ...],
    deep_supervision: bool,
) -> Decoder:
    """A decoder up to full resolution, where it joins the image itself."""
    unit = (1,) * len(strides[0])
    finest = max(1, features[0] // 2)
    narrow = tuple(3 if k > 1 else 1 for k in kernels[0])
    return Decoder(
        out_channels,
        (finest, *features),
        (unit, *strides),
        (narrow, narrow, *kernels[1:]),
        (blocks[0], *blocks),
        deep_supervision,
        skips=(in_channels, *features[:-1]),
    )


class _Basic(nn.Module):
    """Two convolutions around which the input is added."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Edges, stride: Edges, norm: Norm, dilation: int
    ) -> None:
        super().__init__()
        unit, dims = (1,) * len(kernel), len(kernel)
        self.body = nn.Sequential(
            _convolution(in_channels, out_channels, kernel, stride, dilation),
            norm_of(norm, out_channels, dims),
            nn.ReLU(inplace=True),
            _convolution(out_channels, out_channels, kernel, unit, dilation),
            norm_of(norm, out_channels, dims),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` over the stride."""
        return (self.body(x) + self.shortcut(x)).relu()  # type: ignore[no-any-return]


class _Bottleneck(nn.Module):
    """Three convolutions, the middle one narrow and wide-eyed; the stride is in the middle."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: Edges, stride: Edges, norm: Norm, dilation: int
    ) -> None:
        super().__init__()
        unit, dims, inner = (1,) * len(kernel), len(kernel), max(1, out_channels // NARROWER)
        self.body = nn.Sequential(
            _convolution(in_channels, inner, unit, unit),
            norm_of(norm, inner, dims),
            nn.ReLU(inplace=True),
            _convolution(inner, inner, kernel, stride, dilation),
            norm_of(norm, inner, dims),
            nn.ReLU(inplace=True),
            _convolution(inner, out_channels, unit, unit),
            norm_of(norm, out_channels, dims),
        )
        self.shortcut = _shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        """Features at the size of `x` over the stride."""
        return (self.body(x) + self.shortcut(x)).relu()  # type: ignore[no-any-return]


def _shortcut(in_channels: int, out_channels: int, stride: Edges, norm: Norm) -> nn.Module:
    if in_channels == out_channels and max(stride) == 1:
        return nn.Identity()
    unit = (1,) * len(stride)
    return nn.Sequential(
        _convolution(in_channels, out_channels, unit, stride), norm_of(norm, out_channels, len(stride))
    )


def _convolution(
    in_channels: int, out_channels: int, kernel: Edges, stride: Edges, dilation: int = 1
) -> nn.Module:
    padding = tuple(dilation * (k - 1) // 2 for k in kernel)
    return CONVOLUTION[len(kernel)](in_channels, out_channels, kernel, stride, padding, dilation, bias=False)  # type: ignore[arg-type]
