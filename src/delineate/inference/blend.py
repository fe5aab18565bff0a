"""Blend: overlapping windows become one answer, which trusts the middle of a window most.

Each window's logits are weighted by a Gaussian about its middle, added up, and divided by the added
weights: so they always average, whatever the overlap (a partition of unity). Sums are float32: in half
precision they lose what bf16 logits still say, and are slower on a CPU.
"""

from __future__ import annotations

import torch
from torch import Tensor

SIGMA = 1 / 8  # of the patch; Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods
FLOOR = 1e-3  # smallest weight: no corner is decided by rounding; as MONAI's sliding window


def importance(patch: tuple[int, ...]) -> Tensor:
    """The weight of each voxel of a window: 1 in the middle, mirror-symmetric, nowhere below `FLOOR`."""
    weights = torch.ones(1)
    for size in patch:
        from_middle = torch.arange(size) - (size - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (from_middle / (SIGMA * size)) ** 2)
    return weights[0].clamp(min=FLOOR)


class Slab:
    """Planes of a grid on which windows are being added up; slides along it.

    Holds (class, plane, a, b) float32 and is never larger, however long the scan. The planes of a row of
    windows and the one before fit: a plane between two rows can be mixed from both.
    """

    def __init__(self, classes: int, planes: int, across: tuple[int, int], device: torch.device) -> None:
        self.first = -1
        self._sums = torch.zeros((classes, planes + 1, *across), device=device)
        self._weights = torch.zeros((planes + 1, *across), device=device)

    @property
    def device(self) -> torch.device:
        """Where the sums are."""
        return self._sums.device

    def add(self, scores: Tensor, weights: Tensor, corner: tuple[int, int, int]) -> None:
        """Adds a window (class, plane, a, b) whose first voxel is `corner` (plane, a, b)."""
        start = (corner[0] - self.first, *corner[1:])
        where = tuple(slice(a, a + n) for a, n in zip(start, weights.shape, strict=True))
        sums = self._sums[:, *where]
        if scores.dtype == sums.dtype:
            sums.addcmul_(scores, weights)
        else:  # one class at a time: a float32 copy of all would be as large as the window's logits twice
            for total, score in zip(sums, scores, strict=True):
                total.addcmul_(score.float(), weights)
        self._weights[where] += weights

    def slide(self, first: int) -> None:
        """Makes room for a row that begins at `first`: forgets what lies more than a plane before it."""
        gone = min(first - 1 - self.first, len(self._weights))
        self.first = first - 1
        if gone == 0:
            return
        for planes in (*self._sums, self._weights):
            planes[: -gone or None] = planes[gone:].clone()
            planes[len(planes) - gone :] = 0

    def plane(self, number: int, classes: slice) -> Tensor:
        """The weighted mean (class, a, b) of what was added to one plane, for some classes."""
        return self._sums[classes, number - self.first] / self._weights[number - self.first]
