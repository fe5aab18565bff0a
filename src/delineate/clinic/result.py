"""Result: what was delineated on a series, once, for everything that is made of it.

SEG, RTSTRUCT, SR and FHIR say the same thing in different words. What they share is decided here: the mask on
the original slices, and for each structure one name, one code, one colour and one tracking UID.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.uid import generate_uid
from scipy import ndimage

from delineate.clinic.codes import Codes, Concept
from delineate.clinic.series import Series, check_referable
from delineate.errors import DataError
from delineate.space import Box, Geometry, Label, LabelMap, Volume, triple

Array = npt.NDArray[Any]
Mask = npt.NDArray[np.bool_]  # (i, j, k), k counts the slices of the series
Uids = Callable[[], str]  # a new UID at each call

Kind = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]

ON_GRID_MM = 1e-2  # grids nearer than this are the same: slice positions have two decimals
NAME_LETTERS = 64  # PS3.5, 6.2: LO
SLAB = 3  # voxels of the labels' grid that are read around an uneven slice


def new_uid() -> str:
    """A UID that nobody else has: 2.25 and a random UUID (PS3.5, B.2)."""
    return str(generate_uid(prefix=None))


@dataclass(frozen=True)
class Maker:
    """Who or what drew the labels.

    kind     AUTOMATIC (a model), SEMIAUTOMATIC (a model, corrected by a person) or MANUAL
    name     of the model, as people call it
    digest   of the model, so that the result can be traced to it
    """

    kind: Kind = "AUTOMATIC"
    name: str = "delineate"
    version: str = "0"
    digest: str = ""


@dataclass(frozen=True)
class Approval:
    """Whether a person has signed for the labels; without one they are UNAPPROVED."""

    reviewer: str
    when: datetime


@dataclass(frozen=True)
class Finding:
    """One structure of a result, by the same name and identity in every object made of it.

    tracking_uid, tracking_id   the structure's identity, in this study and in those that follow it
    region                      the values that make it, where it is a region of labels; it may overlap others
    """

    label: Label
    concept: Concept
    tracking_uid: str
    tracking_id: str
    region: tuple[int, ...] = ()

    @property
    def values(self) -> tuple[int, ...]:
        """Its values in the result's array; more than one for a region."""
        return self.region or (self.label.value,)

    @property
    def name(self) -> str:
        """What people call it."""
        return self.label.name


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """Labels on the slices of a series.

    array          label values (i, j, k), k counts the slices of the series; 0 is background
    given          the labels as they came, on their own grid: what a read-back is held against
    probabilities  (finding, i, j, k) in 0 to 1 on the same slices, where a model told them
    given_probabilities  the same as they came, a channel for each finding
    notes          what was done to put the labels on the slices
    """

    series: Series
    array: Array
    findings: tuple[Finding, ...]
    given: LabelMap
    maker: Maker
    when: datetime
    approval: Approval | None = None
    probabilities: Array | None = None
    given_probabilities: Volume | None = None
    notes: tuple[str, ...] = ()

    @cached_property
    def planes(self) -> Array:
        """The labels slice by slice, (k, row, column), each slice in one piece of memory."""
        return np.ascontiguousarray(self.array.transpose(2, 1, 0))

    @cached_property
    def boxes(self) -> Mapping[int, Box]:
        """The tightest box (i, j, k) of each value that occurs, found in one pass."""
        found = ndimage.find_objects(self.planes)
        return {
            value: Box(triple(part.start for part in box[::-1]), triple(part.stop for part in box[::-1]))
            for value, box in enumerate(found, 1)
            if box is not None
        }

    def mask(self, finding: Finding) -> Mask:
        """Where a structure is: (i, j, k) booleans."""
        return _among(self.array, finding.values)

    def part(self, finding: Finding) -> tuple[Box, Mask] | None:
        """The box of a structure, and where it is in it (i, j, k); None where it is empty."""
        box = self.box(finding)
        if box is None:
            return None
        return box, np.asarray(_among(self.planes[box.slices[::-1]], finding.values).transpose(2, 1, 0))

    def box(self, finding: Finding) -> Box | None:
        """The tightest box (i, j, k) of a structure; None where it is empty."""
        boxes = [self.boxes[value] for value in finding.values if value in self.boxes]
        if not boxes:
            return None
        starts, stops = np.array([box.start for box in boxes]), np.array([box.stop for box in boxes])
        return Box(triple(starts.min(axis=0).tolist()), triple(stops.max(axis=0).tolist()))

    @property
    def overlaps(self) -> bool:
        """Whether a voxel may be of several structures."""
        values = [value for finding in self.findings for value in finding.values]
        return len(set(values)) < len(values)

    def __repr__(self) -> str:
        return f"Result({', '.join(finding.name for finding in self.findings)} on {self.series!r})"


def _among(array: Array, values: tuple[int, ...]) -> Mask:
    """Where an array has one of these values."""
    return np.asarray(array == values[0] if len(values) == 1 else np.isin(array, values))


@dataclass(frozen=True)
class Tracking:
    """An identity that a structure has from an earlier study."""

    uid: str
    identifier: str


def make_result(  # noqa: PLR0913 - what is said of the labels; all but the first four has an answer
    labels: LabelMap,
    series: Series,
    maker: Maker,
    *,
    when: datetime,
    codes: Codes | None = None,
    approval: Approval | None = None,
    tracking: Mapping[str, Tracking] | None = None,
    regions: bool = False,
    uids: Uids = new_uid,
) -> Result:
    """Labels, on any grid, as a result on the slices of a series.

    Labels on the grid of the series are taken as they are; others are put on its slices, and a note says so.
    Voxels of the ignore label become background, and a note says so too. Every structure of the schema is a
    finding, those that are empty as well. `tracking` holds known identities by structure name. With `regions`
    the findings are the regions of the schema, which may overlap, in place of its labels.
    """
    check_referable(series)
    table = codes or Codes.shipped()
    findings = _findings(_structures(labels, series, regions=regions), table, dict(tracking or {}), uids)
    array, notes = on_slices(labels, series)
    if labels.schema.ignore is not None:
        unknown = array == labels.schema.ignore
        if unknown.any():
            array = np.where(unknown, 0, array)
            notes = (*notes, f"{int(unknown.sum())} voxels that nobody annotated were taken as background")
    _check_overlap(labels, array, series)
    kind = np.uint8 if max(labels.schema.values) < 256 else np.uint16
    return Result(
        series=series,
        array=array.astype(kind, copy=False),
        findings=findings,
        given=labels,
        maker=maker,
        when=when,
        approval=approval,
        notes=(*series.notes, *labels.notes, *notes),
    )


def with_probabilities(result: Result, probabilities: Volume) -> Result:
    """The result with the probabilities of its structures, read at its slices; channels go by name."""
    missing = [f.name for f in result.findings if f.name not in probabilities.channels]
    if missing:
        raise DataError(
            f"no probabilities for {', '.join(missing)}; there are {', '.join(probabilities.channels)}.\n"
            f"  Name the channels like the labels."
        )
    order = [probabilities.channels.index(finding.name) for finding in result.findings]
    slices = _slice_grids(result.series)
    parts = [probabilities.resampled(grid, order=1).array[order] for grid in slices]
    values = np.clip(np.concatenate(parts, axis=-1), 0, 1).astype(np.float32)
    given = Volume(probabilities.array[order], probabilities.geometry, tuple(f.name for f in result.findings))
    return replace(result, probabilities=values, given_probabilities=given)


def on_slices(labels: LabelMap, series: Series) -> tuple[Array, tuple[str, ...]]:
    """Label values (i, j, k) on the slices of a series, and what had to be done for it."""
    grid = series.geometry
    if grid is not None and labels.geometry.same_place(grid, tolerance_mm=ON_GRID_MM):
        return labels.array, ()
    array = np.concatenate([_on_grid(labels, part) for part in _slice_grids(series)], axis=2)
    voxels = f"{labels.geometry!r}".removeprefix("Geometry")
    if _is_exact(labels.geometry, series):
        return array, ()
    return array, (f"labels were on another grid {voxels}: put on the {array.shape[2]} slices of the series",)


def _slice_grids(series: Series) -> tuple[Geometry, ...]:
    """The whole grid of a regular series, or its slices one by one."""
    whole = series.geometry
    if whole is not None:
        return (whole,)
    return tuple(series.slice_geometry(k) for k in range(len(series.positions)))


def _on_grid(labels: LabelMap, grid: Geometry) -> Array:
    """Label values on a grid; of the labels only what lies near it is read."""
    corners = labels.geometry.to_index(grid.corners())
    low, high = np.floor(corners.min(axis=0)).astype(int), np.ceil(corners.max(axis=0)).astype(int)
    near = Box(triple(low.tolist()), triple((high + 1).tolist())).grown(SLAB).clipped(labels.geometry.shape)
    if min(near.shape) < 1:
        return np.zeros(grid.shape, labels.array.dtype)
    part = LabelMap(labels.array[near.slices], labels.geometry.cropped(near), labels.schema)
    return np.asarray(part.resampled(grid).array)


def _is_exact(given: Geometry, series: Series) -> bool:
    """Whether the voxel centres of the slices are voxel centres of the labels' grid."""
    columns, rows = series.shape
    ends = np.array([[0, 0], [columns - 1, 0], [0, rows - 1]], float)
    count = len(series.positions)
    places = [series.to_patient(ends[:, 0], ends[:, 1], np.full(3, k)) for k in range(count)]
    index = given.to_index(np.concatenate(places) * np.array([-1.0, -1.0, 1.0]))
    return bool(np.abs(index - np.round(index)).max() < ON_GRID_MM)


def _check_overlap(labels: LabelMap, array: Array, series: Series) -> None:
    """Refuses labels that lie beside the series: the wrong pair of files, or a lost orientation."""
    if labels.array.any() and not array.any():
        raise DataError(
            f"{series.where}: no labelled voxel lies on this series: the labels are elsewhere in the patient "
            f"({labels.geometry!r}, centre {_centre(labels.geometry)} mm; the series has its centre at "
            f"{_centre(series.slice_geometry(len(series.positions) // 2))} mm).\n"
            f"  Name the series that the labels were made for, in the same frame of reference."
        )


def _centre(grid: Geometry) -> str:
    return "(" + ", ".join(f"{x:.0f}" for x in grid.corners().mean(axis=0)) + ")"


def _structures(
    labels: LabelMap, series: Series, *, regions: bool
) -> tuple[tuple[Label, tuple[int, ...]], ...]:
    """What becomes a finding: each label, or each region with its values."""
    if not regions:
        return tuple((label, ()) for label in labels.schema.labels)
    if not labels.schema.regions:
        names = ", ".join(label.name for label in labels.schema.labels)
        raise DataError(
            f"{series.where}: the labels have no regions, only {names}.\n"
            f"  Deliver them as they are, without --regions."
        )
    return tuple((Label(value=r.paints, name=r.name), r.values) for r in labels.schema.regions)


def _findings(
    structures: Sequence[tuple[Label, tuple[int, ...]]],
    codes: Codes,
    tracking: dict[str, Tracking],
    uids: Uids,
) -> tuple[Finding, ...]:
    findings, problems = [], []
    for label, region in structures:
        try:
            _check_name(label.name)
            concept = codes.named(label)
        except DataError as error:
            problems.append(str(error))
            continue
        known = tracking.get(label.name) or Tracking(uids(), label.name)
        findings.append(Finding(label, concept, known.uid, known.identifier, region))
    if problems:
        raise DataError("\n".join(problems))
    return tuple(findings)


def _check_name(name: str) -> None:
    if len(name) > NAME_LETTERS or "\\" in name or any(ord(letter) < 32 for letter in name):
        raise DataError(
            f"{name!r}: DICOM has room for names of {NAME_LETTERS} letters without backslash or control "
            f"characters; this one has {len(name)}.\n  Shorten it in labels.json."
        )
