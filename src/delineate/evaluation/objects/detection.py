"""Detection: how many lesions are found at how many false alarms, as the score that counts is lowered.

A candidate is an object of the prediction with a score. FROC asks how many lesions are found when so many
false alarms per scan are accepted; its summary is the mean sensitivity at 1/8 to 8 of them (CPM). Average
precision asks the same of the order of all candidates, whatever the number of scans.

FROC  a lesion is found at the highest score that hits it; further candidates that hit it are no false alarms
AP    each candidate is for one lesion, the best of those that are free; further ones are wrong

Sources: van Ginneken 2010, doi:10.1016/j.media.2010.05.005, and Setio 2017, doi:10.1016/j.media.2017.06.015
(FROC, CPM, and what is done with second hits); Lin 2014, arXiv:1405.0312 (AP).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator
from scipy import ndimage

from delineate.errors import DataError, GeometryError
from delineate.evaluation.objects.curves import AreaBy
from delineate.evaluation.objects.instance_map import Connectivity, InstanceMap, components
from delineate.evaluation.objects.instances import compare_instances
from delineate.evaluation.objects.matching import Ids, Indices, Numbers, Overlaps, claimed
from delineate.evaluation.overlap import Mask
from delineate.evaluation.statistics import METHOD, IntervalMethod
from delineate.record import Record
from delineate.space import Volume

Score = Literal["max", "mean"]  # of the probabilities in a candidate
RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives per scan; LUNA16


class DetectionRules(Record):
    """When a candidate hits a lesion, and where the curve is read.

    hit    the IoU that has to be exceeded (0: they share a voxel), or "center": the voxel nearest to the
           candidate's centre of mass lies in the lesion
    rates  false positives per scan at which the sensitivity is given
    area   how the area under precision over recall is measured
    interval  how intervals are found, see `statistics`
    """

    hit: Annotated[float, Field(ge=0, lt=1)] | Literal["center"] = 0.1  # Baumgartner 2021, arXiv:2106.00817
    rates: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = RATES
    area: AreaBy = "steps"
    interval: IntervalMethod = METHOD

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if list(self.rates) != sorted(set(self.rates)):
            raise ValueError(f"rates ascend, got {list(self.rates)}")
        return self

    @property
    def words(self) -> str:
        """When a candidate hits, in words."""
        return "centre in the lesion" if self.hit == "center" else f"IoU > {self.hit:g}"


def find_candidates(
    probability: Volume,
    *,
    channel: str | None = None,
    threshold: float = 0.1,
    score: Score = "max",
    connectivity: Connectivity = 26,
) -> InstanceMap:
    """The connected pieces of a probability map above a threshold, each with a score.

    channel  of the structure; None where the map has only one
    """
    values = _channel(probability, channel)
    pieces, _ = components(values > threshold, connectivity)
    return scored(InstanceMap(pieces, probability.geometry), probability, channel=channel, score=score)


def scored(
    objects: InstanceMap, probability: Volume, *, channel: str | None = None, score: Score = "max"
) -> InstanceMap:
    """The objects of a prediction with scores from the probabilities within them."""
    if not objects.geometry.same_place(probability.geometry):
        raise GeometryError(
            "objects and probabilities are on different grids: "
            f"{objects.geometry!r} and {probability.geometry!r}"
        )
    values = _channel(probability, channel)
    of_all = ndimage.maximum if score == "max" else ndimage.mean
    ids = objects.ids
    scores = of_all(values, objects.array, ids) if len(ids) else []
    named = dict(zip(ids.tolist(), (float(value) for value in scores), strict=True))
    return replace(objects, scores=named)


def _channel(probability: Volume, channel: str | None) -> npt.NDArray[np.floating[Any]]:
    names = probability.channels
    if channel is None and len(names) == 1:
        return np.asarray(probability.array[0])
    if channel not in names:
        raise DataError(f"expected one of the channels {', '.join(names)}, got {channel!r}")
    return np.asarray(probability.array[names.index(channel)])


# --- one case


@dataclass(frozen=True, eq=False)
class CaseDetections:
    """The candidates of one scan against its lesions.

    lesion_ids, lesion_ml   of each lesion
    scores                  of each candidate
    rows, columns           (hit,) which lesion each hit is of, and of which candidate
    right                   (candidate,) whether it has a lesion of its own (AP)
    unjudged                (candidate,) whether most of it lies where nobody looked
    """

    case: str
    lesion_ids: Ids
    lesion_ml: Numbers
    scores: Numbers
    rows: Indices
    columns: Indices
    right: Mask
    unjudged: Mask

    @property
    def best(self) -> Numbers:
        """(lesion,) the highest score that hits it; -inf where none does."""
        found = np.full(len(self.lesion_ids), -np.inf)
        np.maximum.at(found, self.rows, self.scores[self.columns])
        return found

    @property
    def false_alarms(self) -> Mask:
        """(candidate,) whether it hits nothing although somebody looked there (FROC)."""
        alone = ~self.unjudged
        alone[self.columns] = False
        return alone


def detect(
    lesions: InstanceMap, candidates: InstanceMap, case: str, *, rules: DetectionRules | None = None
) -> CaseDetections:
    """Which candidates of a scan hit which of its lesions."""
    rules = rules or DetectionRules()
    found = compare_instances(replace(lesions, kinds={}), replace(candidates, kinds={}), case)
    if found.scores is None and len(found.overlaps.prediction_ids):
        raise DataError(f"{case}: candidates have no scores; give them with InstanceMap(..., scores=...)")
    table = found.overlaps
    scores = np.zeros(0) if found.scores is None else found.scores
    if rules.hit == "center":
        rows, columns = _centered(lesions, candidates, table)
        worth = np.ones(len(rows))
    else:
        pairs = np.flatnonzero(table.iou > rules.hit)
        rows, columns, worth = table.rows[pairs], table.columns[pairs], table.iou[pairs]
    return CaseDetections(
        case=case,
        lesion_ids=table.reference_ids,
        lesion_ml=np.asarray(table.reference_sizes * lesions.geometry.voxel_ml, float),
        scores=scores,
        rows=rows,
        columns=columns,
        right=claimed(rows, columns, worth, scores),
        unjudged=table.unjudged,
    )


def _centered(lesions: InstanceMap, candidates: InstanceMap, table: Overlaps) -> tuple[Indices, Indices]:
    """The lesion that holds the centre of each candidate, where one does."""
    if not len(table.prediction_ids):
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    centers = ndimage.center_of_mass(candidates.array > 0, candidates.array, table.prediction_ids)
    places = np.round(np.array(centers)).astype(int)
    there = lesions.array[tuple(places.T)]
    hit = np.flatnonzero(np.isin(there, table.reference_ids))
    return np.searchsorted(table.reference_ids, there[hit]), hit
