"""Studies: what a folder of DICOM holds, by patient, study and series, and what can be done with each.

Only headers are read, and nothing is refused: what is particular about a series is a remark with its way
out. A `Download` knows patients and descriptions as the files have them, for the person who owns them; its
`report` has numbers in their place, and is what may be kept.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from delineate.clinic import rtstruct_reader, seg_reader
from delineate.clinic.remarks import Remark, remarks_on
from delineate.errors import DataError, Error
from delineate.io.dicom import Series as Images
from delineate.io.dicom import layout, split_series
from delineate.io.foreign import quiet, reading
from delineate.io.frames import NAMES, Frame, dataset, frames_of, is_dicom, object_kind
from delineate.progress import Progress, silent
from delineate.record import Record

Orientation = Literal["axial", "coronal", "sagittal", "oblique", "picture"]
Use = Literal["yes", "straightened", "film", "no"]

AXIS: tuple[Orientation, ...] = ("sagittal", "coronal", "axial")  # of the patient that the normal follows
ALONG = 0.9  # cosine: slices that turn away by more than 26 degrees are oblique
FACTS = [
    "PatientID", "PatientName", "StudyInstanceUID", "StudyDate", "StudyDescription", "SeriesDescription",
    "SeriesDate", "SeriesTime", "AcquisitionDate", "AcquisitionTime", "FrameOfReferenceUID",
    "BodyPartExamined", "ProtocolName", "Manufacturer", "StationName", "ContrastBolusAgent",
    "ContrastBolusAgentSequence", "BurnedInAnnotation", "LossyImageCompression",
]  # fmt: skip
ANNOTATIONS = {
    seg_reader.SEG: seg_reader.referenced,
    seg_reader.LABELMAP: seg_reader.referenced,
    rtstruct_reader.RTSTRUCT: rtstruct_reader.referenced,
}


class Verdict(Record):
    """Whether something can be done with a series, and why not, with the way out."""

    use: Use
    why: str = ""


class SeriesReport(Record):
    """One series, without what names anybody. Sizes are voxels and mm; None where no grid can be made."""

    number: int
    patient: str
    study: str
    uid: str
    modality: str
    orientation: Orientation
    images: int
    volumes: int
    shape: tuple[int, int, int] | None
    spacing: tuple[float, float, float] | None
    contrast: bool
    annotations: tuple[str, ...]
    segment: Verdict
    train: Verdict
    remarks: tuple[Remark, ...]


class DownloadReport(Record):
    """What a folder holds; patients and studies are numbers."""

    series: tuple[SeriesReport, ...]
    others: dict[str, int]
    unreadable: dict[str, str]


@dataclass(frozen=True, eq=False, repr=False)
class Entry:
    """One series of a download.

    headers      of its files, without pixels
    scouts       how many of its images were left out, as scouts
    annotations  files with segments or contours that refer to it
    """

    number: int
    images: Images
    headers: Mapping[Path, Dataset]
    annotations: tuple[Path, ...] = ()
    scouts: int = 0

    @property
    def first(self) -> Dataset:
        """The header of its first file."""
        return next(iter(self.headers.values()))

    def text(self, keyword: str) -> str:
        """What the first header says, as text; several values with DICOM's backslash between them."""
        with quiet("pydicom"):
            value = self.first.get(keyword)
        values = value if isinstance(value, MultiValue) else [value]
        return "\\".join("" if part is None else str(part).strip() for part in values)

    @property
    def modality(self) -> str:
        """CT, MR, PT, ..."""
        return self.images.modality

    @property
    def description(self) -> str:
        """SeriesDescription."""
        return self.text("SeriesDescription")

    @property
    def when(self) -> str:
        """Date and time at which the series was made, as text that sorts; empty where nobody says."""
        for kind in ("Series", "Acquisition"):
            if day := self.text(f"{kind}Date"):
                return f"{day}{self.text(f'{kind}Time')}"
        return self.text("StudyDate")

    @property
    def has_contrast(self) -> bool:
        """Whether the header names a contrast agent."""
        return bool(self.text("ContrastBolusAgent") or self.first.get("ContrastBolusAgentSequence"))

    @property
    def thickness_mm(self) -> float | None:
        """Of a slice, as the header has it."""
        return self.images.frames[0].thickness

    @property
    def orientation(self) -> Orientation:
        """How its first slice lies in the patient."""
        axes = self.images.frames[0].axes
        if axes is None:
            return "picture"
        normal = np.abs(np.cross(axes[:3], axes[3:]))
        return AXIS[int(normal.argmax())] if normal.max() > ALONG else "oblique"

    @cached_property
    def volumes(self) -> tuple[Images, ...]:
        """The volumes that it holds: time points, echoes, parts of other size or direction."""
        return split_series(self.images)

    @cached_property
    def remarks(self) -> tuple[Remark, ...]:
        """What is particular about it, each with its way out."""
        return remarks_on(self.images, self.volumes, self.headers, self.scouts)

    @cached_property
    def segment(self) -> Verdict:
        """Whether a model can read it as it lies in its folder."""
        return self._verdict([self.images])

    @cached_property
    def train(self) -> Verdict:
        """Whether it can be learnt from: what was drawn on it, on slices that make a grid."""
        if not self.annotations:
            return Verdict(use="no", why="no SEG or RTSTRUCT in this folder refers to it")
        return self._verdict(self.volumes)

    def _verdict(self, volumes: Sequence[Images]) -> Verdict:
        stops = next((r for r in self.remarks if r.severity == "error"), None)
        if stops is not None:
            return Verdict(use="no", why=f"{stops.message}: {stops.remedy}")
        try:
            layout(volumes[0])
        except Error as error:
            why = " ".join(str(error).removeprefix(f"{self.images.where}: ").split())
            if any(remark.kind == "film" for remark in self.remarks):
                return Verdict(use="film", why=why)
            crooked = [r for r in self.remarks if r.can_be_straightened]
            return Verdict(use="straightened" if crooked and len(volumes) == 1 else "no", why=why)
        return Verdict(use="yes")

    def report(self, patient: str, study: str, folder: Path) -> SeriesReport:
        """The same without what names anybody."""
        try:
            geometry = layout(self.volumes[0]).geometry
        except Error:
            geometry = None
        return SeriesReport(
            number=self.number,
            patient=patient,
            study=study,
            uid=self.images.uid,
            modality=self.modality,
            orientation=self.orientation,
            images=len(self.images.frames),
            volumes=len(self.volumes),
            shape=None if geometry is None else geometry.shape,
            spacing=None if geometry is None else geometry.spacing,
            contrast=self.has_contrast,
            annotations=tuple(str(path.relative_to(folder)) for path in self.annotations),
            segment=self.segment,
            train=self.train,
            remarks=self.remarks,
        )


@dataclass(frozen=True, eq=False, repr=False)
class Download:
    """What a folder of DICOM holds.

    others      what is there beside images: kind -> count
    unreadable  files that could not be read, and why
    """

    folder: Path
    series: tuple[Entry, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def patients(self) -> Mapping[str, Mapping[str, tuple[Entry, ...]]]:
        """Patient -> study UID -> series, in the order of the files; a patient is an ID, or else a study."""
        found: dict[str, dict[str, list[Entry]]] = defaultdict(lambda: defaultdict(list))
        for entry in self.series:
            study = entry.text("StudyInstanceUID")
            found[entry.text("PatientID") or study][study].append(entry)
        return {who: {uid: tuple(each) for uid, each in studies.items()} for who, studies in found.items()}

    @property
    def report(self) -> DownloadReport:
        """What may be kept and passed on: patients and studies by number, no text that people wrote."""
        return DownloadReport(
            series=tuple(
                entry.report(f"patient_{n:03d}", f"patient_{n:03d}_study_{m:02d}", self.folder)
                for n, studies in enumerate(self.patients.values(), 1)
                for m, entries in enumerate(studies.values(), 1)
                for entry in entries
            ),
            others=dict(self.others),
            unreadable=dict(self.unreadable),
        )

    def __repr__(self) -> str:
        return f"Download({len(self.patients)} patients, {len(self.series)} series)"


def look(folder: Path, *, progress: Progress = silent) -> Download:
    """What a folder and the folders below it hold."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder.\n  Name the folder of the download.")
    frames: dict[str, list[Frame]] = defaultdict(list)
    headers: dict[str, dict[Path, Dataset]] = defaultdict(dict)
    others: Counter[str] = Counter()
    unreadable: dict[str, str] = {}
    drawn: dict[Path, tuple[set[str], set[str]]] = {}
    files = [p for p in sorted(folder.rglob("*")) if not p.name.startswith(".") and p.is_file()]
    for number, path in enumerate(files):
        progress(number, len(files), path.name)
        if not is_dicom(path):
            continue
        try:
            header = dataset(path, stop_before_pixels=True, specific_tags=[*NAMES, *FACTS])
            if (kind := object_kind(path, header)) is not None:
                others[kind] += 1
                drawn |= _references(path, header)
                continue
            for frame in frames_of(path, header):
                frames[frame.series_uid].append(frame)
            headers[next(iter(frames_of(path, header))).series_uid][path] = header
        except Error as error:
            unreadable[str(path.relative_to(folder))] = _without(path, error)
    progress(len(files), len(files), "")
    return Download(folder, tuple(_entries(folder, frames, headers, drawn)), others, unreadable)


def _entries(
    folder: Path,
    frames: Mapping[str, Sequence[Frame]],
    headers: Mapping[str, Mapping[Path, Dataset]],
    drawn: Mapping[Path, tuple[set[str], set[str]]],
) -> Iterator[Entry]:
    """The series, by patient and study as they were found."""
    for number, (uid, each) in enumerate(frames.items(), 1):
        uids = {frame.instance_uid for frame in each}
        about = tuple(path for path, (series, images) in drawn.items() if uid in series or uids & images)
        scans = [frame for frame in each if not frame.is_localizer] or each
        images = Images(folder, uid, each[0].modality, tuple(scans))
        yield Entry(number, images, headers[uid], about, len(each) - len(scans))


def _references(path: Path, header: Dataset) -> dict[Path, tuple[set[str], set[str]]]:
    """The series and images that segments or contours refer to; nothing for other objects."""
    read: Callable[[Dataset], Any] | None = ANNOTATIONS.get(str(header.get("SOPClassUID", "")))
    if read is None:
        return {}
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        return {path: read(dataset(path, stop_before_pixels=True))}


def _without(path: Path, error: Error) -> str:
    return " ".join(str(error).removeprefix(f"{path}: ").split())
