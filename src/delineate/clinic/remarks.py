"""Remarks: what is particular about a series, from its headers, each with the way out.

An error stops every use; a warning asks for an option or a decision; a note is worth knowing. No remark names
a patient.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from pydicom.dataset import Dataset
from pydicom.uid import UID

from delineate.clinic.series import AGAIN
from delineate.errors import DataError, Error
from delineate.io.dicom import PET, check_codec
from delineate.io.dicom import Series as Images
from delineate.io.foreign import quiet, reading
from delineate.io.frames import VOLUMETRIC
from delineate.io.pet import pet_headers
from delineate.io.stack import in_order, oddities
from delineate.record import Record

FILM = "add --film (delineate segment): its pictures are planes, one after the other"

Severity = Literal["error", "warning", "note"]
Found = Iterator["Remark"]

STRAIGHTEN = "add --straighten (delineate segment, import-dicom): slices are interpolated onto an even grid"
APART = "put the images of each into a folder of their own"
CROOKED = ("tilt", "shift", "gap", "uneven")


class Remark(Record):
    """Something particular about a series: of what kind, in words, and what to do."""

    kind: str
    severity: Severity
    message: str
    remedy: str

    @property
    def can_be_straightened(self) -> bool:
        """Whether it is a matter of where slices lie."""
        return self.kind in CROOKED


def remarks_on(
    images: Images, volumes: Sequence[Images], headers: Mapping[Path, Dataset], scouts: int = 0
) -> tuple[Remark, ...]:
    """Everything particular about a series, errors first; `scouts` of its images were left out."""
    with quiet("pydicom"):
        found = [
            *_encoding(headers),
            *_identity(images, headers),
            *_scouts(images, scouts),
            *_kinds(images, volumes),
            *(_places(images) if len(volumes) == 1 else ()),
            *_uptake(images),
            *_pixels(headers),
        ]
    order = ("error", "warning", "note")
    return tuple(sorted(found, key=lambda remark: order.index(remark.severity)))


def _encoding(headers: Mapping[Path, Dataset]) -> Found:
    """Transfer syntaxes that nothing installed decodes."""
    tried: set[str] = set()
    for path, header in headers.items():
        syntax = str(header.file_meta.get("TransferSyntaxUID", ""))
        if not syntax or syntax in tried:
            continue
        tried.add(syntax)
        try:
            check_codec(path, header)
        except Error as error:
            remedy = str(error).removeprefix(f"{path}: ").split("\n")[-1].strip()
            yield Remark(
                kind="transfer-syntax",
                severity="error",
                message=f"its pixels are encoded as {UID(syntax).name}",
                remedy=remedy,
            )


def _identity(images: Images, headers: Mapping[Path, Dataset]) -> Found:
    """UIDs that are missing, repeated or mixed."""
    for keyword, what in (
        ("FrameOfReferenceUID", "frames of reference"),
        ("StudyInstanceUID", "studies"),
        ("PatientID", "patients"),
    ):
        values = {str(header.get(keyword) or "") for header in headers.values()}
        if len(values) > 1:
            message = f"its images are of {len(values)} {what} ({keyword} differs)"
            yield Remark(
                kind=f"mixed-{what.replace(' ', '-')}", severity="error", message=message, remedy=APART
            )
    missing = {
        "SeriesInstanceUID": not images.uid,
        "SOPInstanceUID": any(not frame.instance_uid for frame in images.frames),
        "StudyInstanceUID": any(not header.get("StudyInstanceUID") for header in headers.values()),
        "FrameOfReferenceUID": images.frames[0].is_placed
        and any(not header.get("FrameOfReferenceUID") for header in headers.values()),
    }
    if names := [name for name, is_missing in missing.items() if is_missing]:
        yield Remark(
            kind="missing-uids",
            severity="warning",
            message=f"{', '.join(names)} missing: no SEG, RTSTRUCT or SR can refer to it",
            remedy=AGAIN[0].lower() + AGAIN[1:].rstrip("."),
        )
    uids = [(frame.instance_uid, frame.number) for frame in images.frames if frame.instance_uid]
    if twice := len(uids) - len(set(uids)):
        yield Remark(
            kind="repeated-images",
            severity="error",
            message=f"{twice} images repeat the SOPInstanceUID of another",
            remedy="take the copies out of the folder",
        )


def _scouts(images: Images, left_out: int) -> Found:
    if all(frame.is_localizer for frame in images.frames):
        yield Remark(
            kind="localizer",
            severity="error",
            message="a scout, on which scans are planned",
            remedy="use the scan that was planned on it",
        )
    elif left_out:
        yield Remark(
            kind="localizer",
            severity="note",
            message=f"{left_out} more of its images are scouts",
            remedy="they are left out when it is read",
        )


def _kinds(images: Images, volumes: Sequence[Images]) -> Found:
    """Mosaics, pictures, images without a place, and several volumes in one series."""
    if any(frame.is_mosaic for frame in images.frames):
        yield Remark(
            kind="mosaic",
            severity="error",
            message="mosaics: the slices of a volume as tiles of one picture",
            remedy="convert it with dcm2niix and use its NIfTI file",
        )
    count = len(images.frames)
    unplaced = [frame for frame in images.frames if not frame.is_placed]
    is_picture = len(unplaced) == len(images.frames) and images.frames[0].sop_class not in VOLUMETRIC
    if is_picture:
        yield _pictures(images)
    elif unplaced:
        yield Remark(
            kind="no-place",
            severity="error",
            message=f"{len(unplaced)} of {count} images do not say where in the patient they lie",
            remedy="export the series again with its geometry",
        )
    if len(volumes) > 1:
        yield Remark(
            kind="several-volumes",
            severity="warning",
            message=f"holds {len(volumes)} volumes: time points, echoes, images of other sizes or directions",
            remedy="import-dicom takes the one that was drawn on; in Python: split_series(series)[0]",
        )


def _pictures(images: Images) -> Remark:
    """What is said of images without a place: a picture, a film, or views."""
    count, first = len(images.frames), images.frames[0]
    sized = first.sized or ("" if first.spacing else "pixels of unknown size: 1 mm")
    if count == 1:
        return Remark(
            kind="picture",
            severity="note",
            message=f"a picture without a place in the patient{f'; {sized}' if sized else ''}",
            remedy="nothing to do",
        )
    if len(images.files) == 1:
        return Remark(kind="film", severity="warning", message=f"a film of {count} pictures", remedy=FILM)
    return Remark(
        kind="pictures",
        severity="error",
        message=f"{count} pictures (views)",
        remedy="export the picture you want as a file of its own",
    )


def _places(images: Images) -> Found:
    """Slices that lean, lie unevenly, are missing or repeated."""
    frames = tuple(frame for frame in images.frames if frame.is_placed)
    if not frames:
        return
    where = str(images.where)
    try:
        with reading(images.where, "DICOM", private=True):
            ordered = in_order(frames, where)
            for odd in oddities(ordered, where):
                yield Remark(kind=odd.kind, severity="warning", message=odd.words, remedy=STRAIGHTEN)
    except DataError as error:
        message, _, remedy = str(error).removeprefix(f"{where}: ").partition("\n")
        kind = "duplicates" if "places" in message else "not-a-stack"
        yield Remark(
            kind=kind, severity="error", message=message.rstrip("."), remedy=remedy.strip().rstrip(".")
        )
    if len(frames) == 1:
        yield Remark(
            kind="one-slice", severity="note", message="a single slice", remedy="2D models can read it"
        )


def _uptake(images: Images) -> Found:
    """PET that does not become SUV."""
    if images.frames[0].sop_class not in PET:
        return
    try:
        pet_headers(images.frames, str(images.where)).uptake(str(images.where))
    except DataError as error:
        message, _, remedy = str(error).removeprefix(f"{images.where}: ").partition("\n")
        yield Remark(
            kind="no-suv",
            severity="warning",
            message=message.rstrip("."),
            remedy=" ".join(remedy.split()),
        )


def _pixels(headers: Mapping[Path, Dataset]) -> Found:
    if any(str(header.get("BurnedInAnnotation", "")) == "YES" for header in headers.values()):
        yield Remark(
            kind="text-in-pixels",
            severity="warning",
            message="text is burned into the pixels, and may name the patient",
            remedy="blank it before it leaves: delineate deidentify --blank-text",
        )
    if any(str(header.get("LossyImageCompression", "")) == "01" for header in headers.values()):
        yield Remark(
            kind="lossy",
            severity="note",
            message="was compressed with loss",
            remedy="fetch the original if it is still there",
        )
