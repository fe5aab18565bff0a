"""Delivery: a result as the objects that leave, each read back by other code before it does.

All objects are written into a folder beside the place they go to. When every one of them has been read back
and agrees, the folder takes that place; otherwise nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from delineate.clinic import readback
from delineate.clinic.agreement import agreed
from delineate.clinic.measurements import pixels, volume_ml
from delineate.clinic.result import Finding, Result
from delineate.clinic.written import Written
from delineate.errors import DataError
from delineate.io.dicom import find_series
from delineate.io.disk import replacing, write_text
from delineate.record import Record

FILE = "delivery.json"

Writer = Callable[[Result, Path, Mapping[str, Written]], Written]  # what is written before it, by kind


class Delivered(Record):
    """One object: its file in the folder of the delivery, and what refers to it.

    sop_uid  and the other UIDs: of DICOM objects; "" for other files
    numbers  of its structures by name
    off_mm   how far the centroid of each structure was off when read back; empty for objects without voxels
    """

    kind: str
    file: str
    sop_class: str
    sop_uid: str
    series_uid: str
    numbers: dict[str, int]
    off_mm: dict[str, float]


class DeliveredStructure(Record):
    """One structure, by the identity that all objects share."""

    name: str
    code: str
    side: str | None
    region: str | None
    tracking_uid: str
    tracking_id: str
    voxels: int
    volume_ml: float


class Delivery(Record):
    """What was delivered for one series. Names no patient."""

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    made_by: str
    model_digest: str
    approved_by: str | None
    structures: tuple[DeliveredStructure, ...]
    objects: tuple[Delivered, ...]
    notes: tuple[str, ...]


def deliver(result: Result, out: Path, writers: Mapping[str, Writer]) -> Delivery:
    """Writes objects into the new folder `out`, reads each back, and returns what was delivered.

    writers  by file name, in the order of writing: later ones may refer to earlier ones

    An object that does not agree with the labels is refused, and then nothing is left at `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: is there already. Name a new folder, so that nothing delivered is lost.")
    known = readback.images(_files(result))
    objects, notes = [], list(result.notes)
    with replacing(out) as folder:
        folder.mkdir(parents=True)
        written: dict[str, Written] = {}
        volumes: dict[str, float] = {}
        for name, write in writers.items():
            made = write(result, folder / name, written)
            found = agreed(result, made, known, written, volumes)
            written[made.kind] = made
            volumes |= found.volumes_mm3
            objects.append(_delivered(made, name, dict(found.off_mm)))
            notes += [f"{made.kind}: {note}" for note in made.notes]
        delivery = _delivery(result, objects, notes)
        write_text(folder / FILE, delivery.to_json())
        if out.is_dir():
            out.rmdir()
    return delivery


def _files(result: Result) -> Sequence[Path]:
    """The files of the images, found anew by their series."""
    found = find_series(result.series.where) if result.series.where.is_dir() else ()
    files = [path for series in found if series.uid == result.series.uid for path in series.files]
    return files or [result.series.where]


def _delivered(made: Written, name: str, off: dict[str, float]) -> Delivered:
    return Delivered(
        kind=made.kind,
        file=name,
        sop_class=made.sop_class,
        sop_uid=made.sop_uid,
        series_uid=made.series_uid,
        numbers=dict(made.numbers),
        off_mm={structure: round(mm, 6) for structure, mm in off.items()},
    )


def _delivery(result: Result, objects: Sequence[Delivered], notes: Sequence[str]) -> Delivery:
    series = result.series
    return Delivery(
        study_uid=series.study_uid,
        series_uid=series.uid,
        frame_of_reference_uid=series.frame_of_reference_uid,
        made_by=f"{result.maker.name} {result.maker.version}, {result.maker.kind.lower()}",
        model_digest=result.maker.digest,
        approved_by=result.approval.reviewer if result.approval else None,
        structures=tuple(_structure(result, finding) for finding in result.findings),
        objects=tuple(objects),
        notes=tuple(dict.fromkeys(notes)),
    )


def _structure(result: Result, finding: Finding) -> DeliveredStructure:
    concept = finding.concept
    return DeliveredStructure(
        name=finding.name,
        code=str(concept.kind),
        side=None if concept.side is None else concept.side.meaning,
        region=None if concept.region is None else str(concept.region),
        tracking_uid=finding.tracking_uid,
        tracking_id=finding.tracking_id,
        voxels=sum(pixels(result, finding)),
        volume_ml=round(volume_ml(result, finding), 4),
    )
