"""Pictures of objects: what was found as a tint, what is there as an outline, each object in a colour."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from delineate.evaluation.figures import best_view, picked, png, slice_figure
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.evaluation.objects.instance_report import InstanceReport
from delineate.page import Gallery, Picture, Section, picture_uri
from delineate.progress import Progress, silent
from delineate.space import LabelMap, LabelSchema, Volume

LookAtObjects = Callable[
    [str], tuple[Volume, InstanceMap, InstanceMap]
]  # case -> scan, reference, prediction

COLOURS = 8  # of a palette that colour-blind readers can tell apart
WORST, MEDIAN, BEST = 4, 2, 2  # cases that are shown
EDGE = 420  # pixels of a picture's longer side


def coloured(objects: InstanceMap) -> LabelMap:
    """The objects as labels 1 to 8, so that neighbours mostly differ."""
    there = objects.array if objects.known is None else np.where(objects.known, objects.array, 0)
    _, ids = np.unique(there, return_inverse=True)
    ids = ids.reshape(there.shape) + (0 if (there == 0).any() else 1)
    array = np.where(ids > 0, (ids - 1) % COLOURS + 1, 0).astype(np.uint8)
    schema = LabelSchema.of(*(f"objects {n}" for n in range(1, COLOURS + 1)))
    return LabelMap(array, objects.geometry, schema)


def object_pictures(report: InstanceReport, look: LookAtObjects, progress: Progress = silent) -> Section:
    """The worst cases by PQ, because they teach most, with some in the middle and the best."""
    scores = {case: value for case, value in report.values("pq").items() if value is not None}
    picks = picked(sorted(scores, key=lambda case: (scores[case], case)), WORST, MEDIAN, BEST)
    pictures = []
    for number, (place, case) in enumerate(picks):
        progress(number, len(picks), case)
        scan, reference, prediction = look(case)
        there, found = coloured(reference), coloured(prediction)
        view = best_view(scan, there, found)
        drawn = slice_figure(scan, view, reference=there, prediction=found, edge=EDGE)
        pictures.append(Picture(picture_uri(png(drawn)), case, f"PQ {scores[case]:.3f}", place))
    progress(len(picks), len(picks), "")
    remarks = ("tinted: what was found", "outlined: the reference", "colours only tell neighbours apart")
    return Section("Cases", (Gallery(tuple(pictures), (), remarks),))
