"""Distil: a network that learns from labels and from what larger networks say of the same patches.

Beside the loss of its plan it lowers the distance between both answers, softened by a temperature: what the
larger network holds for almost as likely is worth learning too.
Source: Hinton 2015, arXiv:1503.02531 (temperature, and its square as the weight).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from delineate.training.losses import Parts, Total, alone
from delineate.training.objective import Figures, Outputs, Segmentation


class Lesson(NamedTuple):
    """What the learner gives, and the logits of those it learns from."""

    learner: Outputs
    teacher: Tensor


class Taught(nn.Module):
    """A network that in training also gives what others say; their weights are none of its own."""

    def __init__(self, learner: nn.Module, teachers: Sequence[nn.Module]) -> None:
        super().__init__()
        self.learner = learner
        self._teachers = _Teachers(teachers)

    def forward(self, x: Tensor) -> Any:
        """A lesson in `train()`, the learner's own logits in `eval()`."""
        given = self.learner(x)
        return Lesson(given, self._teachers(x)) if self.training else given


class _Teachers:
    """Networks that do not learn. Not a module: so that nothing counts their weights as the learner's."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._networks = [network.eval().requires_grad_(False) for network in networks]

    def __call__(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            said = [network.to(x.device)(x) for network in self._networks]
        return torch.stack(said).mean(0)


@dataclass(frozen=True, eq=False)
class Distillation:
    """The objective of a plan, and nearness to the teacher's probabilities at a temperature."""

    plain: Segmentation
    temperature: float

    def on(self, device: torch.device) -> Self:
        """The same on a device."""
        return replace(self, plain=self.plain.on(device))

    def __call__(self, outputs: Outputs, labels: Tensor, total: Total = alone) -> Parts:
        """The loss of the plan, and in training what the teacher adds."""
        if not isinstance(outputs, Lesson):
            return self.plain(outputs, labels, total)
        parts = self.plain(outputs.learner, labels, total)
        apart = distance(
            finest(outputs.learner), outputs.teacher, self.temperature, exclusive=self.plain.labels.exclusive
        )
        return replace(parts, total=parts.total + apart)

    def hardness(self, outputs: Outputs, labels: Tensor) -> Tensor:
        """(sample,) how far each sample is from its labels."""
        return self.plain.hardness(finest(outputs), labels)

    def counted(self, outputs: Tensor, labels: Tensor) -> Tensor:
        """(3, structure) voxels hit, extra and missed."""
        return self.plain.counted(outputs, labels)

    def figures(self, counts: Tensor) -> Figures:
        """Dice per structure."""
        return self.plain.figures(counts)


def distance(learner: Tensor, teacher: Tensor, temperature: float, *, exclusive: bool) -> Tensor:
    """The Kullback-Leibler distance from the teacher, the mean over voxels, times the squared temperature."""
    ours, theirs = learner.float() / temperature, teacher.float() / temperature
    if exclusive:
        said = functional.log_softmax(theirs, 1)
        apart = (said.exp() * (said - functional.log_softmax(ours, 1))).sum(1)
    else:  # each output is a question of its own: yes or no
        yes, no = functional.logsigmoid(theirs), functional.logsigmoid(-theirs)
        apart = (
            yes.exp() * (yes - functional.logsigmoid(ours)) + no.exp() * (no - functional.logsigmoid(-ours))
        ).sum(1)
    return temperature**2 * apart.mean()


def finest(outputs: Outputs) -> Tensor:
    """The finest logits of a lesson, of several resolutions, or the logits themselves."""
    while not isinstance(outputs, Tensor):
        outputs = outputs[0]
    return outputs
