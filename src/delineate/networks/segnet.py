"""SegNet: what pooling kept is put back where it came from.

Each pool remembers which voxel of its window was the largest; on the way up values return to exactly those
places, the others are zero, and convolutions fill them. Nothing is joined.
Source: Badrinarayanan 2017, doi:10.1109/TPAMI.2016.2644615.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from delineate.networks.blocks import CONVOLUTION, Edges, Norm, activated_row

Pool = Callable[..., tuple[Tensor, Tensor]]
POOL: dict[int, Pool] = {
    2: functional.max_pool2d_with_indices,
    3: functional.max_pool3d_with_indices,
}
UNPOOL: dict[int, Callable[..., Tensor]] = {2: functional.max_unpool2d, 3: functional.max_unpool3d}


class SegNet(nn.Module):
    """An encoder like VGG's and its mirror image; `strides` are those of the pools after the stages."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        features: tuple[int, ...],
        strides: tuple[Edges, ...],
        kernels: tuple[Edges, ...],
        blocks: tuple[int, ...],
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        self.strides = strides
        given = (in_channels, *features)
        self.encoder = nn.ModuleList(
            activated_row(*stage, norm) for stage in zip(blocks, given, features, kernels, strict=False)
        )
        self.decoder = nn.ModuleList(
            _mirrored(count, here, above, kernel, norm)
            for count, here, above, kernel in zip(blocks, features, (None, *features), kernels, strict=False)
        )
        self.head = CONVOLUTION[len(strides[0])](features[0], out_channels, kernels[0], padding="same")  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) of the size of the image (batch, channel, ...), whatever it is."""
        dims, kept = len(self.strides[0]), []
        for stage, stride in zip(self.encoder, self.strides, strict=True):
            x = stage(x)
            edges = x.shape[2:]
            x, places = POOL[dims](x, stride, stride, ceil_mode=True)
            kept.append((places, edges))
        for stage, stride, (places, edges) in reversed([*zip(self.decoder, self.strides, kept, strict=True)]):
            x = stage(UNPOOL[dims](x, places, stride, stride, output_size=edges))
        return self.head(x)  # type: ignore[no-any-return]


def _mirrored(
    count: int, in_channels: int, out_channels: int | None, kernel: Edges, norm: Norm
) -> nn.Sequential:
    """The convolutions of a stage the other way round; at full resolution the last one is the head."""
    row = activated_row(count - 1, in_channels, in_channels, kernel, norm)
    if out_channels is not None:
        row.extend(activated_row(1, in_channels, out_channels, kernel, norm))
    return row
