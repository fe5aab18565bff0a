"""Coding: how the labels of a batch become what the outputs of a network should be.

Labels come in one of two forms:

hard  (batch, *edges) schema indices: 0 background, n the n-th label, -1 a voxel that nobody annotated
soft  (batch, output, *edges) floats: the share of the raters who said so; below 0 in every output where
      nobody annotated. A hard label is the soft one of a single rater.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from delineate.space import LabelSchema

UNKNOWN = -1
MOST = 0.5  # of the raters: a soft label above it counts as there


def is_soft(labels: Tensor) -> bool:
    """Whether labels are shares of raters, not indices."""
    return labels.is_floating_point()


@dataclass(frozen=True, eq=False)
class Coding:
    """How labels become targets.

    table        (index, output) booleans: whether voxels of an index belong to an output
    exclusive    whether each index has exactly one output, its own (softmax), or any number (sigmoid)
    has_unknown  whether there may be voxels that nobody annotated
    """

    table: Tensor
    exclusive: bool
    has_unknown: bool

    @classmethod
    def of(cls, schema: LabelSchema) -> Self:
        """The coding of a schema."""
        values = np.array([0, *(label.value for label in schema.labels)])
        table = torch.from_numpy(np.ascontiguousarray(schema.encode(values).values.T))
        return cls(table, schema.exclusive, schema.ignore is not None)

    def on(self, device: torch.device) -> Coding:
        """The same on a device."""
        return Coding(self.table.to(device), self.exclusive, self.has_unknown)

    def known(self, labels: Tensor) -> Tensor | None:
        """(batch, *edges) booleans: which voxels somebody annotated; None where all are."""
        if not self.has_unknown:
            return None
        return labels[:, 0] >= 0 if is_soft(labels) else labels != UNKNOWN

    def values(self, labels: Tensor) -> Tensor:
        """(batch, output, *edges): what the outputs should be; booleans, or shares where labels are soft.

        Nothing is where nobody annotated.
        """
        if is_soft(labels):
            return labels.clamp(min=0)
        known = self.known(labels)
        index = labels.long() if known is None else labels.long().clamp(min=0)
        values = self.table.T[:, index].transpose(0, 1)
        return values if known is None else values & known.unsqueeze(1)

    def indices(self, labels: Tensor) -> Tensor:
        """(batch, *edges) schema indices of labels for softmax; of soft ones, what most raters said."""
        if not is_soft(labels):
            return labels.long()
        return torch.where(labels[:, 0] >= 0, labels.argmax(1), UNKNOWN)
