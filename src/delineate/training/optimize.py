"""Optimize: the rule by which gradients change weights."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn

from delineate.planning.plan import Training


def make_optimizer(training: Training, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """SGD with Nesterov momentum or AdamW, as planned; weight decay on every parameter.

    On a CPU the fused kernels run: the same arithmetic, one pass over memory. On a GPU they do not, as
    they leave no room to clip gradients under a loss scaler.
    """
    weights = list(parameters)
    fused = all(weight.device.type == "cpu" for weight in weights)
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
        case "adamw":
            return torch.optim.AdamW(
                weights, lr=training.learning_rate, weight_decay=training.weight_decay, fused=fused
            )


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Makes the next step one of this learning rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
