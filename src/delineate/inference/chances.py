"""Chances: probabilities, rather than logits, brought onto the scan.

Models of other tools were measured so. What comes out are logarithms of the probabilities, which are logits
that stand for them: all that follows is the same.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from delineate.inference.planes import PlaneSource

TINY = 1e-12  # probabilities are no smaller; the logarithm of nothing is no number
SURE = 1e-7  # nor is what is left of 1 in float32


@dataclass(frozen=True)
class Chances:
    """Probabilities of classes of which one wins (`exclusive`), or of regions, each on its own."""

    exclusive: bool

    def of(self, logits: PlaneSource) -> PlaneSource:
        """Planes of probabilities from planes of logits."""
        return _Likely(logits, self.exclusive)

    def undone(self, probabilities: PlaneSource) -> PlaneSource:
        """Planes of logits that have these probabilities."""
        return _Logged(probabilities, self.exclusive)


class _Likely:
    def __init__(self, logits: PlaneSource, exclusive: bool) -> None:
        self._logits, self._exclusive = logits, exclusive

    def plane(self, number: int, classes: slice) -> Tensor:
        """Probabilities of some classes, which takes the logits of all."""
        if not self._exclusive:
            return torch.sigmoid(self._logits.plane(number, classes))
        return torch.softmax(self._logits.plane(number, slice(None)), dim=0)[classes]


class _Logged:
    def __init__(self, probabilities: PlaneSource, exclusive: bool) -> None:
        self._probabilities, self._exclusive = probabilities, exclusive

    def plane(self, number: int, classes: slice) -> Tensor:
        """Logits of some classes."""
        found = self._probabilities.plane(number, classes)
        return found.clamp(min=TINY).log() if self._exclusive else torch.logit(found, eps=SURE)
