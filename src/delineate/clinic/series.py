"""Series: the original slices that a result refers to, each where it really lies.

Segments and contours are delivered on the slices themselves: their own positions, orientation and UIDs, never
on an averaged grid. So a series may lean (gantry tilt), lack slices or have them at uneven distances; only a
regular one has a `geometry`. Numbers are DICOM's own: LPS+ mm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset

from delineate.errors import DataError
from delineate.io.dicom import Series as Images
from delineate.io.dicom import find_series
from delineate.io.foreign import quiet, reading
from delineate.io.frames import Frame
from delineate.space import Geometry

Array = npt.NDArray[Any]
Vectors = npt.NDArray[np.float64]

SAME_PLACE = 1e-2  # mm: images nearer than this along the normal lie on one plane
EVEN = 0.02  # of the usual distance: how far one distance may be from it in a regular stack
PLACED = 0.1  # of the distance between slices: how far a slice may be from its place on the even grid
ALIKE = 1e-3  # difference of cosines and of pixel sizes within a series
TILT_DEG = 0.05  # below this slices lie straight above each other
LPS = np.array([-1.0, -1.0, 1.0])  # to RAS and back
FRAME_OF_REFERENCE, STUDY, PATIENT = "FrameOfReferenceUID", "StudyInstanceUID", "PatientID"
AGAIN = (
    "Fetch the series again from the archive it came from; labels for it can be written as NIfTI meanwhile."
)


@dataclass(frozen=True)
class Reference:
    """One image: an instance, or a frame of one (counted from 1)."""

    sop_class: str
    uid: str
    frame: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """The slices of one series, in order along their normal.

    header      the first image's header, without pixels: patient, study, equipment
    shape       (columns, rows)
    spacing     mm between columns, and between rows
    axes        (2, 3) unit vectors, LPS+: where columns are counted, and where rows are
    positions   (slice, 3) LPS+ mm, centre of the first pixel of each slice
    references  the images of each slice: one, or several where images share a place
    notes       what is particular about its geometry
    empty       UIDs that nothing can do without, and how many images lack them
    """

    where: Path
    header: Dataset
    uid: str
    shape: tuple[int, int]
    spacing: tuple[float, float]
    axes: Vectors
    positions: Vectors
    references: tuple[tuple[Reference, ...], ...]
    thickness: float
    notes: tuple[str, ...] = ()
    empty: Mapping[str, int] = field(default_factory=dict)

    @property
    def study_uid(self) -> str:
        """StudyInstanceUID."""
        return str(self.header.get(STUDY, ""))

    @property
    def frame_of_reference_uid(self) -> str:
        """FrameOfReferenceUID."""
        return str(self.header.get(FRAME_OF_REFERENCE, ""))

    @property
    def modality(self) -> str:
        """CT, MR, PT, ..."""
        return str(self.header.get("Modality", ""))

    @property
    def normal(self) -> Vectors:
        """Unit vector along which the slices are ordered, LPS+."""
        return np.asarray(np.cross(self.axes[0], self.axes[1]))

    @property
    def along(self) -> Vectors:
        """Place of each slice along the normal, mm."""
        return np.asarray(self.positions @ self.normal)

    @property
    def grid_shape(self) -> tuple[int, int, int]:
        """(columns, rows, slices): the shape of a mask on these slices."""
        return (*self.shape, len(self.positions))

    @property
    def gap(self) -> float:
        """The usual distance between slices, mm; the thickness where there is one slice."""
        return float(np.median(np.diff(self.along))) if len(self.positions) > 1 else self.thickness

    @property
    def is_tilted(self) -> bool:
        """Whether slices shift within their planes from one to the next."""
        return _tilt(self.positions, self.normal) > TILT_DEG

    @property
    def is_regular(self) -> bool:
        """Whether the slices are those of one grid, straight or sheared."""
        return _off_grid(self.positions, self.normal) is None

    @property
    def geometry(self) -> Geometry | None:
        """The grid (RAS+) of a regular series, sheared where it leans; None where slices are uneven."""
        if not self.is_regular:
            return None
        count = len(self.positions)
        step = (self.positions[-1] - self.positions[0]) / (count - 1) if count > 1 else None
        return self._grid(self.positions[0], count, self.normal * self.thickness if step is None else step)

    def slice_geometry(self, k: int) -> Geometry:
        """The grid (RAS+) of one slice, one voxel thick."""
        return self._grid(self.positions[k], 1, self.normal * self.gap)

    def _grid(self, position: Vectors, count: int, step: Vectors) -> Geometry:
        affine = np.eye(4)
        lps = np.column_stack([self.axes[0] * self.spacing[0], self.axes[1] * self.spacing[1], step])
        affine[:3, :3] = LPS[:, None] * lps
        affine[:3, 3] = LPS * position
        return Geometry((*self.shape, count), affine)

    def to_patient(self, columns: Vectors, rows: Vectors, k: npt.NDArray[np.integer[Any]]) -> Vectors:
        """(n, 3) LPS+ mm of places on slices, given in pixels (0 is the centre of the first)."""
        in_plane = columns[:, None] * (self.axes[0] * self.spacing[0])
        in_plane = in_plane + rows[:, None] * (self.axes[1] * self.spacing[1])
        return np.asarray(self.positions[k] + in_plane)

    def __repr__(self) -> str:
        size = " x ".join(map(str, self.grid_shape))
        return f"Series({self.modality}, {size}, {self.uid})"


def open_series(folder: Path, uid: str | None = None) -> Series:
    """The series in a folder (of several, the one with this UID), from headers alone."""
    found = find_series(folder)
    if uid is not None:
        found = tuple(series for series in found if series.uid == uid)
        if not found:
            raise DataError(f"{folder}: no image of the series {uid} here.\n  Name the folder that holds it.")
    if len(found) > 1:
        listed = "\n".join(f"  {series.uid}  {series!r}" for series in found)
        raise DataError(
            f"{folder}: {len(found)} series are mixed in this folder; expected one:\n{listed}\n"
            f"  Name the one that was delineated:  --series-uid {found[0].uid}"
        )
    return series_of(found[0])


def series_of(images: Images) -> Series:
    """The slices of images that `io` found."""
    where = str(images.where)
    frames = images.frames
    _check_placed(frames, where)
    headers = _headers(frames)
    _check_repeats(frames, where)
    _check_one_patient(headers, where)
    first = frames[0]
    axes = np.reshape(first.axes or (), (2, 3))
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    normal = np.cross(axes[0], axes[1])
    planes = _planes(frames, normal)
    positions = np.array([plane[0].position for plane in planes])
    return Series(
        where=images.where,
        header=_full_header(first.file),
        uid=images.uid,
        shape=first.shape,
        spacing=first.spacing or (1.0, 1.0),
        axes=axes,
        positions=positions,
        references=tuple(tuple(_reference(frame, headers) for frame in plane) for plane in planes),
        thickness=first.thickness or 1.0,
        notes=(*images.notes, *_findings(positions, normal, len(frames))),
        empty=_empty(images.uid, frames, headers),
    )


def check_referable(series: Series) -> None:
    """Refuses images that nothing lawful can refer to: PS3.3 wants the UIDs of all that is referred to."""
    if series.empty:
        count = sum(map(len, series.references))
        listed = ", ".join(f"{name} in {missing} of {count}" for name, missing in series.empty.items())
        raise DataError(
            f"{series.where}: images without UIDs ({listed}): a SEG, RTSTRUCT or SR made for them could not "
            f"say which images it is about.\n  {AGAIN}"
        )


def _reference(frame: Frame, headers: dict[Path, Dataset]) -> Reference:
    several = headers[frame.file].get("NumberOfFrames") is not None
    return Reference(frame.sop_class, frame.instance_uid, frame.number + 1 if several else None)


def _planes(frames: Sequence[Frame], normal: Vectors) -> list[list[Frame]]:
    """The frames by plane, in order; several where they share a place."""
    placed = [(float(np.dot(frame.position or (), normal)), frame) for frame in frames]
    planes: list[list[Frame]] = []
    last = -np.inf
    for along, frame in sorted(placed, key=lambda pair: pair[0]):
        if along - last < SAME_PLACE:
            planes[-1].append(frame)
        else:
            planes.append([frame])
            last = along
    return planes


def _headers(frames: Sequence[Frame]) -> dict[Path, Dataset]:
    names = [FRAME_OF_REFERENCE, STUDY, PATIENT, "NumberOfFrames"]
    return {path: _tags(path, names) for path in dict.fromkeys(frame.file for frame in frames)}


def _tags(path: Path, names: list[str]) -> Dataset:
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        return pydicom.dcmread(path, force=True, stop_before_pixels=True, specific_tags=list(names))


def _full_header(path: Path) -> Dataset:
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        return pydicom.dcmread(path, force=True, stop_before_pixels=True)


def _check_placed(frames: Sequence[Frame], where: str) -> None:
    if missing := [frame for frame in frames if not frame.is_placed]:
        raise DataError(
            f"{where}: {len(missing)} of {len(frames)} images do not say where in the patient they lie "
            f"({missing[0].file.name}), so nothing can be drawn on them.\n  {AGAIN}"
        )
    first = frames[0]
    for name, values in (
        ("size", [frame.shape for frame in frames]),
        ("orientation", [frame.axes for frame in frames]),
        ("pixel spacing", [frame.spacing for frame in frames]),
    ):
        far = np.abs(np.array(values, float) - np.array(values[0], float)).max(axis=1) > ALIKE
        if far.any():
            other = frames[int(np.argmax(far))]
            raise DataError(
                f"{where}: the images of this series differ in {name} ({first.file.name} and "
                f"{other.file.name}); expected one stack of slices.\n"
                f"  Put the images that were delineated into a folder of their own."
            )
    axes = np.reshape(first.axes or (), (2, 3))
    if not np.allclose(axes @ axes.T, np.eye(2), atol=10 * ALIKE) or min(first.spacing or (0.0,)) <= 0:
        raise DataError(
            f"{where}: {first.file.name} has rows and columns that are not at right angles, or pixels "
            f"without size (ImageOrientationPatient, PixelSpacing).\n  {AGAIN}"
        )


def _empty(uid: str, frames: Sequence[Frame], headers: dict[Path, Dataset]) -> dict[str, int]:
    counts = {
        "SeriesInstanceUID": 0 if uid else len(frames),
        "SOPInstanceUID": sum(not frame.instance_uid for frame in frames),
        "SOPClassUID": sum(not frame.sop_class for frame in frames),
        STUDY: sum(not headers[frame.file].get(STUDY) for frame in frames),
        FRAME_OF_REFERENCE: sum(not headers[frame.file].get(FRAME_OF_REFERENCE) for frame in frames),
    }
    return {name: count for name, count in counts.items() if count}


def _check_repeats(frames: Sequence[Frame], where: str) -> None:
    uids = [(frame.instance_uid, frame.number) for frame in frames if frame.instance_uid]
    if twice := len(uids) - len(set(uids)):
        raise DataError(
            f"{where}: {twice} images repeat the SOPInstanceUID of another.\n"
            f"  Take the copies out of the folder."
        )


def _check_one_patient(headers: dict[Path, Dataset], where: str) -> None:
    for name, said in (
        (FRAME_OF_REFERENCE, "frames of reference"),
        (STUDY, "studies"),
        (PATIENT, "patients"),
    ):
        values = {str(header.get(name) or "") for header in headers.values()}
        if len(values) > 1:
            raise DataError(
                f"{where}: the images of this series are of {len(values)} {said} ({name} differs).\n"
                f"  Positions of one mean nothing in another: put the images of each into its own folder."
            )


# What is particular about a stack


def _findings(positions: Vectors, normal: Vectors, images: int) -> tuple[str, ...]:
    notes = []
    if images > len(positions):
        notes.append(
            f"{images} images at {len(positions)} places: each slice refers to all images at its place"
        )
    tilt = _tilt(positions, normal)
    if tilt > TILT_DEG:
        notes.append(f"slices lean by {tilt:.1f} degrees against their normal (gantry tilt)")
    if odd := _off_grid(positions, normal):
        notes.append(odd)
    return tuple(notes)


def _tilt(positions: Vectors, normal: Vectors) -> float:
    """Degrees between the line of the slices and their normal."""
    if len(positions) < 2:
        return 0.0
    line = positions[-1] - positions[0]
    along = float(line @ normal)
    return float(np.degrees(np.arctan2(np.linalg.norm(line - along * normal), along)))


def _off_grid(positions: Vectors, normal: Vectors) -> str | None:
    """In words, why the slices are not those of one grid; None where they are."""
    if len(positions) < 3:
        return None
    gaps = np.diff(positions @ normal)
    usual = float(np.median(gaps))
    odd = np.abs(gaps - usual) > max(EVEN * usual, SAME_PLACE)
    steps = np.linspace(0, 1, len(positions))[:, None]
    line = positions[0] + steps * (positions[-1] - positions[0])
    off = float(np.linalg.norm(positions - line, axis=1).max())
    if not odd.any() and off <= max(PLACED * usual, SAME_PLACE):
        return None
    times = np.round(gaps / usual)
    if (times >= 1).all() and (np.abs(gaps - times * usual) <= max(EVEN * usual, SAME_PLACE) * times).all():
        if missing := int((times - 1).sum()):
            return f"{missing} of {missing + len(positions)} slices are missing"
        return f"slices are shifted against each other by up to {off:.3g} mm within their planes"
    return (
        f"slices are unevenly spaced: {gaps.min():.3g} to {gaps.max():.3g} mm apart, usually {usual:.3g} mm"
    )
