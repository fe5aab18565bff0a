"""Accumulate: one step from more samples than fit at once, with the gradient of all of them together.

A loss of a batch is not the mean of those of its parts: overlaps over the batch are not, nor means over
annotated voxels. So each part runs twice: without gradients for its logits, of which the loss of the
whole batch gives the gradients, and again with them, so that they reach the weights. That is exact for
every loss, and costs one more forward pass; only one part's feature maps are in memory. The trick is
that of GradCache, Gao 2021, arXiv:2101.06983.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from delineate.training.losses import Parts

if TYPE_CHECKING:
    from lightning_fabric import Fabric


def accumulated(
    module: nn.Module,
    parts: Sequence[Tensor],
    loss: Callable[[list[Tensor]], Parts],
    seeded: Callable[[int], None],
    fabric: Fabric,
) -> tuple[Parts, Tensor]:
    """The loss of all parts as one batch, and its finest logits; weights have its gradient afterwards.

    parts   images of as many samples as fit at once
    loss    of the logits of all of them, finest resolution first
    seeded  makes what the network draws itself (dropout) a function of the number of the part
    """
    found: list[list[Tensor]] = []
    for number, images in enumerate(parts):
        seeded(number)
        with torch.no_grad():
            found.append(_levels(module(images)))
    logits = [torch.cat(level).float().requires_grad_() for level in zip(*found, strict=True)]
    result = loss(logits)
    gradients = torch.autograd.grad(result.total, logits)
    sizes = [len(images) for images in parts]
    shares = zip(*(torch.split(gradient, sizes) for gradient in gradients), strict=True)
    for number, (images, share) in enumerate(zip(parts, shares, strict=True)):
        seeded(number)
        waits = fabric.world_size > 1 and number < len(parts) - 1
        with fabric.no_backward_sync(module) if waits else nullcontext():  # type: ignore[arg-type]
            levels = _levels(module(images))
            pulls = [(one * pull).sum() for one, pull in zip(levels, share, strict=True)]
            fabric.backward(torch.stack(pulls).sum())
    return result, logits[0].detach()


def _levels(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)
