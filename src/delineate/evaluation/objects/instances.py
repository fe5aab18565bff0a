"""Instances: how well single objects are found and outlined, such as nuclei or vertebrae.

Dice cannot see that two nuclei were taken for one; these measures count objects. Almost all are ratios of
sums, so they are given twice: as the mean over cases, and for the objects of all cases in one pool, where a
case with many objects weighs more. Who is whose partner is decided in `matching`.

Sources: Kirillov 2019, arXiv:1801.00868 (PQ, SQ, DQ); Kumar 2017, doi:10.1109/TMI.2017.2677499 (AJI);
Graham 2019, doi:10.1016/j.media.2019.101563 (AJI+); Caicedo 2019, doi:10.1038/s41592-019-0612-7 (F1, and
TP / (TP + FP + FN), which nuclei call average precision); Lin 2014, arXiv:1405.0312 (AP of scores).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from delineate.errors import DataError, GeometryError
from delineate.evaluation.objects.curves import AreaBy
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.evaluation.objects.matching import UNIQUE, Assignment, Ids, Indices, Numbers, Overlaps
from delineate.evaluation.overlap import EmptyPolicy
from delineate.evaluation.statistics import METHOD, IntervalMethod
from delineate.record import Record
from delineate.space import Geometry

Load = Callable[[str], tuple[InstanceMap, InstanceMap]]  # case -> reference, prediction

SEED = 20211  # of the bootstrap where no generator is given: the same report twice
SAME_MM = 0.01  # NIfTI keeps affines in single precision
ALL = "all objects"  # whatever their kind
FROM_HALF = tuple(round(0.5 + 0.05 * n, 2) for n in range(10))  # COCO and the Data Science Bowl 2018

Threshold = Annotated[float, Field(ge=0, lt=1)]


class InstanceRules(Record):
    """When an object counts as found, and what is said where there is none.

    iou         that partners have to exceed for PQ, DQ, SQ, precision and recall. From one half on partners
                are unique; below, they are assigned
    assignment  how, see `Assignment`
    thresholds  IoU at which F1 and AP are given; their mean is that of AP
    area        how the area under precision over recall is measured, where predictions have scores
    empty       ratios where a map is empty, see `EmptyPolicy`
    interval    how intervals are found, see `statistics`
    """

    iou: Threshold = 0.5
    assignment: Assignment = "overlapping"
    thresholds: Annotated[tuple[Threshold, ...], Field(min_length=1)] = FROM_HALF
    area: AreaBy = "101 points"
    empty: EmptyPolicy = "missing"
    interval: IntervalMethod = METHOD

    @model_validator(mode="after")
    def _different(self) -> Self:
        if len(set(self.thresholds)) != len(self.thresholds):
            raise ValueError(f"thresholds must differ, got {list(self.thresholds)}")
        return self

    @property
    def listed(self) -> str:
        """The thresholds in words."""
        return ", ".join(f"{threshold:g}" for threshold in self.thresholds)


# --- one case


@dataclass(frozen=True, eq=False)
class CaseInstances:
    """What the objects of one case share, and their kinds.

    kinds_reference, kinds_prediction  in the order of the objects in `overlaps`; empty: there is one kind
    scores                             of the objects of the prediction; None: it does not say
    """

    case: str
    overlaps: Overlaps
    kinds_reference: tuple[str, ...]
    kinds_prediction: tuple[str, ...]
    scores: Numbers | None

    def of_kind(self, kind: str) -> CaseInstances:
        """The part of it that is of a kind in both maps; `ALL` is everything."""
        if kind == ALL:
            return self
        if not any(self._kinds) and len(self.overlaps.reference_ids) + len(self.overlaps.prediction_ids):
            raise DataError(
                f"{self.case}: its objects have no kinds, those of other cases have; give all or none"
            )
        here, there = (np.array([k == kind for k in kinds], bool) for kinds in self._kinds)
        scores = None if self.scores is None else self.scores[there]
        return CaseInstances(self.case, self.overlaps.among(here, there), (), (), scores)

    @property
    def _kinds(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.kinds_reference, self.kinds_prediction


def compare_instances(reference: InstanceMap, prediction: InstanceMap, case: str) -> CaseInstances:
    """The objects of two maps on one grid, held against each other."""
    if not reference.geometry.same_place(prediction.geometry, tolerance_mm=SAME_MM):
        raise GeometryError(
            f"{case}: reference and prediction are on different grids.\n"
            f"  reference   {_where(reference.geometry)}\n"
            f"  prediction  {_where(prediction.geometry)}\n"
            "  Objects are not resampled: predict on the reference's grid."
        )
    if bool(reference.kinds) != bool(prediction.kinds) and len(reference.ids) and len(prediction.ids):
        raise DataError(f"{case}: kinds of objects are given in one of the two maps only; give both or none")
    overlaps = Overlaps.of(_objects_of(reference), _objects_of(prediction), reference.known)
    scores = prediction.scores
    return CaseInstances(
        case,
        overlaps,
        tuple(reference.kinds[i] for i in overlaps.reference_ids.tolist()) if reference.kinds else (),
        tuple(prediction.kinds[i] for i in overlaps.prediction_ids.tolist()) if prediction.kinds else (),
        None if scores is None else np.array([scores[i] for i in overlaps.prediction_ids.tolist()], float),
    )


def _where(grid: Geometry) -> str:
    first = ", ".join(f"{x:.4g}" for x in grid.affine[:3, 3])
    return f"{grid!r}, {grid.orientation}, the first at ({first}) mm"


def _objects_of(objects: InstanceMap) -> Ids:
    """The ids alone: what is ignored is background."""
    known = objects.known
    return objects.array if known is None else np.where(known, objects.array, 0)


@dataclass(frozen=True, eq=False)
class Tally:
    """Sums that add up over cases, (...) each; with thresholds (..., threshold).

    reference, prediction   objects; of the prediction those that can be judged
    found, missed, invented at `InstanceRules.iou`, and the sum of IoU of those found
    found_at, missed_at, invented_at  at each of `InstanceRules.thresholds`
    joint, union            voxels that AJI compares; `_unique` those of AJI+
    merged, split           objects of the prediction that hold most of several of the reference; objects of
                            the reference that hold most of several of the prediction
    voxels_*                of all objects together
    """

    reference: Numbers
    prediction: Numbers
    found: Numbers
    missed: Numbers
    invented: Numbers
    iou: Numbers
    found_at: Numbers
    missed_at: Numbers
    invented_at: Numbers
    joint: Numbers
    union: Numbers
    joint_unique: Numbers
    union_unique: Numbers
    merged: Numbers
    split: Numbers
    voxels_reference: Numbers
    voxels_prediction: Numbers
    voxels_shared: Numbers

    @classmethod
    def of(cls, overlaps: Overlaps, rules: InstanceRules) -> Tally:
        """The sums of one case."""
        here = overlaps.matched(rules.iou, rules.assignment)
        at = [overlaps.matched(threshold, rules.assignment) for threshold in rules.thresholds]
        joint, union = _aggregated(overlaps, overlaps.nearest)
        joint_unique, union_unique = _aggregated(overlaps, overlaps.assigned)
        parts = overlaps.reference_sizes[overlaps.rows], overlaps.prediction_sizes[overlaps.columns]
        sums = {
            "reference": len(overlaps.reference_ids),
            "prediction": len(here.iou) + here.invented,
            "found": len(here.iou),
            "missed": here.missed,
            "invented": here.invented,
            "iou": here.iou.sum(),
            "found_at": [len(matching.iou) for matching in at],
            "missed_at": [matching.missed for matching in at],
            "invented_at": [matching.invented for matching in at],
            "joint": joint,
            "union": union,
            "joint_unique": joint_unique,
            "union_unique": union_unique,
            "merged": _holding_several(overlaps.columns, overlaps.shared, parts[0]),
            "split": _holding_several(overlaps.rows, overlaps.shared, parts[1]),
            "voxels_reference": overlaps.reference_sizes.sum(),
            "voxels_prediction": overlaps.prediction_sizes.sum(),
            "voxels_shared": overlaps.shared.sum(),
        }  # fmt: skip
        return cls(**{name: np.asarray(value, dtype=float) for name, value in sums.items()})

    @classmethod
    def stacked(cls, tallies: Sequence[Tally]) -> Tally:
        """(case, ...) of many cases."""
        return cls(**{name: np.stack([getattr(t, name) for t in tallies]) for name in cls.names()})

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """What is summed."""
        return tuple(cls.__dataclass_fields__)

    def pooled(self, weights: Numbers) -> Tally:
        """The weighted sums over cases: weights (row, case) give (row, ...)."""
        return Tally(**{name: weights @ getattr(self, name) for name in self.names()})


def _aggregated(overlaps: Overlaps, pairs: Indices) -> tuple[int, int]:
    """Voxels in both and in either of the pairs; those without partner are in the union whole."""
    lonely_reference = np.ones(len(overlaps.reference_ids), bool)
    lonely_reference[overlaps.rows[pairs]] = False
    lonely_prediction = ~overlaps.unjudged
    lonely_prediction[overlaps.columns[pairs]] = False
    alone = (
        overlaps.reference_sizes[lonely_reference].sum() + overlaps.prediction_sizes[lonely_prediction].sum()
    )
    return int(overlaps.shared[pairs].sum()), int(overlaps.unions[pairs].sum() + alone)


def _holding_several(holders: Indices, shared: Indices, sizes: Indices) -> int:
    """How many holders have more than half of each of several others."""
    return int(np.count_nonzero(np.bincount(holders[2 * shared > sizes]) > 1))


# --- what follows from the sums


@dataclass(frozen=True)
class InstanceMeasure:
    """One way to judge how objects were found."""

    name: str
    title: str
    definition: str
    best: Literal["high", "low", "zero"]
    of: Callable[[Tally], Numbers]
    unit: str = "1"


def instance_measures(rules: InstanceRules) -> tuple[InstanceMeasure, ...]:
    """What is said about the objects of a case, and about those of all cases in one pool."""
    above = f"IoU > {rules.iou:g}" + ("" if rules.iou >= UNIQUE else f", {rules.assignment} assigned")
    high: tuple[tuple[str, str, str, Callable[[Tally], Numbers]], ...] = (
        ("pq", "PQ", f"sum of IoU / (TP + FP/2 + FN/2), {above}", lambda t: _share(t.iou, _objects(t))),
        ("dq", "DQ", f"TP / (TP + FP/2 + FN/2), {above}", lambda t: _share(t.found, _objects(t))),
        ("sq", "SQ", f"mean IoU of those found, {above}", lambda t: _share(t.iou, t.found)),
        ("instance_precision", "Precision of objects", f"TP / (TP + FP), {above}",
         lambda t: _share(t.found, t.found + t.invented)),
        ("instance_recall", "Recall of objects", f"TP / (TP + FN), {above}",
         lambda t: _share(t.found, t.found + t.missed)),
        ("aji", "AJI", "voxels in both / in either, each reference with its nearest prediction, and all "
         "predictions that are nobody's", lambda t: _share(t.joint, t.union)),
        ("aji_plus", "AJI+", "as AJI, each prediction with one reference at most",
         lambda t: _share(t.joint_unique, t.union_unique)),
        ("ap", "mean AP", f"mean of TP / (TP + FP + FN) at IoU > {rules.listed}",
         lambda t: np.asarray(_share(t.found_at, t.found_at + t.missed_at + t.invented_at).mean(axis=-1))),
        ("voxel_dice", "Dice", "of all objects together, in voxels",
         lambda t: _share(2 * t.voxels_shared, t.voxels_reference + t.voxels_prediction)),
    )  # fmt: skip
    counts: tuple[tuple[str, str, str, Callable[[Tally], Numbers]], ...] = (
        ("instances_reference", "Objects", "objects of the reference", lambda t: t.reference),
        ("instances_prediction", "Predicted", "objects of the prediction", lambda t: t.prediction),
        ("instances_missed", "Missed", f"objects of the reference without partner, {above}",
         lambda t: t.missed),
        ("instances_invented", "Invented", f"objects of the prediction without partner, {above}",
         lambda t: t.invented),
        ("instances_merged", "Merged", "predictions that hold most of several objects", lambda t: t.merged),
        ("instances_split", "Split", "objects that hold most of several predictions", lambda t: t.split),
    )  # fmt: skip
    return (
        *(InstanceMeasure(name, title, words, "high", of) for name, title, words, of in high),
        *(_f1_at(place, threshold) for place, threshold in enumerate(rules.thresholds)),
        *(_ap_at(place, threshold) for place, threshold in enumerate(rules.thresholds)),
        *(InstanceMeasure(name, title, words, "zero", of, "objects") for name, title, words, of in counts),
    )


def _f1_at(place: int, threshold: float) -> InstanceMeasure:
    def of(t: Tally) -> Numbers:
        found = t.found_at[..., place]
        return _share(2 * found, 2 * found + t.missed_at[..., place] + t.invented_at[..., place])

    words = f"2 TP / (2 TP + FP + FN) in objects, IoU > {threshold:g}"
    return InstanceMeasure(f"f1@{threshold:g}", f"F1@{threshold:g}", words, "high", of)


def _ap_at(place: int, threshold: float) -> InstanceMeasure:
    def of(t: Tally) -> Numbers:
        found = t.found_at[..., place]
        return _share(found, found + t.missed_at[..., place] + t.invented_at[..., place])

    words = f"TP / (TP + FP + FN) in objects, IoU > {threshold:g}"
    return InstanceMeasure(f"ap@{threshold:g}", f"AP@{threshold:g}", words, "high", of)


def _objects(t: Tally) -> Numbers:
    return t.found + (t.missed + t.invented) / 2


def _share(part: Numbers, whole: Numbers) -> Numbers:
    """NaN where there is no whole."""
    there = np.asarray(whole) > 0
    return np.asarray(np.divide(part, whole, out=np.full(np.shape(whole), np.nan), where=there))
