"""Presets: the networks that nnU-Net plans for a given memory.

"default" is the plain U-Net of Isensee 2021 (doi:10.1038/s41592-020-01008-z). "M", "L" and "XL" are the
residual encoders of Isensee 2024, "nnU-Net Revisited" (doi:10.1007/978-3-031-72114-4_47), for cards of 8, 24
and 40 GB. How many feature values fit into those was measured by the authors; the counts are theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from delineate.planning.plan import NetworkSpec, OwnLoss
from delineate.planning.topology import Topology, even_topology, topology

PresetName = Literal["default", "M", "L", "XL"]

BASE_WIDTH = 32  # features at full resolution; doubled with each stage
WIDEST = {2: 512, 3: 320}  # features at most, in 2D and 3D
REFERENCE_BATCH = {2: 12, 3: 2}  # the batches that the counted values belong to
SMALLEST_BATCH = 2  # below, the noise of the gradient and of the normalisation grows too large
COVERED = 0.05  # share of the dataset's voxels in a batch, at most: with more it would be learnt by heart


@dataclass(frozen=True)
class Other:
    """A network of the literature: how it is laid out for a patch, and what it costs.

    layout    topology, width at full resolution of a U-Net of this size -> the network
    memory    2 or 3 axes -> values kept for the gradient, in those of the plain U-Net of the same stages
    work      the same for operations
    halvings  of an axis at most
    even      whether each axis is halved just so often, whatever its spacing
    rate      learning rate of AdamW, where SGD or the usual rate does not suit it
    reasons   field of the network -> why it has its value
    loss      what the network brings with it to be lowered; None: the usual one
    edge      voxels: work never cuts an edge of the patch below this many
    """

    layout: Callable[[Topology, int], NetworkSpec]
    memory: dict[int, float]
    work: dict[int, float]
    halvings: int
    even: bool = False
    rate: float | None = None
    reasons: dict[str, str] = field(default_factory=dict)
    loss: OwnLoss | None = None
    edge: int = 0


@dataclass(frozen=True)
class Preset:
    """What a family of networks is made of, and what fits into its memory.

    values     2 or 3 axes -> feature values of a reference batch that fit into `memory_gb`
    fits       the patch shrinks until this batch fits; None is the reference batch
    covered    share of the dataset's voxels that a batch may hold
    other      another network than a U-Net in place of it, and what it costs
    """

    kind: Literal["unet", "residual_unet"]
    encoder_blocks: tuple[int, ...]  # the last is repeated
    decoder_blocks: int
    memory_gb: float
    values: dict[int, float]
    fits: int | None
    covered: float
    other: Other | None = None

    def encoder(self, stages: int) -> tuple[int, ...]:
        """Blocks of the first `stages` stages."""
        return tuple(self.encoder_blocks[min(n, len(self.encoder_blocks) - 1)] for n in range(stages))

    def shape(self, spacing: Sequence[float], size: Sequence[float]) -> Topology:
        """How a patch of `size` voxels of `spacing` mm is halved."""
        if self.other is None:
            return topology(spacing, size)
        if self.other.even:
            return even_topology(size, self.other.halvings)
        return topology(spacing, size, self.other.halvings)

    def plain(self, shape: Topology, width: int) -> NetworkSpec:
        """The U-Net of this shape."""
        stages, dims = len(shape.strides), len(shape.patch)
        return NetworkSpec(
            kind=self.kind,
            features=tuple(min(WIDEST[dims], width * 2**n) for n in range(stages)),
            strides=shape.strides,
            kernels=shape.kernels,
            encoder_blocks=self.encoder(stages),
            decoder_blocks=(self.decoder_blocks,) * (stages - 1),
        )

    def network(self, shape: Topology, width: int) -> NetworkSpec:
        """The network of this shape: a U-Net, or the other network in its place."""
        return self.plain(shape, width) if self.other is None else self.other.layout(shape, width)

    def room(self, dims: int, memory_gb: float) -> float:
        """Feature values of a reference batch that fit into `memory_gb`."""
        return self.values[dims] * (memory_gb / self.memory_gb)

    def batch_that_must_fit(self, dims: int) -> int:
        """The batch for which the patch shrinks until it fits."""
        return self.fits or REFERENCE_BATCH[dims]


def _residual(memory_gb: float, values_2d: float, values_3d: float) -> Preset:
    return Preset(
        "residual_unet", (1, 3, 4, 6), 1, memory_gb, {2: values_2d, 3: values_3d}, fits=None, covered=1.0
    )


PRESETS: dict[PresetName, Preset] = {
    "default": Preset("unet", (2,), 2, 8, {2: 85e6, 3: 560e6}, fits=SMALLEST_BATCH, covered=COVERED),
    "M": _residual(8, 135e6, 680e6),
    "L": _residual(24, 380e6, 2100e6),
    "XL": _residual(40, 560e6, 3600e6),
}
