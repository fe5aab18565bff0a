"""Rules: which measures there are, which of them are wanted, and what is said where there is nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator

from delineate.errors import DataError
from delineate.evaluation.measures.counts import OVERLAPS, VOLUMES
from delineate.evaluation.measures.lesions import LESIONS
from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.measures.shapes import DIAMETERS, SHAPES
from delineate.evaluation.measures.surfaces import DIRECTED, SURFACES
from delineate.evaluation.objects.lesions import LesionRules
from delineate.evaluation.overlap import EmptyPolicy
from delineate.evaluation.shapes.band import WIDTH_MM
from delineate.evaluation.statistics import METHOD, IntervalMethod
from delineate.record import Record

Tolerance = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Measures(Mapping[str, Measure]):
    """Measures by name; a share within tolerance also at one of its own: "nsd@2" is NSD at 2 mm."""

    def __init__(self, *measures: Measure) -> None:
        self._named = {measure.name: measure for measure in measures}

    def __getitem__(self, name: str) -> Measure:
        plain, at, tolerance = name.partition("@")
        measure = self._named[plain]
        if not at:
            return measure
        if measure.at is None:
            raise KeyError(name)
        try:
            tolerance_mm = float(tolerance)
        except ValueError:
            raise KeyError(name) from None
        if not 0 < tolerance_mm < float("inf"):
            raise KeyError(name)
        return measure.at(tolerance_mm)

    def __iter__(self) -> Iterator[str]:
        return iter(self._named)

    def __len__(self) -> int:
        return len(self._named)


MEASURES = Measures(*OVERLAPS, *SHAPES, *VOLUMES, *DIAMETERS, *SURFACES, *DIRECTED, *LESIONS)

ALWAYS = ("volume_reference", "volume_prediction")  # they tell an empty mask from a missed one


class Rules(Record):
    """What is measured, and what a value is where there is nothing to measure.

    empty         overlap (and distance) where a mask is empty, see `EmptyPolicy`
    missed        distance where just one of the two masks is empty: no value, or the diagonal of the
                  grid as a penalty (BraTS uses 374 mm, about that of its grid). Left out, a model that
                  misses hard structures looks better: the report counts such cases.
    lesions       what one lesion is and when it counts as found, see `LesionRules`
    tolerance_mm  how far apart surfaces may be and still agree (NSD): one for all, or structure -> mm.
                  For several at once ask for "nsd@1", "nsd@2", ...
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
    tolerance_mm: Tolerance | dict[str, Tolerance] = 1.0
    boundary_mm: Annotated[float, Field(gt=0)] = WIDTH_MM
    lesions: LesionRules = LesionRules()
    regrid: bool = False
    interval: IntervalMethod = METHOD

    @field_validator("metrics")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in MEASURES]
        if unknown:
            raise ValueError(f"unknown metrics {unknown}; there are {', '.join(MEASURES)}")
        return tuple(MEASURES[name].name for name in names)  # "nsd@2.0" is "nsd@2"

    def of(self, structure: str) -> Self:
        """The rules for one structure: its tolerance where that is by structure."""
        if not isinstance(self.tolerance_mm, dict):
            return self
        if structure not in self.tolerance_mm:
            raise DataError(
                f"no tolerance for {structure!r}: tolerance_mm names {', '.join(self.tolerance_mm)}. "
                "Name every structure, or give one number for all."
            )
        return self.but(tolerance_mm=self.tolerance_mm[structure])

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
