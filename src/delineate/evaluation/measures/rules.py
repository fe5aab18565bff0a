"""Rules: which measures there are, which of them are wanted, and what is said where there is nothing."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from delineate.evaluation.measures.counts import OVERLAPS, VOLUMES
from delineate.evaluation.measures.lesions import LESIONS
from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.measures.shapes import DIAMETERS, SHAPES
from delineate.evaluation.measures.surfaces import SURFACES
from delineate.evaluation.objects.lesions import LesionRules
from delineate.evaluation.overlap import EmptyPolicy
from delineate.evaluation.shapes.band import WIDTH_MM
from delineate.evaluation.statistics import METHOD, IntervalMethod
from delineate.record import Record

MEASURES: dict[str, Measure] = {
    measure.name: measure for measure in (*OVERLAPS, *SHAPES, *VOLUMES, *DIAMETERS, *SURFACES, *LESIONS)
}

ALWAYS = ("volume_reference", "volume_prediction")  # they tell an empty mask from a missed one


class Rules(Record):
    """What is measured, and what a value is where there is nothing to measure.

    empty         overlap (and distance) where a mask is empty, see `EmptyPolicy`
    missed        distance where just one of the two masks is empty: no value, or the diagonal of the
                  grid as a penalty (BraTS uses 374 mm, about that of its grid). Left out, a model that
                  misses hard structures looks better: the report counts such cases.
    lesions       what one lesion is and when it counts as found, see `LesionRules`
    tolerance_mm  how far apart surfaces may be and still agree (NSD)
    boundary_mm   how far below its surface a voxel may lie and still count as boundary (boundary IoU)
    regrid        resample a prediction that is on another grid than its reference, and note it, instead
                  of refusing it
    interval      how the interval of every mean and median is found, see `statistics`
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
    boundary_mm: Annotated[float, Field(gt=0)] = WIDTH_MM
    lesions: LesionRules = LesionRules()
    regrid: bool = False
    interval: IntervalMethod = METHOD

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
        """A measure's definition with what these rules add to it: tolerances, what one lesion is."""
        return measure.definition + (measure.by_rules(self) if measure.by_rules else "")


def measured(pair: Pair, rules: Rules) -> dict[str, Value]:
    """The value of every measure of the rules, with a note where it is missing or stands for one."""
    return {measure.name: measure.of(pair, rules) for measure in rules.measures}
