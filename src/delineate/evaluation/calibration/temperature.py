"""Temperature: one number that makes a model as sure as it should be, and changes no label.

Probabilities p become p^(1/T), brought back to a sum of one: above 1 the model is less sure than it was,
below 1 surer. For one network that is its logits divided by T; for several whose probabilities were averaged
it acts on their mean. What is most probable stays so.

T is the one under which what happened was most probable (the negative log-likelihood is least) in the
annotated voxels of cases that the model has not learnt from. That is a convex question in 1/T, with one
answer. Voxels are far too many and nearly all of them tell nothing: of each case a sample is kept, of the
sure and right ones and of all others apart, and weighted back. How well T is known follows from how much the
cases differ, not from how many voxels they have.

Sources: Guo 2017, arXiv:1706.04599, section 4.2; Liang and Zeger 1986, doi:10.1093/biomet/73.1.13 (the
standard error over cases).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

from delineate.errors import DataError
from delineate.evaluation.calibration.reliability import LEAST, Forecasts, Numbers
from delineate.evaluation.statistics import LEVEL
from delineate.record import Record

BOUNDS = (0.05, 20.0)  # beyond, there was nothing to learn it from
SURE = 0.999  # a right forecast above that tells next to nothing
KEPT = 20_000  # voxels of each of the two kinds and each case
ROUNDS = 60
SAME = 1e-7  # of 1/T


class Temperature(Record):
    """A temperature, and what is known of it.

    low, high  its 95 % interval over patients; None for one patient
    before, after  the mean negative log-likelihood of what it was fitted to, without and with it
    cases      on which it was fitted
    note       what keeps it from being trusted
    """

    value: float
    low: float | None = None
    high: float | None = None
    before: float
    after: float
    cases: int
    note: str = ""


@dataclass(frozen=True, eq=False)
class Sample:
    """Voxels that stand for all of a case.

    logs    (n, class) logarithms of the probabilities, the largest of a voxel 0
    truth   (n,) the class that each is
    weight  (n,) how many voxels each stands for
    """

    logs: Numbers
    truth: npt.NDArray[np.intp]
    weight: Numbers

    @classmethod
    def joined(cls, samples: Sequence[Self]) -> Self:
        """Several together."""
        return cls(
            np.concatenate([sample.logs for sample in samples]),
            np.concatenate([sample.truth for sample in samples]),
            np.concatenate([sample.weight for sample in samples]),
        )


def tempered(probabilities: Forecasts, temperature: float, *, exclusive: bool = True) -> Forecasts:
    """Probabilities (class, ...) at a temperature, of the same type.

    exclusive  they add up to one over the classes; otherwise each class is by itself
    """
    if not 0 < temperature < np.inf:
        raise DataError(f"a temperature is a number above 0, got {temperature:g}")
    if temperature == 1:
        return probabilities
    logs = _logs(probabilities)
    if not exclusive:
        apart = (_logs(1 - probabilities) - logs) / temperature
        return np.asarray(1 / (1 + np.exp(apart)), probabilities.dtype)
    raised = np.exp((logs - logs.max(axis=0)) / temperature)
    return np.asarray(raised / raised.sum(axis=0), probabilities.dtype)


def sampled(
    probabilities: Forecasts,
    truth: npt.NDArray[np.integer[Any]],
    rng: np.random.Generator,
    *,
    kept: int = KEPT,
) -> Sample:
    """Voxels that stand for all of a case.

    probabilities  (class, n)
    truth          (n,) the class that each voxel is; negative where nobody knows
    kept           at most so many that are sure and right, and so many others
    """
    chosen = np.take_along_axis(probabilities, np.maximum(truth, 0)[None].astype(np.intp), axis=0)[0]
    easy = chosen > SURE
    parts = [np.flatnonzero(easy & (truth >= 0)), np.flatnonzero(~easy & (truth >= 0))]
    taken = [rng.choice(part, kept, replace=False) if len(part) > kept else part for part in parts]
    weights = [np.full(len(t), len(p) / max(1, len(t))) for p, t in zip(parts, taken, strict=True)]
    where = np.concatenate(taken)
    logs = _logs(probabilities[:, where]).T
    return Sample(
        logs - logs.max(axis=1, keepdims=True), truth[where].astype(np.intp), np.concatenate(weights)
    )


def fitted(samples: Sequence[Sample], groups: Sequence[str]) -> Temperature:
    """The temperature of the samples of cases, each of a patient.

    Raises:
        DataError: there is no annotated voxel.
    """
    names = list(dict.fromkeys(groups))
    patients = [
        Sample.joined([s for s, g in zip(samples, groups, strict=True) if g == name]) for name in names
    ]
    total = sum(float(sample.weight.sum()) for sample in patients)
    if not total:
        raise DataError("a temperature is fitted to annotated voxels, and there are none")
    inverse, note = _root(patients)
    low, high = _interval(patients, inverse) if not note else (None, None)
    return Temperature(
        value=1 / inverse,
        low=low,
        high=high,
        before=sum(_cost(sample, 1.0) for sample in patients) / total,
        after=sum(_cost(sample, inverse) for sample in patients) / total,
        cases=len(samples),
        note=note,
    )


def _root(patients: Sequence[Sample]) -> tuple[float, str]:
    """The inverse temperature at which the cost is least, by Newton's steps within a shrinking bracket."""
    low, high = 1 / BOUNDS[1], 1 / BOUNDS[0]
    if sum(_slope(sample, low)[0] for sample in patients) >= 0:
        return low, f"no temperature up to {BOUNDS[1]:g} is high enough: the forecasts say nothing"
    if sum(_slope(sample, high)[0] for sample in patients) <= 0:
        return high, f"no temperature down to {BOUNDS[0]:g} is low enough: hardly anything is wrong"
    here = 1.0
    for _ in range(ROUNDS):
        slopes = np.sum([_slope(sample, here) for sample in patients], axis=0)
        low, high = (here, high) if slopes[0] < 0 else (low, here)
        step = here - slopes[0] / slopes[1] if slopes[1] > 0 else low
        following = step if low < step < high else (low + high) / 2
        moved, here = abs(following - here), following
        if moved < SAME * here:
            break
    return float(here), ""


def _interval(patients: Sequence[Sample], inverse: float) -> tuple[float | None, float | None]:
    """Of the temperature; from how far single patients would pull it."""
    n = len(patients)
    if n < 2:
        return None, None
    slopes = np.array([_slope(sample, inverse) for sample in patients])
    error = np.sqrt(n / (n - 1) * np.sum(slopes[:, 0] ** 2)) / slopes[:, 1].sum()
    half = stdtrit(n - 1, (1 + LEVEL) / 2) * error
    return float(1 / (inverse + half)), float(1 / max(inverse - half, 1 / BOUNDS[1]))


def _cost(sample: Sample, inverse: float) -> float:
    """The negative log-likelihood in sum."""
    z = sample.logs * inverse
    happened = z[np.arange(len(z)), sample.truth]
    return float(sample.weight @ (np.log(np.exp(z).sum(axis=1)) - happened))


def _slope(sample: Sample, inverse: float) -> tuple[float, float]:
    """The first and second derivative of the cost."""
    z = sample.logs
    share = np.exp(inverse * z)
    share /= share.sum(axis=1, keepdims=True)
    mean, square = (np.einsum("nc,nc->n", share, power) for power in (z, z * z))
    happened = z[np.arange(len(z)), sample.truth]
    return float(sample.weight @ (mean - happened)), float(sample.weight @ (square - mean * mean))


def _logs(probabilities: Forecasts) -> Numbers:
    return np.log(np.maximum(probabilities, LEAST, dtype=np.float64))
