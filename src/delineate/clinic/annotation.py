"""Annotation: what a SEG or RTSTRUCT holds, structure by structure, on the slices of a series.

Structures may overlap, as they do in files. `labels` makes a label map of them, and says how overlaps are
taken.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate.clinic.codes import OWN, SCT, Code
from delineate.clinic.series import EVEN, SAME_PLACE, Series
from delineate.errors import DataError, GeometryError
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Region

Mask = npt.NDArray[np.bool_]  # (i, j, k), k counts the slices of the series
Overlap = Literal["refuse", "smaller", "regions"]

IGNORE = 65535  # the value of voxels on slices that are not there


@dataclass(frozen=True, eq=False, repr=False)
class Patch:
    """The part of one slice where a structure is: its first pixel, and booleans (column, row)."""

    k: int
    start: tuple[int, int]
    mask: npt.NDArray[np.bool_]

    @classmethod
    def of(cls, k: int, plane: npt.NDArray[np.bool_]) -> Patch | None:
        """The tightest patch of a plane (column, row); None where it is empty."""
        columns, rows = np.flatnonzero(plane.any(axis=1)), np.flatnonzero(plane.any(axis=0))
        if not len(columns):
            return None
        cut = plane[columns[0] : columns[-1] + 1, rows[0] : rows[-1] + 1]
        return cls(k, (int(columns[0]), int(rows[0])), cut.copy())

    @property
    def where(self) -> tuple[slice, slice, int]:
        """Its place in an array (i, j, k)."""
        (i, j), (columns, rows) = self.start, self.mask.shape
        return slice(i, i + columns), slice(j, j + rows), self.k


@dataclass(frozen=True, eq=False, repr=False)
class Structure:
    """One segment or ROI of a file.

    number  SegmentNumber or ROINumber
    kind    its code, where the file has one
    role    interpreted type of an ROI (ORGAN, GTV, ...)
    maker   AUTOMATIC, SEMIAUTOMATIC, MANUAL or ""
    """

    number: int
    name: str
    patches: tuple[Patch, ...]
    kind: Code | None = None
    color: tuple[int, int, int] | None = None
    tracking_uid: str = ""
    tracking_id: str = ""
    role: str = ""
    maker: str = ""

    @property
    def voxels(self) -> int:
        """How many voxels it has."""
        return sum(int(patch.mask.sum()) for patch in self.patches)

    def __repr__(self) -> str:
        return f"Structure({self.number}, {self.name!r}, {self.voxels} voxels)"


@dataclass(frozen=True, eq=False, repr=False)
class Annotation:
    """The structures of a file on the slices of a series.

    kind   SEG or RTSTRUCT
    notes  what had to be decided when reading
    """

    kind: str
    path: Path
    series: Series
    structures: tuple[Structure, ...]
    notes: tuple[str, ...] = ()

    def mask(self, name: str) -> Mask:
        """Where a structure is: (i, j, k) booleans."""
        found = [structure for structure in self.structures if structure.name == name]
        if not found:
            raise DataError(
                f"{self.path}: no structure {name!r}; there are {[s.name for s in self.structures]}"
            )
        result = np.zeros(self.series.grid_shape, bool)
        for patch in found[0].patches:
            result[patch.where] |= patch.mask
        return result

    @property
    def schema(self) -> LabelSchema:
        """The structures as labels 1, 2, ... in the order of the file."""
        return LabelSchema(
            labels=tuple(
                Label(value=n, name=structure.name, code=_code(structure.kind), color=structure.color)
                for n, structure in enumerate(self.structures, 1)
            )
        )

    def labels(self, schema: LabelSchema | None = None, *, overlap: Overlap = "refuse") -> LabelMap:
        """The structures as a label map on the grid of the series.

        schema   values by name; structures that it does not have are left out. Default: all, as 1, 2, ...
        overlap  "refuse" voxels of two structures; "smaller" gives them to the smaller structure;
                 "regions" keeps all: a value for each combination, and a region for each structure

        Slices that the series lacks get the ignore value of the schema that comes back.
        """
        array, values, notes = self.painted(schema, overlap=overlap)
        geometry, places = full_grid(self.series)
        if len(places) < geometry.shape[2]:
            values = values.but(ignore=IGNORE) if values.ignore is None else values
            whole = np.full(geometry.shape, values.ignore, np.uint16)
            whole[:, :, places] = array
            array = whole
        return LabelMap(array, geometry, values, (*self.notes, *notes))

    def painted(
        self, schema: LabelSchema | None = None, *, overlap: Overlap = "refuse"
    ) -> tuple[npt.NDArray[np.uint16], LabelSchema, tuple[str, ...]]:
        """The structures as values (i, j, k) on the slices of the series, wherever they lie; see `labels`."""
        values = schema or self.schema
        by_name = {label.name: label.value for label in values.labels}
        drawn = [structure for structure in self.structures if structure.name in by_name]
        if overlap == "regions":
            array, values = _combined(drawn, values, self.series.grid_shape)
            return array, values, ()
        array, notes = self._painted(drawn, by_name, overlap)
        return array, values, notes

    def _painted(
        self, drawn: Sequence[Structure], values: Mapping[str, int], overlap: Overlap
    ) -> tuple[npt.NDArray[np.uint16], tuple[str, ...]]:
        """Values (i, j, k), larger structures below smaller ones."""
        array = np.zeros(self.series.grid_shape, np.uint16)
        shared: dict[tuple[int, int], int] = {}
        for structure in sorted(drawn, key=lambda each: -each.voxels):
            for patch in structure.patches:
                part = array[patch.where]
                below = part[patch.mask]
                for value in np.unique(below[below > 0]).tolist():
                    pair = (value, values[structure.name])
                    shared[pair] = shared.get(pair, 0) + int((below == value).sum())
                part[patch.mask] = values[structure.name]
        names = {value: name for name, value in values.items()}
        said = [f"{names[a]} and {names[b]} share {count} voxels" for (a, b), count in shared.items()]
        if said and overlap == "refuse":
            raise DataError(
                f"{self.path}: structures overlap, which one label map cannot hold: {'; '.join(said)}.\n"
                f"  Choose the structures (--structure NAME), or give shared voxels to the smaller one "
                f"(--overlap smaller)."
            )
        return array, tuple(f"{text}, given to the smaller" for text in said)

    def __repr__(self) -> str:
        return f"Annotation({self.kind}, {', '.join(s.name for s in self.structures)} on {self.series!r})"


def _combined(
    drawn: Sequence[Structure], schema: LabelSchema, shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.uint16], LabelSchema]:
    """A value for each combination of structures that occurs, and the schema that says so."""
    sets: list[frozenset[str]] = [frozenset()]
    array = np.zeros(shape, np.uint16)
    for structure in drawn:
        for patch in structure.patches:
            part = array[patch.where]
            before = part.copy()
            for value in np.unique(before[patch.mask]).tolist():
                joined = sets[value] | {structure.name}
                if joined not in sets:
                    sets.append(joined)
                part[patch.mask & (before == value)] = sets.index(joined)
    return _renumbered(array, sets, schema)


def _renumbered(
    array: npt.NDArray[np.uint16], sets: list[frozenset[str]], schema: LabelSchema
) -> tuple[npt.NDArray[np.uint16], LabelSchema]:
    """Combinations that are left, counted anew: single structures first, in the order of the schema."""
    by_name = {label.name: label for label in schema.labels}
    left = [sets[value] for value in np.unique(array).tolist() if value]
    order = [frozenset({name}) for name in by_name]
    order += sorted((each for each in left if len(each) > 1), key=lambda each: (len(each), sorted(each)))
    table = np.zeros(len(sets), np.uint16)
    for value, each in enumerate(order, 1):
        if each in sets:
            table[sets.index(each)] = value
    labels = [
        by_name[next(iter(each))].but(value=n)
        if len(each) == 1
        else Label(value=n, name=" + ".join(sorted(each)))
        for n, each in enumerate(order, 1)
    ]
    if len(labels) == len(by_name):
        return table[array], LabelSchema(labels=tuple(labels))
    regions = tuple(
        Region(
            name=name,
            values=tuple(n for n, each in enumerate(order, 1) if name in each),
            paints=min((len(each), n) for n, each in enumerate(order, 1) if name in each)[1],
        )
        for name in by_name
    )
    return table[array], LabelSchema(labels=tuple(labels), regions=regions)


def full_grid(series: Series) -> tuple[Geometry, npt.NDArray[np.int64]]:
    """The even grid that the slices of a series lie on, and the place of each slice along it.

    It has more slices than the series where some are missing; uneven slices have none.
    """
    regular = series.geometry
    if regular is not None:
        return regular, np.arange(len(series.positions))
    along, usual = series.along, series.gap
    places = np.round((along - along[0]) / usual).astype(int)
    step = (series.positions[-1] - series.positions[0]) / places[-1]
    off = np.linalg.norm(series.positions - series.positions[0] - places[:, None] * step, axis=1)
    if off.max() > max(EVEN * usual, SAME_PLACE) or len(set(places.tolist())) < len(places):
        raise GeometryError(
            f"{series.where}: {series.notes[-1] if series.notes else 'slices are uneven'}: no even grid has "
            f"these slices.\n  Have them straightened:  delineate import-dicom FOLDER OUT --straighten"
        )
    affine = series.slice_geometry(0).affine.copy()
    affine[:3, 2] = np.array([-1.0, -1.0, 1.0]) * step
    return Geometry((*series.shape, int(places[-1]) + 1), affine), places


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Names that differ: repeated ones get a number."""
    seen: dict[str, int] = {}
    result = []
    for name in names:
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return tuple(result)


def _code(kind: Code | None) -> str | None:
    """A code as labels keep it; codes of schemes that are retired are left out."""
    if kind is None or not (kind.scheme == SCT or kind.scheme.startswith(OWN)):
        return None
    return (
        f"{kind.scheme}:{kind.value}" if kind.scheme == SCT else f"{kind.scheme}:{kind.value}:{kind.meaning}"
    )
