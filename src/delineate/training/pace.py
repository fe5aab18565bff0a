"""Pace: how far a training is, and whether it is time to stop.

A training ends after its `steps`, or within its `minutes`. A budget of minutes is kept by measuring: how
long a step takes, and how long the validation and the file at the end will. The learning rate follows
elapsed time, so that on any machine, fast or slow, it has run its whole course when the time is up.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from delineate.planning.plan import Training
from delineate.record import Record

MEMORY = 0.9  # of the running means of durations, per step
CAUTION = 2.0  # mean deviations by which the next step may take longer
VALIDATION_SHARE = 0.1  # of a budget of minutes that one validation may take
FORWARD_SHARE = 0.4  # of a training step is its forward pass, until validations have been measured
VALIDATION_MARGIN = 1.1  # one is not as quick as the other
SAVING_MARGIN = 4.0  # a file is larger at the end, and disks are shared

Clock = Callable[[], float]  # seconds, from any start


class Stopwatch:
    """Seconds that a training took so far, those before it was interrupted included."""

    def __init__(self, clock: Clock, before_s: float) -> None:
        self._clock, self._before_s, self._started = clock, before_s, clock()

    def __call__(self) -> float:
        """Elapsed seconds."""
        return self._before_s + self._clock() - self._started


class Pace(Record):
    """What was measured of a training's speed, in seconds; None until it was."""

    step_s: float | None = None
    deviation_s: float = 0.0
    validation_s: float | None = None
    save_s: float = 0.0

    def stepped(self, seconds: float) -> Pace:
        """The pace once another step took so long."""
        if self.step_s is None:
            return self.but(step_s=seconds)
        off = abs(seconds - self.step_s)
        return self.but(
            step_s=MEMORY * self.step_s + (1 - MEMORY) * seconds,
            deviation_s=MEMORY * self.deviation_s + (1 - MEMORY) * off,
        )

    @property
    def next_step_s(self) -> float:
        """How long the next step may take; 0 before the first."""
        return (self.step_s or 0.0) + CAUTION * self.deviation_s

    def closing_s(self, training: Training) -> float:
        """How long the end takes: the last validation, and writing the weights."""
        guess = FORWARD_SHARE * training.validation_batches * (self.step_s or 0.0)
        if training.minutes is not None:
            guess = min(guess, VALIDATION_SHARE * training.minutes * 60)
        validation = guess if self.validation_s is None else VALIDATION_MARGIN * self.validation_s
        return validation + SAVING_MARGIN * self.save_s

    def validation_limit_s(self, training: Training, elapsed_s: float) -> float:
        """How long a validation may take; without end where the training is counted in steps."""
        if training.minutes is None:
            return math.inf
        budget = training.minutes * 60
        return min(VALIDATION_SHARE * budget, budget - elapsed_s - SAVING_MARGIN * self.save_s)

    def progress(self, training: Training, step: int, elapsed_s: float) -> float:
        """The share of the training that is done, from 0 to 1."""
        if training.minutes is None:
            return min(step / _planned(training), 1.0)
        horizon = training.minutes * 60 - self.closing_s(training)
        return min(elapsed_s / horizon, 1.0) if horizon > 0 else 1.0

    def is_over(self, training: Training, step: int, elapsed_s: float) -> bool:
        """Whether there is no step left, or no time for one. The first step is always made."""
        if training.minutes is None:
            return step >= _planned(training)
        horizon = training.minutes * 60 - self.closing_s(training)
        return step > 0 and elapsed_s + self.next_step_s > horizon

    def remaining_s(self, training: Training, step: int, elapsed_s: float) -> float:
        """About how long it still takes, validations included."""
        if training.minutes is not None:
            return max(training.minutes * 60 - elapsed_s, 0.0)
        left = _planned(training) - step
        validations = left / training.validate_every
        return left * (self.step_s or 0.0) + validations * (self.validation_s or 0.0)


def _planned(training: Training) -> int:
    return training.steps or 1
