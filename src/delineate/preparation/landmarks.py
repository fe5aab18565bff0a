"""Landmarks: where the percentiles of a dataset's scans lie, for histogram matching.

Each scan is prepared as for training and scaled by its own mean and standard deviation; its percentiles are
then numbers that can be averaged over scans. The average is a histogram that no single scan has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from delineate.dataset import Dataset
from delineate.planning.generalize import measurable, unmatched
from delineate.planning.plan import LANDMARKS, Plan
from delineate.preparation.prepared import present, upright
from delineate.progress import Progress, silent


def learn_landmarks(
    dataset: Dataset, plan: Plan, *, ids: Sequence[str] | None = None, progress: Progress = silent
) -> dict[str, tuple[float, ...]]:
    """Channel -> its landmarks in standard deviations, to six digits, of those that can be matched.

    ids  of the cases to learn from; None: all labelled ones, as the fingerprint does
    """
    plain = unmatched(plan)
    found: dict[str, list[np.ndarray]] = {name: [] for name in measurable(plan)}
    chosen = dataset.ids if ids is None else ids
    for number, case in enumerate(chosen):
        progress(number, len(chosen), case)
        scan = dataset.scan(dataset.case(case))
        there = upright(scan, plain)
        for n in present(scan, plain):
            name = plan.channels[n].name
            if name not in found:
                continue
            values = (
                there.array[n][there.mask] if n in there.masked and there.mask is not None else there.array[n]
            )
            if values.size and np.ptp(values) > 0:
                found[name].append(np.percentile(values, LANDMARKS))
    progress(len(chosen), len(chosen), "")
    return {
        name: tuple(round(float(place), 6) for place in np.mean(lines, axis=0))
        for name, lines in found.items()
        if lines
    }
