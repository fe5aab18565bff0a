"""Labels: what the values of a label map mean, and the map itself.

A schema has labels (disjoint values) and, where structures are nested, regions (sets of values, such as
the whole tumour). A network learns `outputs`: background and each label by softmax, or each region by
sigmoid. `encode` and `decode` are the only two places where values become channels and back.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field, model_validator

from delineate.errors import DataError, GeometryError
from delineate.record import Record
from delineate.space.geometry import Geometry
from delineate.space.resampling import Orders, resample_labels

Values = npt.NDArray[np.integer[Any]]

PALETTE = (  # distinguishable on grey scans and by colour-blind readers; Wong 2011, doi:10.1038/nmeth.1618
    (230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66),
    (0, 114, 178), (213, 94, 0), (204, 121, 167), (148, 103, 189),
)  # fmt: skip


class Label(Record):
    """One structure: its value in label maps, its name, and how others call and colour it."""

    value: Annotated[int, Field(ge=1, le=65535)]
    name: Annotated[str, Field(min_length=1)]
    code: str | None = None  # "SCT:10200004", for DICOM and FHIR
    color: tuple[int, int, int] | None = None  # sRGB


class Region(Record):
    """A set of labels learnt as one target (whole tumour = necrosis + oedema + enhancing)."""

    name: Annotated[str, Field(min_length=1)]
    values: Annotated[tuple[int, ...], Field(min_length=1)]
    paints: int  # the label value that a voxel of this region gets, regions painted in order


class LabelSchema(Record):
    """What the values of label maps mean. 0 is background, and is not listed."""

    labels: tuple[Label, ...]
    regions: tuple[Region, ...] = ()
    ignore: int | None = None  # voxels that nobody annotated: no loss, no metric

    @model_validator(mode="after")
    def _fits(self) -> Self:
        values = [label.value for label in self.labels]
        names = [label.name for label in self.labels]
        if not values:
            raise ValueError("a schema has at least one label besides background")
        if len(set(values)) != len(values) or len(set(names)) != len(names):
            raise ValueError(f"label values and names must differ: {values}, {names}")
        if self.ignore is not None and (self.ignore in values or self.ignore == 0):
            raise ValueError(f"the ignore value {self.ignore} is also a label or background")
        regions = [region.name for region in self.regions]
        if len(set(regions)) != len(regions):
            raise ValueError(f"region names must differ: {regions}")
        for region in self.regions:
            unknown = sorted(set(region.values) - set(values))
            if unknown or region.paints not in values:
                raise ValueError(
                    f"region {region.name!r} refers to {unknown or region.paints}, "
                    f"not among the labels {values}"
                )
        return self

    @classmethod
    def of(cls, *names: str) -> LabelSchema:
        """A schema of plain labels 1, 2, ... with these names."""
        return cls(labels=tuple(Label(value=n, name=name) for n, name in enumerate(names, 1)))

    @cached_property
    def values(self) -> tuple[int, ...]:
        """Every value that may appear in a label map, in ascending order."""
        known = [0, *(label.value for label in self.labels)]
        return tuple(sorted(known if self.ignore is None else [*known, self.ignore]))

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the network's output channels."""
        if self.regions:
            return tuple(region.name for region in self.regions)
        return ("background", *(label.name for label in self.labels))

    @property
    def structures(self) -> dict[str, tuple[int, ...]]:
        """What is evaluated: name -> label values; the regions where there are any, else labels."""
        if self.regions:
            return {region.name: region.values for region in self.regions}
        return {label.name: (label.value,) for label in self.labels}

    @property
    def exclusive(self) -> bool:
        """Whether each voxel has exactly one output (softmax) or any number (sigmoid)."""
        return not self.regions

    def color(self, value: int) -> tuple[int, int, int]:
        """The label's own colour, or the next of a palette that colour-blind readers can tell apart."""
        for order, label in enumerate(self.labels):
            if label.value == value:
                return label.color or PALETTE[order % len(PALETTE)]
        raise DataError(f"{value} is no label; the labels are {self.values}")

    def lateral_pairs(self) -> tuple[tuple[int, int], ...]:
        """Values of the structures that differ only in left and right: ((left, right), ...)."""
        sides: dict[str, dict[str, int]] = {}
        for label in self.labels:
            words = re.split(r"[\W_]+", label.name.lower())
            for side, spellings in (("left", {"left", "l", "lh"}), ("right", {"right", "r", "rh"})):
                if any(word in spellings for word in words):
                    rest = "_".join(word for word in words if word not in spellings)
                    sides.setdefault(rest, {})[side] = label.value
        return tuple((s["left"], s["right"]) for s in sides.values() if len(s) == 2)

    def encode(self, labels: Values) -> Encoded:
        """Label values (...) -> one channel per output, and which voxels are known.

        The values come back as (output, ...) booleans; voxels of the ignore label are False in all
        of them and False in `known`.
        """
        known = np.ones(labels.shape, bool) if self.ignore is None else labels != self.ignore
        sets = (
            [region.values for region in self.regions]
            if self.regions
            else [(0,), *((label.value,) for label in self.labels)]
        )
        return Encoded(np.stack([np.isin(labels, values) for values in sets]), known)

    def decode(self, scores: npt.NDArray[Any]) -> Values:
        """Scores (output, ...) -> label values (...).

        Softmax outputs: the highest score wins (logits or probabilities). Regions: *probabilities*
        above one half are painted in the order of the schema.
        """
        kind = np.uint8 if max(self.values) < 256 else np.uint16
        if self.exclusive:
            table = np.array([0, *(label.value for label in self.labels)], dtype=kind)
            return np.asarray(table[np.argmax(scores, axis=0)])
        result = np.zeros(scores.shape[1:], dtype=kind)
        for region, score in zip(self.regions, scores, strict=True):
            result[score > 0.5] = region.paints
        return result


@dataclass(frozen=True)
class Encoded:
    """Labels as channels: `values` (output, ...) and `known` (...), both boolean."""

    values: npt.NDArray[np.bool_]
    known: npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False, repr=False)
class LabelMap:
    """Label values (i, j, k) on a voxel grid; only values of the schema."""

    array: Values
    geometry: Geometry
    schema: LabelSchema
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(f"{self.array.shape} labels do not fit on {self.geometry!r}")
        if not np.issubdtype(self.array.dtype, np.integer):
            raise DataError(f"label values are whole numbers, got {self.array.dtype}")
        unknown = [] if self._is_in_range else self._unknown
        if unknown:
            raise DataError(
                f"label values {unknown} are not in the schema, which knows {list(self.schema.values)}"
            )

    @property
    def _is_in_range(self) -> bool:
        """Whether the smallest and the largest value tell that all are known: a look, not a sort."""
        known = self.schema.values
        is_range = known[-1] - known[0] == len(known) - 1
        return is_range and known[0] <= self.array.min() and bool(self.array.max() <= known[-1])

    @property
    def _unknown(self) -> list[int]:
        return sorted(set(np.unique(self.array.ravel(order="K")).tolist()) - set(self.schema.values))

    def mask(self, structure: str) -> npt.NDArray[np.bool_]:
        """Where a structure (label or region, by name) is: (i, j, k) booleans."""
        named: dict[str, tuple[int, ...]] = {label.name: (label.value,) for label in self.schema.labels}
        named |= self.schema.structures
        if structure not in named:
            raise DataError(f"no structure {structure!r}; there are {sorted(named)}")
        return np.isin(self.array, named[structure])

    def volume_ml(self, structure: str) -> float:
        """Volume of a structure in millilitres."""
        return float(self.mask(structure).sum()) * self.geometry.voxel_ml

    def resampled(self, onto: Geometry, *, order: Orders = 1) -> LabelMap:
        """The same labels on another grid; exact where grids share their voxels."""
        array = resample_labels(self.array, self.geometry, onto, order=order)
        return LabelMap(array, onto, self.schema, self.notes)

    def reoriented(self, orientation: str) -> LabelMap:
        """The same labels with their axes in another order and direction."""
        return self.resampled(self.geometry.reoriented(orientation), order=0)

    def __repr__(self) -> str:
        return f"LabelMap({', '.join(self.schema.structures)} on {self.geometry!r})"
