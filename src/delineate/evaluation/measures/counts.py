"""Counts: measures that follow from how many voxels are in both masks, in one, in none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from delineate.evaluation.measures.pair import Measure, Pair, Value

if TYPE_CHECKING:
    from collections.abc import Callable

    from delineate.evaluation.measures.rules import Rules
    from delineate.evaluation.overlap import EmptyPolicy


def _overlap(
    name: str, title: str, definition: str, value: Callable[[Pair, EmptyPolicy], float | None]
) -> Measure:
    def of(pair: Pair, rules: Rules) -> Value:
        return _noted(value(pair, rules.empty), pair)

    return Measure(name, title, definition, "1", "high", of)


def _volume(
    name: str,
    title: str,
    definition: str,
    value: Callable[[Pair], float | None],
    *,
    unit: str = "ml",
    best: Literal["low", "zero"] = "zero",
) -> Measure:
    def of(pair: Pair, _: Rules) -> Value:
        return _noted(value(pair), pair)

    return Measure(name, title, definition, unit, best, of)


def _noted(value: float | None, pair: Pair) -> Value:
    return value, (pair.emptiness or "no background") if value is None else None


OVERLAPS = (
    _overlap("dice", "Dice", "2 TP / (2 TP + FP + FN) in voxels", lambda p, e: p.counts.dice(e)),
    _overlap("iou", "IoU", "TP / (TP + FP + FN) in voxels", lambda p, e: p.counts.iou(e)),
    _overlap("precision", "Precision", "TP / (TP + FP) in voxels", lambda p, e: p.counts.precision(e)),
    _overlap("recall", "Recall", "TP / (TP + FN) in voxels", lambda p, e: p.counts.recall(e)),
    _overlap(
        "specificity",
        "Specificity",
        "TN / (TN + FP) in voxels; near 1 by construction, misleading beside Dice",
        lambda p, _: p.counts.specificity(),
    ),
    _overlap(
        "accuracy",
        "Accuracy",
        "(TP + TN) / all in voxels; near 1 by construction, misleading beside Dice",
        lambda p, _: p.counts.accuracy(),
    ),
)

VOLUMES = (
    _volume("volume_reference", "Reference", "volume of the reference", lambda p: p.volumes.reference_ml),
    _volume("volume_prediction", "Prediction", "volume of the prediction", lambda p: p.volumes.prediction_ml),
    _volume("volume_error", "Volume error", "prediction less reference", lambda p: p.volumes.error_ml),
    _volume(
        "volume_error_absolute",
        "|Volume error|",
        "|prediction less reference|",
        lambda p: abs(p.volumes.error_ml),
        best="low",
    ),
    _volume(
        "volume_error_relative",
        "Relative volume error",
        "(prediction less reference) / reference",
        lambda p: p.volumes.relative_error,
        unit="1",
    ),
)
