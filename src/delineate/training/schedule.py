"""Schedule: the learning rate as a function of how much of the training is done.

Progress runs from 0 to 1, by steps or by time, so that one plan ends finished on any machine.

Sources: polynomial decay, Chen 2018, doi:10.1109/TPAMI.2017.2699184, power of Isensee 2021; cosine,
Loshchilov 2017, arXiv:1608.03983; linear warm-up, Goyal 2017, arXiv:1706.02677.
"""

from __future__ import annotations

import math

from delineate.planning.plan import Training

POWER = 0.9  # of the polynomial; Isensee 2021, Methods
GRAIN = 1e-9  # progress: a stair is reached when it is this near, so that thirds and tenths add up


def rate_at(training: Training, progress: float) -> float:
    """The learning rate when this share of the training is done."""
    done = min(max(progress, 0.0), 1.0)
    if done < training.warmup:
        return training.learning_rate * done / training.warmup
    rest = 1 - training.warmup
    return training.learning_rate * _decay(training, (done - training.warmup) / rest if rest else 1.0)


def _decay(training: Training, done: float) -> float:
    match training.schedule:
        case "poly":
            return float((1 - done) ** POWER)
        case "cosine":
            return (1 + math.cos(math.pi * done)) / 2
        case "step":
            stairs = math.floor(done / training.step_every + GRAIN) if training.step_every else 0
            return float(training.step_factor**stairs)
        case "constant":
            return 1.0
