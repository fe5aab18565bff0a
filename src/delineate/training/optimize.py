"""Optimize: the rule by which gradients change weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from delineate.networks.parts import encoder_of
from delineate.planning.plan import Training
from delineate.training.muon import Muon

SHARE = "share"  # of a group of weights: what of the learning rate is its


def make_optimizer(
    training: Training, parameters: Iterable[Any], *, scaled: bool = False
) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum, Adam, AdamW or Muon, as planned; weight decay on every parameter.

    Of Adam the decay is a part of the gradient (Kingma 2015); of AdamW it is apart (Loshchilov 2019).

    The fused kernels run: the same arithmetic in one pass over memory. Under a loss scaler (`scaled`,
    fp16) they do not, as they leave no room to clip gradients between unscaling and stepping.
    """
    weights, fused = list(parameters), not scaled
    match training.optimizer:
        case "sgd":
            return torch.optim.SGD(
                weights,
                lr=training.learning_rate,
                momentum=training.momentum,
                nesterov=training.momentum > 0,
                weight_decay=training.weight_decay,
                fused=fused,
            )
        case "adam" | "adamw":
            kind = torch.optim.Adam if training.optimizer == "adam" else torch.optim.AdamW
            return kind(weights, lr=training.learning_rate, weight_decay=training.weight_decay, fused=fused)
        case "muon":
            return Muon(
                weights,
                lr=training.learning_rate,
                momentum=training.momentum,
                weight_decay=training.weight_decay,
            )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Makes the next step one of this learning rate, of which groups of weights may have a share."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get(SHARE, 1.0)


def grouped(training: Training, network: nn.Module) -> list[Any]:
    """The weights for `make_optimizer`; the encoder as a group of its own where it has its own rate."""
    if training.encoder_rate == 1:
        return list(network.parameters())
    encoder = encoder_of(network)
    known = {id(weight) for weight in encoder}
    rest = [weight for weight in network.parameters() if id(weight) not in known]
    return [{"params": list(encoder), SHARE: training.encoder_rate}, {"params": rest}]
