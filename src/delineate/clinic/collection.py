"""Collection: a DICOM download (TCIA, a PACS export) as a training set.

Every SEG and RTSTRUCT finds its series by the UIDs that it refers to, never by folder names. Each pair
becomes a case: the image and its labels as NIfTI on one grid, in a manifest that `Dataset.open` reads. What
cannot be used is left out, and the report says why. Patients are counted, not named: the manifest holds
numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom.dataset import Dataset

from delineate.clinic import rtstruct_reader, seg_reader
from delineate.clinic.annotation import Annotation, Overlap
from delineate.clinic.picking import Picking, pick
from delineate.clinic.series import Series, series_of
from delineate.clinic.studies import look
from delineate.errors import DataError, Error
from delineate.io import write_labels, write_volume
from delineate.io.dicom import Series as Images
from delineate.io.dicom import find_series, read_series, split_series
from delineate.io.disk import replacing, write_json, write_text
from delineate.io.foreign import quiet
from delineate.io.frames import dataset, is_dicom
from delineate.io.manner import PLAIN, Manner
from delineate.io.stack import in_order, oddities, slices_of
from delineate.progress import Progress, silent
from delineate.record import Record
from delineate.space import Label, LabelMap, LabelSchema, Volume

KINDS = {
    seg_reader.SEG: "SEG",
    seg_reader.LABELMAP: "SEG",
    rtstruct_reader.RTSTRUCT: "RTSTRUCT",
}
REPORT = "import.json"
NOT_ANNOTATED = "marked as not annotated"


@dataclass(frozen=True)
class CollectionWishes:
    """What is taken of a download.

    structures  names of those that are wanted, after renaming; empty for all
    rename      patterns and the names that stand for what they match: ("GTV*", "GTV")
    overlap     what becomes of voxels of two structures: "refuse" leaves the case out
    picking     which series are taken; None for all that were drawn on
    reading     how series are read where there is a choice
    """

    structures: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()
    overlap: Literal["refuse", "smaller"] = "smaller"
    picking: Picking | None = None
    reading: Manner = PLAIN


class ImportedCase(Record):
    """One case: what it was made of, and what its values are measured in, where the files say."""

    case: str
    patient: str
    modality: str
    annotation: str
    image_series_uid: str
    structures: dict[str, int]
    unit: str
    notes: tuple[str, ...]


class LeftOut(Record):
    """A file, or a structure of one, that was not used, and why."""

    file: str
    why: str


class Collected(Record):
    """What became of a download."""

    cases: tuple[ImportedCase, ...]
    left_out: tuple[LeftOut, ...]
    schema_names: tuple[str, ...]

    def lines(self) -> list[str]:
        """The report as a person reads it."""
        said = [f"{c.case}: {c.modality}, {', '.join(c.structures)} ({c.annotation})" for c in self.cases]
        for case in self.cases:
            said += [f"  {case.case}: {note}" for note in case.notes]
        said += [f"left out: {item.file}: {item.why}" for item in self.left_out]
        return said


def collect(
    folder: Path, out: Path, wishes: CollectionWishes | None = None, *, progress: Progress = silent
) -> Collected:
    """Makes a training set of a download in the new folder `out`, and returns what became of what.

    `out` gets images/, labels/, labels.json, dataset.csv and import.json; all of it or nothing.
    """
    if out.exists():
        raise DataError(f"{out}: is there already. Name a new folder.")
    how = wishes or CollectionWishes()
    objects, left_out = _objects(folder)
    if not objects:
        raise DataError(
            f"{folder}: no SEG and no RTSTRUCT in this folder, so there are no labels to learn from.\n"
            f"  Download the annotations of the collection too; scans alone are segmented with a model."
        )
    series = _image_series(folder)
    passed_over = _passed_over(folder, how.picking)
    found: list[tuple[Annotation, Images]] = []
    for number, (path, content) in enumerate(objects):
        progress(number, len(objects), path.name)
        try:
            annotation, images = _resolved(path, content, series, how.rename)
            if images.uid in passed_over:
                raise DataError(f"its series was passed over: {passed_over[images.uid]}.")
            found.append((annotation, images))
        except Error as error:
            left_out.append(LeftOut(file=_inside(path, folder), why=_short(str(error), path)))
    schema = _schema([annotation for annotation, _ in found], how.structures, folder)
    with replacing(out) as temporary:
        cases: list[ImportedCase] = []
        patients: dict[str, str] = {}
        for number, (annotation, images) in enumerate(found):
            progress(number, len(found), annotation.path.name)
            patient = patients.setdefault(_patient(annotation.series), f"patient_{len(patients) + 1:03d}")
            name = f"{patient}_{len([c for c in cases if c.patient == patient]) + 1:02d}"
            try:
                cases.append(_write_case(temporary, name, patient, annotation, images, schema, how, folder))
            except Error as error:
                why = _short(str(error), annotation.path)
                left_out.append(LeftOut(file=_inside(annotation.path, folder), why=why))
        progress(len(found), len(found), "")
        report = Collected(
            cases=tuple(cases), left_out=tuple(left_out), schema_names=tuple(x.name for x in schema.labels)
        )
        if not cases:
            listed = "\n".join(f"  {line}" for line in report.lines())
            raise DataError(f"{folder}: no case could be made of {len(objects)} annotations:\n{listed}")
        _write_tables(temporary, report, schema)
    return report


# What there is


def _objects(folder: Path) -> tuple[list[tuple[Path, Dataset]], list[LeftOut]]:
    """The SEGs and RTSTRUCTs in a folder and below it."""
    objects, left_out = [], []
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or not is_dicom(path):
            continue
        try:
            header = dataset(path, stop_before_pixels=True, specific_tags=["SOPClassUID"])
            with quiet("pydicom"):
                kind = KINDS.get(str(header.get("SOPClassUID", "")))
            if kind is not None:
                objects.append((path, dataset(path, stop_before_pixels=True)))
        except Error as error:
            left_out.append(LeftOut(file=_inside(path, folder), why=_short(str(error), path)))
    return objects, left_out


def _image_series(folder: Path) -> tuple[Images, ...]:
    try:
        return find_series(folder)
    except DataError:
        return ()


def _passed_over(folder: Path, picking: Picking | None) -> dict[str, str]:
    """The series that the rules do not take, and why."""
    if picking is None:
        return {}
    return {each.uid: each.why for each in pick(look(folder), picking) if not each.taken}


def _resolved(
    path: Path, content: Dataset, series: Sequence[Images], rename: Sequence[tuple[str, str]]
) -> tuple[Annotation, Images]:
    """An annotation on the series that it refers to, its structures renamed."""
    kind = KINDS[str(content.SOPClassUID)]
    with quiet("pydicom"):
        uids, images = (seg_reader if kind == "SEG" else rtstruct_reader).referenced(content)
        space = str(content.get("FrameOfReferenceUID", ""))
    chosen, notes = _chosen(series, uids, images, space)
    slices = series_of(chosen)
    read = seg_reader.read_seg if kind == "SEG" else rtstruct_reader.read_rtstruct
    found = read(path, slices)
    known = {frame.instance_uid for each in series for frame in each.frames}
    if absent := len(images - known):
        notes = (*notes, f"refers to {absent} images that are not in this folder")
    structures = tuple(replace(s, name=_renamed(s.name, rename)) for s in found.structures)
    names = [structure.name for structure in structures]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"several of its structures are called {', '.join(twice)} after renaming.")
    return replace(found, structures=structures, notes=(*notes, *found.notes)), chosen


def _renamed(name: str, rename: Sequence[tuple[str, str]]) -> str:
    return next((new for pattern, new in rename if fnmatchcase(name, pattern)), name)


def _chosen(
    series: Sequence[Images], uids: set[str], images: set[str], space: str
) -> tuple[Images, tuple[str, ...]]:
    """The series that holds the images that are referred to; of one with several volumes, the volume."""
    if not uids and not images:
        return _sharing(series, space)
    held = [sum(frame.instance_uid in images for frame in each.frames) for each in series]
    best = max(range(len(series)), key=lambda n: (held[n], series[n].uid in uids), default=None)
    if best is None or not (held[best] or series[best].uid in uids):
        raise DataError(
            f"refers to a series that is not in this folder "
            f"({', '.join(sorted(uids)) or 'its UID is not given'}; {len(images)} images). Download it too."
        )
    parts = split_series(series[best])
    counts = [sum(frame.instance_uid in images for frame in part.frames) for part in parts]
    chosen = parts[max(range(len(parts)), key=lambda n: counts[n])]
    if len(parts) == 1:
        return chosen, ()
    also = (
        f", {sum(count > 0 for count in counts)} of which are referred to"
        if sum(map(bool, counts)) > 1
        else ""
    )
    return chosen, (f"its series holds {len(parts)} volumes{also}: the first of them was taken",)


def _sharing(series: Sequence[Images], space: str) -> tuple[Images, tuple[str, ...]]:
    """The only series in a frame of reference: what is left where nothing is referred to."""
    sharing = [each for each in series if space and series_of(each).frame_of_reference_uid == space]
    if len(sharing) != 1:
        raise DataError(
            "refers to no images, and its frame of reference does not say which series it is about "
            f"({len(sharing)} share it)."
        )
    return sharing[0], ("refers to no images: taken for the only series in its frame of reference",)


# What is made of it


def _schema(found: Sequence[Annotation], wanted: tuple[str, ...], folder: Path) -> LabelSchema:
    """One value for each name that occurs, by the alphabet, or for those that are wanted, in their order."""
    structures = {s.name: s for annotation in reversed(found) for s in annotation.structures}
    missing = [name for name in wanted if name not in structures]
    if missing or (not structures and found):
        there = ", ".join(sorted(structures)) or "nothing"
        raise DataError(
            f"{folder}: no annotation has {', '.join(missing) or 'a structure'}; there are {there}."
        )
    names = wanted or tuple(sorted(structures))
    if not names:
        return LabelSchema.of("none")
    schema = Annotation("", folder, found[0].series, tuple(structures[name] for name in names)).schema
    return LabelSchema(labels=tuple(Label(**label.model_dump()) for label in schema.labels))


def _write_case(
    out: Path,
    name: str,
    patient: str,
    annotation: Annotation,
    images: Images,
    schema: LabelSchema,
    how: CollectionWishes,
    folder: Path,
) -> ImportedCase:
    volume = read_series(images, how.reading)
    labels = _labels_on(volume, annotation, images, schema, how)
    write_volume(volume, out / "images" / f"{name}.nii.gz")
    write_labels(labels, out / "labels" / f"{name}.nii.gz")
    drawn = {s.name: s.voxels for s in annotation.structures if s.voxels and s.name in _names(schema)}
    unused = sorted({s.name for s in annotation.structures} - _names(schema))
    notes = [
        *labels.notes,
        *volume.source.notes,
        *([f"not asked for: {', '.join(unused)}"] if unused else []),
    ]
    return ImportedCase(
        case=name,
        patient=patient,
        modality=annotation.series.modality,
        annotation=_inside(annotation.path, folder),
        image_series_uid=annotation.series.uid,
        structures=drawn,
        unit=volume.source.unit,
        notes=tuple(dict.fromkeys(notes)),
    )


def _labels_on(
    volume: Volume, annotation: Annotation, images: Images, schema: LabelSchema, how: CollectionWishes
) -> LabelMap:
    """The structures on the grid of the volume that their series became."""
    overlap: Overlap = how.overlap
    ordered = in_order(images.frames, str(images.where)) if how.reading.straighten else ()
    if ordered and oddities(ordered, str(images.where)):
        painted, values, said = annotation.painted(schema, overlap=overlap)
        values = values.but(ignore=max(values.values) + 1)
        array = slices_of(ordered).labels_on_even(painted, max(values.values))
        notes = (*annotation.notes, *said)
    else:
        labels = annotation.labels(schema, overlap=overlap)
        array, values, notes = labels.array, labels.schema, labels.notes
    if not np.isin(array, [label.value for label in values.labels]).any():
        raise DataError("none of the structures has a voxel on the slices of its series.")
    unknown = int((array == values.ignore).sum()) if values.ignore is not None else 0
    if unknown:
        notes = (*notes, f"{unknown} voxels between slices that lie far apart are {NOT_ANNOTATED}")
    return LabelMap(array, volume.geometry, values, notes)


def _names(schema: LabelSchema) -> set[str]:
    """The names that a schema has values for."""
    return {label.name for label in schema.labels}


def _patient(series: Series) -> str:
    """What tells patients apart; it stays in memory."""
    return str(series.header.get("PatientID", "") or series.study_uid)


def _write_tables(out: Path, report: Collected, schema: LabelSchema) -> None:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["case", "image", "label", "patient", "modality"])
    for case in report.cases:
        files = (f"images/{case.case}.nii.gz", f"labels/{case.case}.nii.gz")
        table.writerow([case.case, *files, case.patient, case.modality])
    write_text(out / "dataset.csv", text.getvalue())
    values: dict[str, int] = {"background": 0} | {label.name: label.value for label in schema.labels}
    if any(NOT_ANNOTATED in note for case in report.cases for note in case.notes):
        values["ignore"] = max(schema.values) + 1
    write_json(out / "labels.json", values)
    write_text(out / REPORT, report.to_json())


def _inside(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _short(text: str, path: Path) -> str:
    """A message without the name of the file, which stands before it."""
    return " ".join(text.replace(f"{path}: ", "").split())
