"""Watch: how a training tells whoever started it how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from delineate.training.history import Validation


@dataclass(frozen=True)
class Step:
    """What is known after a step.

    step         steps done
    progress     share of the training done, 0 to 1
    elapsed_s    seconds so far, those before an interruption included
    remaining_s  seconds still to go, about
    loss         of the last step
    rate         the learning rate of the last step
    validation   where one was just made
    """

    step: int
    progress: float
    elapsed_s: float
    remaining_s: float
    loss: float
    rate: float
    validation: Validation | None = None


Watch = Callable[[Step], None]


def unwatched(step: Step) -> None:
    """Says nothing: the default where nobody watches."""
