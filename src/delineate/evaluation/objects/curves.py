"""Curves: what is found, and what is invented, as the score from which a candidate counts is lowered.

All functions take leading axes: (draw, ...) weights of a bootstrap give one curve a draw. Candidates of one
score come in together, so that the order in which they are listed does not matter.

Sources: Everingham 2010, doi:10.1007/s11263-009-0275-4 (precision made monotone); Lin 2014,
arXiv:1405.0312 (101 points); Niemeijer 2011, doi:10.1109/TMI.2010.2072789 (mean sensitivity).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.intp]

CELLS = 1 << 19  # numbers that are worked on at once: they stay in the processor's cache

AreaBy = Literal["steps", "101 points"]
"""How the area under precision over recall is measured, precision being made monotone first.

steps       exactly: every step of recall times its precision (VOC since 2010)
101 points  the mean of the precision at recall 0, 0.01 ... 1 (COCO)
"""


@dataclass(frozen=True, eq=False)
class Ladder:
    """Scores from the highest down, equal ones on one rung.

    order  (event,) places of the events, the highest score first
    ends   (rung,) the last event of each rung, in that order
    """

    order: Indices
    ends: Indices
    scores: Numbers  # (rung,)

    @classmethod
    def of(cls, scores: Numbers) -> Ladder:
        """The ladder of the events with these scores."""
        order = np.argsort(-scores, kind="stable")
        descending = scores[order]
        ends = np.flatnonzero(np.append(np.diff(descending) != 0, len(scores) > 0))
        return cls(order, ends, descending[ends])

    def reached(self, amounts: Numbers) -> Numbers:
        """(..., event) -> (..., rung): the sum of the amounts down to each rung."""
        return np.asarray(np.cumsum(amounts[..., self.order], axis=-1)[..., self.ends])


def average_precision(
    ladder: Ladder, right: Numbers, wrong: Numbers, total: Numbers, by: AreaBy = "steps"
) -> Numbers:
    """The area under precision over recall (...,); NaN where there is nothing to find.

    right, wrong  (..., event) how much of each candidate is right, and wrong
    total         (...,) how much there is to find
    """
    found, called = ladder.reached(right), ladder.reached(right + wrong)
    recall = _shares(found, np.asarray(total)[..., None])
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    envelope = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    if by == "steps":
        steps = np.diff(recall, axis=-1, prepend=0)
        area = (steps * envelope).sum(axis=-1)
    else:
        area = _mean_at_points(recall, envelope)
    return np.asarray(np.where(np.asarray(total) > 0, area, np.nan))


def ranked_precision(
    ladder: Ladder,
    case: Indices,
    right: Numbers,
    wrong: Numbers,
    totals: Numbers,
    weights: Numbers,
    by: AreaBy,
) -> Numbers:
    """Average precision of the candidates of all cases (row,), for each row of weights (row, case).

    case, right, wrong  (candidate,)
    totals              (case,) how much there is to find
    """
    at_once = max(1, CELLS // max(1, len(case)))
    areas = []
    for start in range(0, len(weights), at_once):
        some = weights[start : start + at_once]
        of_each = some[:, case]
        areas.append(average_precision(ladder, right * of_each, wrong * of_each, some @ totals, by))
    return np.concatenate(areas)


def sensitivities(rates: Numbers, false_positives: Numbers, found: Numbers) -> Numbers:
    """The sensitivity at each rate of false positives per scan, between the rungs interpolated linearly.

    false_positives, found  (rung,) per scan and as a share; below the first rung nothing is found, beyond
                            the last no more is
    """
    return np.asarray(np.interp(rates, np.append(0.0, false_positives), np.append(0.0, found)))


def _mean_at_points(recall: Numbers, envelope: Numbers) -> Numbers:
    """The mean precision at the recalls that are asked for; beyond the last one it is 0."""
    points = np.linspace(0, 1, 101)
    precision = np.concatenate([envelope, np.zeros((*envelope.shape[:-1], 1))], axis=-1)
    means = np.empty(recall.shape[:-1])
    for row in np.ndindex(means.shape):
        means[row] = precision[row][np.searchsorted(recall[row], points)].mean()
    return means


def _shares(parts: Numbers, whole: Numbers) -> Numbers:
    return np.asarray(np.divide(parts, whole, out=np.zeros_like(parts), where=whole > 0))
