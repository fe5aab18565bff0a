"""Blend: overlapping windows become one answer, which trusts the middle of a window most.

Each window's logits are weighted by a Gaussian about its middle, added up, and divided by the added
weights: so they always average, whatever the overlap (a partition of unity). Sums are float32: in half
precision they lose what bf16 logits still say, and are slower on a CPU.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from delineate.inference.scratch import Scratch

SIGMA = 1 / 8  # of the patch; Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods
Middle = Literal["between", "voxel"]
FLOOR = 1e-3  # smallest weight: no corner is decided by rounding; as MONAI's sliding window


def importance(patch: tuple[int, ...], middle: Middle = "between") -> Tensor:
    """The weight of each voxel of a window: 1 in the middle, mirror-symmetric, nowhere below `FLOOR`.

    middle  "voxel" gives nnU-Net's weights, for its models: where windows disagree, so do the weights
    """
    if middle == "voxel":
        return _of_nnunet(patch)
    weights = torch.ones(1)
    for size in patch:
        from_middle = torch.arange(size) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (from_middle / (SIGMA * size)) ** 2)
    return weights[0].clamp(min=FLOOR)


def _of_nnunet(patch: tuple[int, ...]) -> Tensor:
    """10 in the voxel after the middle, 0 beyond four sd, in float16; then the least instead of 0."""
    weights = torch.full((1,), 10.0, dtype=torch.float64)
    for size in patch:
        sd = SIGMA * size
        away = (torch.arange(size) - size // 2).double()
        line = torch.where(away.abs() <= int(4 * sd + 0.5), torch.exp(-0.5 * (away / sd) ** 2), 0)
        weights = weights[..., None] * line
    half = weights[0].half()
    return torch.where(half == 0, half[half > 0].min(), half).float()


class Slab:
    """Planes of a grid on which windows are being added up; slides along it.

    Holds (class, plane, a, b) float32 and is never larger, however long the scan. The planes of a row of
    windows and the one before fit: a plane between two rows can be mixed from both. A plane stays where it
    is until another takes its place: plane n of the grid is at n modulo their number.
    """

    def __init__(self, classes: int, planes: int, across: tuple[int, int], scratch: Scratch) -> None:
        self.first = -1
        self._kept = scratch.zeros((classes, planes + 1, *across))
        self._sums = self._kept.values
        self._weights = torch.zeros((planes + 1, *across), device=self._sums.device)

    @property
    def device(self) -> torch.device:
        """Where the sums are."""
        return self._sums.device

    def add(self, scores: Tensor, weights: Tensor, corner: tuple[int, int, int]) -> None:
        """Adds a window (class, plane, a, b) whose first voxel is `corner` (plane, a, b)."""
        across = tuple(slice(a, a + n) for a, n in zip(corner[1:], weights.shape[1:], strict=True))
        start, count = corner[0] % len(self._weights), len(weights)
        split = min(count, len(self._weights) - start)  # what reaches beyond the last place begins anew
        for there, here in ((start, slice(0, split)), (0, slice(split, count)))[: 1 + (split < count)]:
            planes = slice(there, there + here.stop - here.start)
            self._weights[planes, *across] += weights[here]
            for total, score in zip(self._sums[:, planes, *across], scores[:, here], strict=True):
                total.addcmul_(score.to(total.dtype), weights[here])
                self._kept.let_go()

    def slide(self, first: int) -> None:
        """Makes room for a row that begins at `first`: forgets what lies more than a plane before it."""
        gone = range(self.first, first - 1)[: len(self._weights)]
        self.first = first - 1
        for number in gone:
            place = number % len(self._weights)
            self._sums[:, place] = 0
            self._weights[place] = 0
            self._kept.let_go()

    def plane(self, number: int, classes: slice) -> Tensor:
        """The weighted mean (class, a, b) of what was added to one plane, for some classes."""
        place = number % len(self._weights)
        mean = self._sums[classes, place] / self._weights[place]
        self._kept.let_go()
        return mean
