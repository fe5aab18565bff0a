"""Schedule: the learning rate as a function of how much of the training is done.

Progress runs from 0 to 1, by steps or by time, so that one plan ends finished on any machine.

Sources: polynomial decay, Chen 2018, doi:10.1109/TPAMI.2017.2699184, power of Isensee 2021; cosine,
Loshchilov 2017, arXiv:1608.03983; linear warm-up, Goyal 2017, arXiv:1706.02677; one cycle, Smith 2018,
arXiv:1708.07120, with torch's numbers (the momentum stays as it is).
"""

from __future__ import annotations

import math

from delineate.planning.plan import Training

POWER = 0.9  # of the polynomial; Isensee 2021, Methods
RISE = 0.3  # share of one cycle in which the rate rises, where the plan gives none
FIRST, LAST = 1 / 25, 1 / 25 / 1e4  # of the rate at the top: where one cycle begins and ends
GRAIN = 1e-9  # progress: a stair is reached when it is this near, so that thirds and tenths add up


def rate_at(training: Training, progress: float) -> float:
    """The learning rate when this share of the training is done."""
    done = min(max(progress, 0.0), 1.0)
    if training.schedule == "one_cycle":
        return training.learning_rate * _one_cycle(done, training.warmup or RISE)
    if done < training.warmup:
        return training.learning_rate * done / training.warmup
    rest = 1 - training.warmup
    return training.learning_rate * _decay(training, (done - training.warmup) / rest if rest else 1.0)


def _decay(training: Training, done: float) -> float:
    match training.schedule:
        case "poly":
            return float((1 - done) ** POWER)
        case "cosine":
            return _between(1.0, 0.0, done)
        case "step":
            stairs = math.floor(done / training.step_every + GRAIN) if training.step_every else 0
            return float(training.step_factor**stairs)
        case _:
            return 1.0


def _one_cycle(done: float, rise: float) -> float:
    """Half a cosine up from a low rate, and another down to almost nothing."""
    if done < rise:
        return _between(FIRST, 1.0, done / rise)
    return _between(1.0, LAST, (done - rise) / (1 - rise) if rise < 1 else 1.0)


def _between(start: float, end: float, done: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
