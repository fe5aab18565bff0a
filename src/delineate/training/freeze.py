"""Freeze: an encoder that stays as it was while the rest learns to use it.

A head that begins anew sends large and random gradients down; for a while they are kept from what was
learnt before. Frozen weights get no gradient, so that neither the optimizer's memory nor its weight decay
moves them, and norms with running statistics keep those. Whether they are frozen is a function of how much
of the training is done, which the checkpoint holds.

Sources: Howard 2018, arXiv:1801.06146 (gradual unfreezing, smaller rates for what was learnt before).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from delineate.networks.parts import encoder_of, in_encoder
from delineate.planning.plan import Training


@dataclass(frozen=True, eq=False)
class Frozen:
    """The part of a network that is frozen until a share of the training is done."""

    weights: tuple[nn.Parameter, ...] = ()
    parts: tuple[nn.Module, ...] = ()
    until: float = 1.0
    saves_work: bool = True  # whether no gradient is even computed; processes that share one need it

    @classmethod
    def of(cls, training: Training, network: nn.Module, *, alone: bool = True) -> Frozen:
        """What a plan wants to be frozen; nothing by default."""
        if training.freeze == "none":
            return cls()
        parts = tuple(part for name, part in network.named_modules() if in_encoder(name))
        return cls(encoder_of(network), parts, training.thaw_after, saves_work=alone)

    def is_frozen(self, progress: float) -> bool:
        """Whether it is, when this share of the training is done; at 1 it never thaws."""
        return bool(self.weights) and (progress < self.until or self.until >= 1)

    def set(self, progress: float) -> None:
        """Freezes or thaws; after `train()`, before a step."""
        frozen = self.is_frozen(progress)
        if frozen:
            for part in self.parts:
                part.eval()
        if self.saves_work:
            for weight in self.weights:
                weight.requires_grad_(not frozen)

    def drop(self, progress: float) -> None:
        """Forgets the gradients of what is frozen; after the gradients are there, before the step."""
        if self.is_frozen(progress):
            for weight in self.weights:
                weight.grad = None
