"""Predictor: patches in, logits out; folds and mirrored copies averaged, on the device, in its numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.inference.engine import Engine
from delineate.inference.mirror import mirrored

FEATURES = 32  # at full resolution: what a network holds of each voxel of a patch, roughly
BATCH = 2**26  # values at full resolution in one batch: 256 MB in float32


@dataclass(frozen=True, eq=False)
class Predictor:
    """The networks of one configuration.

    networks     one per fold, of whatever engine; their logits are averaged
    outputs      classes that each must give
    slice_axis   the axis of (i, j, k) that 2D networks do not see
    mirror_axes  spatial axes of the network's patch to average over
    autocast     what torch's convolutions compute in; None is float32
    """

    networks: Sequence[Engine]
    outputs: int
    slice_axis: int | None
    mirror_axes: tuple[int, ...]
    device: torch.device
    autocast: torch.dtype | None

    def batch(self, patch: tuple[int, ...]) -> int:
        """How many patches to predict at once."""
        fit = BATCH // (math.prod(patch) * max(FEATURES, self.outputs))
        return max(self.least, fit)

    def __call__(self, patches: Tensor) -> Tensor:
        """Logits (batch, class, i, j, k), float32 or as convolutions give them, of (batch, channel, i, j, k).

        Raises:
            ModelError: the networks give another number of classes.
        """
        x = patches.to(self.device)
        x = x if self.slice_axis is None else x.squeeze(self.slice_axis + 2)
        alone = len(x) < self.least
        logits = self._mean(torch.cat((x, x)) if alone else x)[: len(x)]
        self._check(logits, (len(x), self.outputs, *x.shape[2:]))
        return logits if self.slice_axis is None else logits.unsqueeze(self.slice_axis + 2)

    @property
    def least(self) -> int:
        """Two in 3D in float32 on a CPU: torch convolves a single small patch thirty times slower."""
        slow = self.device.type == "cpu" and self.autocast is None and self.slice_axis is None
        return 2 if slow and any(isinstance(network, nn.Module) for network in self.networks) else 1

    def _mean(self, x: Tensor) -> Tensor:
        half = nullcontext() if self.autocast is None else torch.autocast(self.device.type, self.autocast)
        with half:
            first, *others = (mirrored(network, self.mirror_axes) for network in self.networks)
            total: Tensor = first(x)
            for predict in others:
                total = total.float() + predict(x)
        return total if not others else total / len(self.networks)

    def _check(self, logits: Tensor, expected: tuple[int, ...]) -> None:
        if tuple(logits.shape) != expected:
            raise ModelError(
                f"the network gave {tuple(logits.shape)}, expected (batch, class, ...) = {expected}. "
                f"It was made for other labels or another patch than this plan's."
            )
