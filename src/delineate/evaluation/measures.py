"""Measures: what can be said about one structure of one case, and under which rules.

Every measure has a name, a definition in words and a unit; all three go wherever its values go.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from delineate.evaluation.overlap import Confusion, EmptyPolicy, Mask
from delineate.evaluation.surface import SurfaceDistances, area_distances, border_distances
from delineate.evaluation.volume import Volumes
from delineate.record import Record
from delineate.space import Geometry


@dataclass(frozen=True)
class Measure:
    """One way to judge a structure."""

    name: str
    title: str  # as a column is headed
    definition: str
    unit: str
    best: Literal["high", "low", "zero"]
    needs: Literal["counts", "border", "area"]


MEASURES: dict[str, Measure] = {
    measure.name: measure
    for measure in (
        Measure("dice", "Dice", "2 TP / (2 TP + FP + FN) in voxels", "1", "high", "counts"),
        Measure("iou", "IoU", "TP / (TP + FP + FN) in voxels", "1", "high", "counts"),
        Measure("precision", "Precision", "TP / (TP + FP) in voxels", "1", "high", "counts"),
        Measure("recall", "Recall", "TP / (TP + FN) in voxels", "1", "high", "counts"),
        Measure("specificity", "Specificity", "TN / (TN + FP) in voxels", "1", "high", "counts"),
        Measure("accuracy", "Accuracy", "(TP + TN) / all in voxels", "1", "high", "counts"),
        Measure("volume_reference", "Reference", "volume of the reference", "ml", "zero", "counts"),
        Measure("volume_prediction", "Prediction", "volume of the prediction", "ml", "zero", "counts"),
        Measure("volume_error", "Volume error", "prediction less reference", "ml", "zero", "counts"),
        Measure(
            "volume_error_absolute", "|Volume error|", "|prediction less reference|", "ml", "low", "counts"
        ),
        Measure(
            "volume_error_relative",
            "Relative volume error",
            "(prediction less reference) / reference",
            "1",
            "zero",
            "counts",
        ),
        Measure("hd", "HD", "largest distance between border voxels", "mm", "low", "border"),
        Measure(
            "hd95",
            "HD95",
            "larger of the two directed 95th percentiles between border voxels",
            "mm",
            "low",
            "border",
        ),
        Measure(
            "hd95_pooled",
            "HD95 pooled",
            "95th percentile of both directions between border voxels",
            "mm",
            "low",
            "border",
        ),
        Measure(
            "hd95_area",
            "HD95 by area",
            "larger of the two directed 95th percentiles of surface area",
            "mm",
            "low",
            "area",
        ),
        Measure("assd", "ASSD", "mean of both directions between border voxels", "mm", "low", "border"),
        Measure("masd", "MASD", "mean of the two directed means of border voxels", "mm", "low", "border"),
        Measure("nsd", "NSD", "share of border voxels within tolerance", "1", "high", "border"),
        Measure("nsd_area", "NSD by area", "share of surface area within tolerance", "1", "high", "area"),
    )
}

SURFACES: tuple[Literal["border", "area"], ...] = ("border", "area")
ALWAYS = ("volume_reference", "volume_prediction")  # they tell an empty mask from a missed one


class Rules(Record):
    """What is measured, and what a value is where there is nothing to measure.

    empty         overlap (and distance) where a mask is empty, see `EmptyPolicy`
    missed        distance where just one of the two masks is empty: no value, or the diagonal of the
                  grid as a penalty (BraTS uses 374 mm, about that of its grid). Left out, a model that
                  misses hard structures looks better: the report counts such cases.
    tolerance_mm  how far apart surfaces may be and still agree (NSD)
    regrid        resample a prediction that is on another grid than its reference, and note it, instead
                  of refusing it
    """

    metrics: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "dice",
        "iou",
        "precision",
        "recall",
        "hd95",
        "hd95_pooled",
        "assd",
        "nsd",
        "volume_error",
        "volume_error_relative",
    )
    empty: EmptyPolicy = "missing"
    missed: Literal["missing", "diagonal"] = "missing"
    tolerance_mm: Annotated[float, Field(gt=0)] = 1.0
    regrid: bool = False

    @model_validator(mode="after")
    def _known(self) -> Self:
        unknown = [name for name in self.metrics if name not in MEASURES]
        if unknown:
            raise ValueError(f"unknown metrics {unknown}; there are {', '.join(MEASURES)}")
        return self

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What is measured, the two volumes always included."""
        wanted = (*self.metrics, *(name for name in ALWAYS if name not in self.metrics))
        return tuple(MEASURES[name] for name in wanted)

    def definition(self, measure: Measure) -> str:
        """A measure's definition with the tolerance that these rules give it."""
        tolerance = f", {self.tolerance_mm:g} mm" if measure.name.startswith("nsd") else ""
        return measure.definition + tolerance


Counted = Callable[[Confusion, Volumes, EmptyPolicy], float | None]
Apart = Callable[[SurfaceDistances, float], float]  # the number is the tolerance in mm

COUNTED: dict[str, Counted] = {
    "dice": lambda counts, _, empty: counts.dice(empty),
    "iou": lambda counts, _, empty: counts.iou(empty),
    "precision": lambda counts, _, empty: counts.precision(empty),
    "recall": lambda counts, _, empty: counts.recall(empty),
    "specificity": lambda counts, _, __: counts.specificity(),
    "accuracy": lambda counts, _, __: counts.accuracy(),
    "volume_reference": lambda _, volumes, __: volumes.reference_ml,
    "volume_prediction": lambda _, volumes, __: volumes.prediction_ml,
    "volume_error": lambda _, volumes, __: volumes.error_ml,
    "volume_error_absolute": lambda _, volumes, __: abs(volumes.error_ml),
    "volume_error_relative": lambda _, volumes, __: volumes.relative_error,
}

APART: dict[str, Apart] = {
    "hd": lambda distances, _: distances.hausdorff(),
    "hd95": lambda distances, _: distances.percentile_directed(),
    "hd95_pooled": lambda distances, _: distances.percentile_pooled(),
    "hd95_area": lambda distances, _: distances.percentile_weighted(),
    "assd": lambda distances, _: distances.pooled_mean(),
    "masd": lambda distances, _: distances.mean_of_directed(),
    "nsd": lambda distances, tolerance_mm: distances.within(tolerance_mm),
    "nsd_area": lambda distances, tolerance_mm: distances.within(tolerance_mm),
}


@dataclass(frozen=True, eq=False)
class Pair:
    """One structure in the reference and in the prediction, cut to where it is.

    reference, prediction, known   (i, j, k) on `grid`, a part of the scan
    counts                         of the whole scan
    diagonal_mm                    of the whole scan: no distance in it is larger
    """

    reference: Mask
    prediction: Mask
    known: Mask
    grid: Geometry
    counts: Confusion
    diagonal_mm: float

    def distances(self, surface: Literal["border", "area"]) -> SurfaceDistances | None:
        """Between the two surfaces; None where one of them is missing."""
        reference, prediction = self.reference & self.known, self.prediction & self.known
        if surface == "area":
            return area_distances(reference, prediction, self.grid)
        return border_distances(reference, prediction, self.grid, self.known)

    @property
    def emptiness(self) -> str | None:
        """Which of the masks is empty, in words."""
        match bool(self.counts.reference), bool(self.counts.prediction):
            case False, False:
                return "both empty"
            case False, True:
                return "reference empty"
            case True, False:
                return "prediction empty"
        return None


Value = tuple[float | None, str | None]  # a missing value is None, and the note says why


def measured(pair: Pair, rules: Rules) -> dict[str, Value]:
    """The value of every measure of the rules, with a note where it is missing or stands for one."""
    volumes = Volumes.of(pair.counts, pair.grid)
    distances = {
        surface: pair.distances(surface)
        for surface in SURFACES
        if any(measure.needs == surface for measure in rules.measures)
    }
    result: dict[str, Value] = {}
    for measure in rules.measures:
        if measure.needs == "counts":
            value = COUNTED[measure.name](pair.counts, volumes, rules.empty)
            why = (pair.emptiness or "no background") if value is None else None
            result[measure.name] = value, why
            continue
        apart = distances[measure.needs]
        if apart is None:
            result[measure.name] = _without_surface(measure, pair, rules)
        else:
            result[measure.name] = APART[measure.name](apart, rules.tolerance_mm), None
    return result


def _without_surface(measure: Measure, pair: Pair, rules: Rules) -> Value:
    """Both empty follows the policy; where one is empty no surface was met: share 0, distance by rule."""
    why = pair.emptiness
    is_share = measure.best == "high"
    if why == "both empty" and rules.empty == "one":
        return (1.0 if is_share else 0.0), why
    hidden = rules.empty == "reference" and not pair.counts.reference
    if why in (None, "both empty") or hidden:
        return None, why or "no surface in the annotated part"
    if is_share:
        return 0.0, why
    return (None, why) if rules.missed == "missing" else (pair.diagonal_mm, f"{why}: diagonal of the grid")
