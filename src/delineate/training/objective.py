"""Objective: what a training lowers, and the figures that say how far it is.

The loop knows only this. Segmentation is the objective of a plan; pretraining brings its own, and so may a
network whose outputs are no map of logits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from delineate.planning.plan import Training
from delineate.space import LabelSchema
from delineate.training.counts import count, dice_of
from delineate.training.losses import Loss, Parts, Total, alone, make_loss, supervised
from delineate.training.mining import hardness_of

Outputs = Any  # of a network: logits; in training finest first, where there are several; or its own kind
Figures = dict[str, float | None]


class Objective(Protocol):
    """What a training lowers."""

    def on(self, device: torch.device) -> Self:
        """The same on a device."""

    def __call__(self, outputs: Outputs, labels: Tensor, total: Total = alone) -> Parts:
        """The loss of what the network gives, in `train()` or in `eval()`.

        With `total` it is that of the whole batch, of which each process holds some samples.
        """

    def hardness(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """(sample,) how far each sample is from what it should be; 0 is perfect."""

    def counted(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """What a validation adds up over its batches; always of one shape."""

    def figures(self, counts: Tensor) -> Figures:
        """What the sums of a validation say, by name."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The labels of the schema: its loss is lowered, and Dice says how far it is."""

    loss: Loss
    labels: LabelSchema

    @classmethod
    def of(
        cls,
        training: Training,
        labels: LabelSchema,
        *,
        batch_dice: bool,
        spacing: Sequence[float] | None = None,
    ) -> Self:
        """The objective that a plan names."""
        return cls(make_loss(training, labels, batch_dice=batch_dice, spacing=spacing), labels)

    def on(self, device: torch.device) -> Self:
        """The same on a device."""
        return replace(self, loss=self.loss.on(device))

    def __call__(self, outputs: Outputs, labels: Tensor, total: Total = alone) -> Parts:
        """The loss of logits at every resolution that there is."""
        return supervised(self.loss, outputs, labels, total)

    def hardness(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """(sample,) the loss of each, without its distance."""
        return hardness_of(self.loss, outputs, labels)

    def counted(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """(3, structure) voxels hit, extra and missed."""
        return count(outputs, labels, self.loss.coding)

    def figures(self, counts: Tensor) -> Figures:
        """Dice per structure; None for one neither there nor found."""
        return dice_of(counts, self.labels)
