"""Adapting: whether a model may take statistics from the scans that it sees, measured before it does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from delineate.dataset import Dataset
from delineate.evaluation import Bootstrap, Rules, evaluate
from delineate.evaluation.statistics import LEVEL, METHOD, Estimate
from delineate.pipeline.watch import Watch
from delineate.space import LabelMap, Volume

if TYPE_CHECKING:
    from delineate.evaluation import Report
    from delineate.networks.adaptation import Adaptation

SEED = 20211
DICE = Rules(metrics=("dice",))


def measure_adaptation(
    model: Path,
    dataset: Path,
    watch: Watch,
    *,
    share: float | None = None,
    device: str = "cpu",
    layout: str | None = None,
) -> Adaptation:
    """What adapting costs on cases of the model's own kind, written into the model: the guard.

    dataset  labelled cases that the model did not learn from, of the scanners that it did learn from
    share    of the statistics that is the scan's

    Raises:
        ModelError: the model has no statistics that could be adapted.
    """
    from delineate.inference import Segmenter
    from delineate.inference.adapt import norms_of, with_statistics
    from delineate.networks.adaptation import SHARE, Adaptation
    from delineate.networks.model import write_adaptation

    with watch.stage("open the model"):
        segmenter = Segmenter.open(model, device=device)
    norms_of(segmenter)
    share = SHARE if share is None else share
    opened = Dataset.open(dataset, layout=layout)
    names = tuple(channel.name for channel in segmenter.plan.channels)
    kept: dict[str, LabelMap] = {}

    def plain(case: str) -> tuple[LabelMap, LabelMap]:
        scan, reference = opened.pair(opened.case(case))
        named = names if len(names) == len(scan.channels) else scan.channels
        ready = segmenter.ready(Volume(scan.array, scan.geometry, named, scan.source))
        kept[case] = with_statistics(segmenter, ready, share).labels
        return reference, segmenter.labelled(ready).labels

    def mixed(case: str) -> tuple[LabelMap, LabelMap]:
        return opened.labels(opened.case(case)), kept.pop(case)

    groups = {case.id: case.group for case in opened.cases}
    with watch.stage("adapt") as progress:
        clean = evaluate(opened.ids, plain, rules=DICE, groups=groups, progress=progress)
    adapted = evaluate(opened.ids, mixed, rules=DICE, groups=groups)
    loss = _loss(clean, adapted)
    ends = loss.interval(METHOD, LEVEL)
    found = Adaptation(
        share=share,
        cases=len(opened.cases),
        patients=loss.patients,
        clean=clean.mean() or 0.0,
        adapted=adapted.mean() or 0.0,
        loss=loss.value,
        low=ends[0] if ends else None,
        high=ends[1] if ends else None,
    )
    write_adaptation(model, found)
    return found


def _loss(clean: Report, adapted: Report) -> Estimate:
    """What each case loses, averaged over structures."""
    bootstrap = Bootstrap.drawn([clean.groups[case] for case in clean.cases], np.random.default_rng(SEED))
    parts = []
    for structure in clean.structures:
        columns = [report.values(structure, "dice") for report in (clean, adapted)]
        before, after = (
            np.array([np.nan if c[case] is None else c[case] for case in clean.cases], float) for c in columns
        )
        part = bootstrap.mean(before - after)
        parts += [part] if part is not None else []
    return Estimate.average(parts)
