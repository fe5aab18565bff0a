"""Presets: the networks that nnU-Net plans for a given memory.

"default" is the plain U-Net of Isensee 2021 (doi:10.1038/s41592-020-01008-z). "M", "L" and "XL" are the
residual encoders of Isensee 2024, "nnU-Net Revisited" (doi:10.1007/978-3-031-72114-4_47), for cards of 8, 24
and 40 GB. How many feature values fit into those was measured by the authors; the counts are theirs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PresetName = Literal["default", "M", "L", "XL"]

BASE_WIDTH = 32  # features at full resolution; doubled with each stage
WIDEST = {2: 512, 3: 320}  # features at most, in 2D and 3D
REFERENCE_BATCH = {2: 12, 3: 2}  # the batches that the counted values belong to
SMALLEST_BATCH = 2  # below, the noise of the gradient and of the normalisation grows too large
COVERED = 0.05  # share of the dataset's voxels in a batch, at most: with more it would be learnt by heart


@dataclass(frozen=True)
class Preset:
    """What a family of networks is made of, and what fits into its memory.

    values     2 or 3 axes -> feature values of a reference batch that fit into `memory_gb`
    fits       the patch shrinks until this batch fits; None is the reference batch
    covered    share of the dataset's voxels that a batch may hold
    """

    kind: Literal["unet", "residual_unet"]
    encoder_blocks: tuple[int, ...]  # the last is repeated
    decoder_blocks: int
    memory_gb: float
    values: dict[int, float]
    fits: int | None
    covered: float

    def encoder(self, stages: int) -> tuple[int, ...]:
        """Blocks of the first `stages` stages."""
        return tuple(self.encoder_blocks[min(n, len(self.encoder_blocks) - 1)] for n in range(stages))

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
