"""Average: weights averaged over the steps, which vary less than the weights themselves.

Source: Polyak 1992, doi:10.1137/0330046, as an exponential average whose memory grows with the training
(decay at step t: the smaller of the planned one and (1 + t) / (10 + t)), as TensorFlow does it.
"""

from __future__ import annotations

import copy

import torch
from torch import nn


def averaging(network: nn.Module) -> nn.Module:
    """A copy of the network that starts the average."""
    return copy.deepcopy(network).requires_grad_(False).eval()


def decay_at(step: int, decay: float) -> float:
    """How much of the average is kept when weights of step 0, 1, ... come in."""
    return min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Moves the average towards the network: `decay` of it stays. Whole numbers are copied."""
    for kept, new in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)
