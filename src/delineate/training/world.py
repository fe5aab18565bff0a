"""World: what a training runs in: devices, a clock, somebody who watches."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.distributed
from torch import Tensor

from delineate.networks import Precision, device_of
from delineate.training.losses import Total, alone
from delineate.training.pace import Clock
from delineate.training.precision import mode_of
from delineate.training.watch import Watch, unwatched

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SAVE_EVERY_S = 60.0  # a killed training loses at most this much work


@dataclass(frozen=True)
class World:
    """What is around a training.

    fabric        device, number format and the other processes, if any
    clock         seconds; the same in every process
    save_every_s  seconds between checkpoints, besides those at validations
    """

    fabric: Fabric
    clock: Clock = time.monotonic
    watch: Watch = unwatched
    save_every_s: float = SAVE_EVERY_S

    @classmethod
    def alone(
        cls,
        device: str = "cpu",
        precision: Precision = "auto",
        *,
        clock: Clock = time.monotonic,
        watch: Watch = unwatched,
        save_every_s: float = SAVE_EVERY_S,
    ) -> World:
        """One process on one device."""
        from lightning_fabric import Fabric

        place = device_of(device)
        devices = 1 if place.index is None else [place.index]
        with quiet():
            fabric = Fabric(accelerator=place.type, devices=devices, precision=mode_of(precision, place))
        return cls(fabric, clock, watch, save_every_s)

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.fabric.global_rank == 0)

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        return int(self.fabric.global_rank)

    @property
    def device(self) -> torch.device:
        """Where this process computes."""
        return torch.device(self.fabric.device)

    @property
    def total(self) -> Total:
        """Sums a tensor over all processes; gradients flow through it."""
        return _together if self.fabric.world_size > 1 else alone


@contextmanager
def quiet() -> Iterator[None]:
    """Fabric tells nobody what it does."""
    logger = logging.getLogger("lightning_fabric")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Sum(torch.autograd.Function):
    """The sum over all processes. Each of them holds a part of it, so gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        """The sum of the tensors that the processes bring."""
        return _reduced(value)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """The sum of the gradients."""
        return _reduced(gradient)


def _together(value: Tensor) -> Tensor:
    return torch.as_tensor(_Sum.apply(value))  # type: ignore[no-untyped-call]


def _reduced(value: Tensor) -> Tensor:
    result = value.detach().clone()
    torch.distributed.all_reduce(result)
    return result
