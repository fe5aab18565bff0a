"""Measurements: what is said in numbers of each structure, once, for report, FHIR and summary.

    volume      pixels of each slice times half the way to both neighbours
    long, short the longest line across the structure in a slice, and the longest at right angles to it
    mean, sd    of the stored values of its voxels, in Hounsfield units: CT only, as no other scale is shared

A structure without voxels has a volume of 0 and nothing else. What could not be measured is a note.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.clinic.images import read_images
from delineate.clinic.result import Finding, Mask, Result
from delineate.clinic.series import Series
from delineate.evaluation.shapes.diameter import Diameter
from delineate.record import Record
from delineate.space import Box, Geometry, triple

Array = npt.NDArray[Any]

Place = tuple[float, float, float]
Ends = tuple[Place, Place]

CT = "CT"


class Measured(Record):
    """The numbers of one structure; None for what it has not, or what could not be measured.

    long_ends, short_ends  places (LPS+ mm) between which the axes were measured
    """

    voxels: int
    volume_ml: float
    long_mm: float | None = None
    short_mm: float | None = None
    long_ends: Ends | None = None
    short_ends: Ends | None = None
    mean_hu: float | None = None
    sd_hu: float | None = None


@dataclass(frozen=True)
class Measurements:
    """The numbers of all structures, by name, and what could not be measured."""

    by_name: Mapping[str, Measured]
    notes: tuple[str, ...] = ()

    def of(self, finding: Finding) -> Measured:
        """The numbers of a structure."""
        return self.by_name[finding.name]


def measure(result: Result) -> Measurements:
    """The numbers of every structure of a result."""
    values, notes = _hounsfield(result.series)
    return Measurements({f.name: _measured(result, f, values) for f in result.findings}, notes)


def volume_ml(result: Result, finding: Finding) -> float:
    """Volume of a structure: its pixels on each slice times half the way to both neighbours."""
    series = result.series
    area = series.spacing[0] * series.spacing[1]
    return float((np.array(pixels(result, finding)) * thicknesses(series)).sum() * area / 1000)


def pixels(result: Result, finding: Finding) -> list[int]:
    """How many pixels a structure has on each slice."""
    counts = np.zeros(len(result.series.positions), int)
    if (part := result.part(finding)) is not None:
        box, mask = part
        counts[box.slices[2]] = mask.sum(axis=(0, 1))
    return [int(count) for count in counts]


def thicknesses(series: Series) -> npt.NDArray[np.float64]:
    """How much of the patient each slice stands for, mm: the gap, or half the way to both neighbours."""
    along = series.along
    if series.is_regular or len(along) < 2:
        return np.full(len(along), series.gap)
    return np.asarray(np.gradient(along))


def _hounsfield(series: Series) -> tuple[Array | None, tuple[str, ...]]:
    """(i, j, k) Hounsfield units; None where there are none, and why if one would expect them."""
    if series.modality != CT:
        return None, ()
    if any(len(images) > 1 for images in series.references):
        return None, ("no mean intensity: several images share a place, and nothing says which was meant",)
    return read_images(series), ()


def _measured(result: Result, finding: Finding, values: Array | None) -> Measured:
    part = result.part(finding)
    if part is None:
        return Measured(voxels=0, volume_ml=0.0)
    box, mask = part
    line = _longest(result.series, box, mask)
    inside = None if values is None else values[box.slices][mask].astype(np.float64)
    return Measured(
        voxels=int(mask.sum()),
        volume_ml=volume_ml(result, finding),
        long_mm=None if line is None else line.long_mm,
        short_mm=None if line is None else line.short_mm,
        long_ends=None if line is None else _lps(line.long_ends),
        short_ends=None if line is None else _lps(line.short_ends),
        mean_hu=None if inside is None else float(inside.mean()),
        sd_hu=None if inside is None else float(inside.std()),
    )


def _lps(ends: npt.NDArray[np.float64]) -> Ends:
    """Places in the patient (RAS+) as DICOM counts them."""
    first, last = (ends * (-1, -1, 1)).tolist()
    return tuple(first), tuple(last)


def _longest(series: Series, box: Box, mask: Mask) -> Diameter | None:
    """The longest line across a structure in any slice."""
    lines = [Diameter.of(part, grid) for part, grid in _grids(series, box, mask)]
    return max((line for line in lines if line is not None), key=lambda line: line.long_mm, default=None)


def _grids(series: Series, box: Box, mask: Mask) -> Iterator[tuple[Mask, Geometry]]:
    """A mask on the grid of a regular series, or slice by slice."""
    whole = series.geometry
    if whole is not None:
        yield mask, whole.cropped(box)
        return
    flat = Box(triple((*box.start[:2], 0)), triple((*box.stop[:2], 1)))
    for k in range(box.start[2], box.stop[2]):
        yield mask[:, :, k - box.start[2], None], series.slice_geometry(k).cropped(flat)
