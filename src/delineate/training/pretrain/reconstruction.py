"""Reconstruction: the objective of pretraining. What was hidden or changed is to be as it was.

The loss is the mean squared error over what is compared; voxels that were seen unchanged (mae) count nothing.
How far it is: the share of the variance that is explained, 1 for a perfect answer and 0 for one that is the
mean of the patch everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.training.losses import Parts, Total, alone

EXPLAINED = "explained"
FLOOR = 1e-12


@dataclass(frozen=True)
class Reconstruction:
    """Images as they were, where a mask says so.

    Labels are (batch, channel + 1, *edges) floats: the image, and 1 where it is compared.
    """

    def on(self, device: torch.device) -> Reconstruction:
        """The same: it holds nothing that is anywhere."""
        del device
        return self

    def __call__(self, outputs: Tensor | Sequence[Tensor], labels: Tensor, total: Total = alone) -> Parts:
        """The mean squared error over what is compared, of the finest resolution."""
        wrong, count = self._wrong(outputs, labels)
        loss = total(wrong.sum()) / total(count.sum()).clamp(min=1)
        return Parts(loss, torch.zeros_like(loss), loss)

    @torch.no_grad()
    def hardness(self, outputs: Tensor | Sequence[Tensor], labels: Tensor) -> Tensor:
        """(sample,) the error of each."""
        wrong, count = self._wrong(outputs, labels)
        return wrong / count.clamp(min=1)

    def counted(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """(2,) squared errors, and those of the mean of what each patch shows."""
        wrong, _ = self._wrong(outputs, labels)
        target, mask = labels[:, :-1].double(), labels[:, -1:].double()
        axes = tuple(range(2, target.ndim))
        seen = 1 - mask if bool((mask == 0).any()) else mask
        mean = (target * seen).sum(axes, keepdim=True) / seen.sum(axes, keepdim=True).clamp(min=1)
        return torch.stack([wrong.sum().double(), ((target - mean) ** 2 * mask).sum()])

    def figures(self, counts: Tensor) -> dict[str, float | None]:
        """The share of the variance that is explained; None where there is none."""
        wrong, spread = counts.double().cpu().tolist()
        return {EXPLAINED: 1 - wrong / spread if spread > FLOOR else None}

    def _wrong(self, outputs: Tensor | Sequence[Tensor], labels: Tensor) -> tuple[Tensor, Tensor]:
        """(sample,) squared errors and how many numbers are compared."""
        finest = (outputs if isinstance(outputs, Tensor) else outputs[0]).float()
        target, mask = labels[:, :-1], labels[:, -1:]
        wrong = ((finest - target) ** 2 * mask).flatten(1).sum(1)
        return wrong, mask.flatten(1).sum(1) * target.shape[1]
