"""Muon: the momentum of each kernel, made orthogonal, is the step.

A kernel (out, in, ...) is a matrix (out, in times the rest). Its momentum has a few large directions and many
small ones; with all singular values set to about one, every direction learns. A few steps of Newton and
Schulz do that without a decomposition. What is no matrix (biases, norms) and what reads the image or gives
the answer (few rows or columns) is left to AdamW.

Torch has `torch.optim.Muon` for matrices alone; this one takes kernels, and both rules under one rate.
Sources: Jordan 2024, kellerjordan.github.io/posts/muon (the iteration and its coefficients, Nesterov momentum
.95); Liu 2025, arXiv:2502.16982, section 2.2 (steps of the size of AdamW's: 0.2 times the root of the longer
edge, and weight decay apart).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
ITERATIONS = 5
AS_ADAMW = 0.2  # the usual size of AdamW's steps, root mean square
FEWEST = 8  # rows and columns: below, there is nothing to make orthogonal
BETAS, EPS = (0.9, 0.999), 1e-8  # of AdamW, for the rest


class Muon(torch.optim.Optimizer):
    """Muon for kernels and matrices, AdamW for everything else, with one learning rate and decay."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter | dict[str, Any]],
        *,
        lr: float,
        momentum: float,
        weight_decay: float,
    ) -> None:
        given = list(parameters)
        parts = given if given and isinstance(given[0], dict) else [{"params": given}]
        groups = [group for part in parts if isinstance(part, dict) for group in _halves(part)]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step of every parameter that has a gradient."""
        loss = None if closure is None else torch.enable_grad()(closure)()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                weight.mul_(1 - group["lr"] * group["weight_decay"])
                if group["kernels"]:
                    weight.add_(self._orthogonal(weight, group["momentum"]), alpha=-group["lr"])
                else:
                    self._adam(weight, group["lr"])
        return loss

    def _orthogonal(self, weight: Tensor, momentum: float) -> Tensor:
        state = self.state[weight]
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(weight)
        buffer = state["momentum_buffer"]
        assert weight.grad is not None
        buffer.lerp_(weight.grad, 1 - momentum)
        ahead = weight.grad.lerp(buffer, momentum)  # Nesterov
        matrix = ahead.reshape(len(ahead), -1)
        length: float = AS_ADAMW * math.sqrt(max(matrix.shape))
        return orthogonal(matrix).view_as(weight).mul_(length)

    def _adam(self, weight: Tensor, rate: float) -> None:
        state = self.state[weight]
        if "step" not in state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(weight), torch.zeros_like(weight)
        assert weight.grad is not None
        state["step"] += 1
        count = float(state["step"])
        state["exp_avg"].lerp_(weight.grad, 1 - BETAS[0])
        state["exp_avg_sq"].lerp_(weight.grad.square(), 1 - BETAS[1])
        spread = (state["exp_avg_sq"] / (1 - BETAS[1] ** count)).sqrt_().add_(EPS)
        weight.addcdiv_(state["exp_avg"], spread, value=-rate / (1 - BETAS[0] ** count))


def _halves(group: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The kernels of a group of weights, and its other weights, with what else is said of the group."""
    for wanted in (True, False):
        chosen = [weight for weight in group["params"] if is_kernel(weight) == wanted]
        if chosen:
            yield {**group, "params": chosen, "kernels": wanted}


def is_kernel(weight: Tensor) -> bool:
    """Whether a parameter is a matrix large enough to be made orthogonal."""
    return weight.ndim > 1 and min(len(weight), weight[0].numel()) >= FEWEST


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix with all singular values between about 0.7 and 1.2, its directions kept."""
    a, b, c = COEFFICIENTS
    x = matrix.float()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    x = x / (x.norm() + EPS)
    for _ in range(ITERATIONS):
        square = x @ x.T
        x = a * x + (b * square + c * square @ square) @ x
    found: Tensor = x.T if tall else x
    return found.to(matrix.dtype).contiguous()
