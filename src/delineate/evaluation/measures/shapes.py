"""Shapes: measures of centre lines, of the band along the boundary, and of diameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.shapes.band import boundary_counts
from delineate.evaluation.shapes.centerline import CenterlineOverlap
from delineate.evaluation.shapes.diameter import Diameter

if TYPE_CHECKING:
    from delineate.evaluation.measures.rules import Rules
    from delineate.evaluation.overlap import Mask


def _cldice(pair: Pair, rules: Rules) -> Value:
    value = CenterlineOverlap.of(pair.reference, pair.prediction, pair.known).cldice(rules.empty)
    return value, pair.emptiness if value is None else None


def _boundary_iou(pair: Pair, rules: Rules) -> Value:
    counts = boundary_counts(pair.reference, pair.prediction, pair.grid, pair.known, rules.boundary_mm)
    if pair.emptiness is None and not counts.reference + counts.prediction:
        return None, "no surface in the annotated part"
    value = counts.iou(rules.empty)
    return value, (pair.emptiness or "no surface in the annotated part") if value is None else None


SHAPES = (
    Measure(
        "cldice",
        "clDice",
        "harmonic mean of the shares of each mask's centre line that lie in the other mask",
        "1",
        "high",
        _cldice,
    ),
    Measure(
        "boundary_iou",
        "Boundary IoU",
        "IoU of the parts of both masks along their boundaries",
        "1",
        "high",
        _boundary_iou,
        by_rules=lambda rules: f", {rules.boundary_mm:g} mm deep",
    ),
)


def _long_mm(pair: Pair, mask: Mask) -> float:
    """The longest diameter in a slice; 0 where there is nothing."""
    found = Diameter.of(mask & pair.known, pair.grid)
    return 0.0 if found is None else found.long_mm


def _diameter_error(pair: Pair, _: Rules) -> Value:
    if pair.emptiness == "both empty":
        return None, pair.emptiness
    return _long_mm(pair, pair.prediction) - _long_mm(pair, pair.reference), None


DIAMETERS = (
    Measure(
        "diameter_reference",
        "Reference diameter",
        "longest line across a piece of the reference in a slice (RECIST 1.1)",
        "mm",
        "zero",
        lambda pair, _: (_long_mm(pair, pair.reference), None),
    ),
    Measure(
        "diameter_prediction",
        "Predicted diameter",
        "longest line across a piece of the prediction in a slice (RECIST 1.1)",
        "mm",
        "zero",
        lambda pair, _: (_long_mm(pair, pair.prediction), None),
    ),
    Measure(
        "diameter_error",
        "Diameter error",
        "longest diameter of the prediction less that of the reference",
        "mm",
        "zero",
        _diameter_error,
    ),
)
