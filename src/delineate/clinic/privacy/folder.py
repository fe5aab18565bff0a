"""Folder: a whole folder without identity, in three steps: read all headers, write each file, search it.

Nothing is written that was not searched first: a file is made beside its place, read again, and moved there
only if nothing of the input is left in it. Files that cannot be read or must not leave are held back and
counted; files of other kinds are never copied, since nobody knows what they hold. Killed and started again,
it goes on where it was: `state.jsonl` in the output lists what is done, by references that only the key
explains.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian

from delineate.clinic.privacy import header as headers
from delineate.clinic.privacy import nifti, pixels
from delineate.clinic.privacy.faces import face_of
from delineate.clinic.privacy.heads import Faces, take_face
from delineate.clinic.privacy.inventory import Inventory, person_of
from delineate.clinic.privacy.keys import Key
from delineate.clinic.privacy.known import Known
from delineate.clinic.privacy.report import DeidentifyReport, Done, Held
from delineate.clinic.privacy.table import EDITION, Option, Profile
from delineate.clinic.privacy.verify import Search, bytes_survivors, survivors
from delineate.errors import DataError, Error
from delineate.io import read_volume
from delineate.io.disk import file_digest, is_partial, replacing, sweep, write_bytes, write_text
from delineate.io.foreign import quiet, reading
from delineate.io.frames import dataset, is_dicom
from delineate.progress import Progress, silent

DEFAULT: tuple[Option, ...] = ("modified_dates", "descriptors", "structured")
STATE = "state.jsonl"
REPORT = "report.json"
DICOMDIR = "1.2.840.10008.1.3.10"
TEXT_SEEN = "text seems to stand in its pixels: have it blanked (--blank-text), or look at it yourself"
NO_FACE = "its face cannot be taken: the picture cuts the head, or cannot be read"
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
Text = Literal["hold", "blank", "keep"]


@dataclass(frozen=True)
class Wishes:
    """What is wanted beside the basic profile.

    options  of PS3.15 Annex E
    text     what becomes of pictures in which text seems to stand: held back, blanked, or kept as they are
    deface   take the faces from scans of heads
    dry_run  only say what would be done
    """

    options: tuple[Option, ...] = DEFAULT
    text: Text = "hold"
    deface: bool = False
    dry_run: bool = False

    def digest(self, key: Key) -> str:
        """Changes when anything does that makes other files."""
        return key.reference(f"settings {sorted(self.options)} {self.text} {self.deface}")


class _HeldBack(Error):  # noqa: N818 - never leaves this file
    """A file that must not be written; the reason quotes nothing from it."""


@dataclass
class _Work:
    """A folder under way."""

    source: Path
    out: Path
    key: Key
    wishes: Wishes
    inventory: Inventory
    faces: Faces = field(default_factory=Faces)
    tally: headers.Tally = field(default_factory=headers.Tally)
    left_out: Counter[str] = field(default_factory=Counter)
    held: dict[Path, str] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)
    places: dict[Path, Path] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


def deidentify(
    source: Path,
    out: Path,
    key: Key,
    wishes: Wishes = Wishes(),
    *,
    mapping: Path | None = None,
    progress: Progress = silent,
) -> DeidentifyReport:
    """Writes the DICOM and NIfTI files of a folder (or one file) to another, without identity.

    mapping  a file outside the output for which file became which: it leads back, so keep it with the key
    """
    _refuse_places(source, out, mapping)
    work = _Work(source, out, key, wishes, Inventory(Profile(wishes.options)))
    done = {} if wishes.dry_run else _resume(out, wishes.digest(key))
    dicoms, niftis = _sorted(work)
    _read_headers(work, dicoms, progress)
    known = work.inventory.known
    search = Search.of(work.inventory, known)
    files = [*dicoms, *niftis]
    for number, path in enumerate(files):
        progress(number, len(files), f"{number + 1} of {len(files)}")
        if path not in work.held:
            _one(work, path, known, search, done, is_nifti=path in niftis)
    progress(len(files), len(files), "")
    report = _report(work, len(files), search)
    if not wishes.dry_run:
        write_text(out / REPORT, report.to_json())
    if mapping is not None:
        _write_mapping(mapping, work)
    return report


def _refuse_places(source: Path, out: Path, mapping: Path | None) -> None:
    if not source.exists():
        raise DataError(f"{source}: is not there. Expected a folder of DICOM or NIfTI files, or one file.")
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or outer in inner.parents or inner in outer.parents:
        raise DataError(
            f"{out}: the output must lie outside the input {source}, and the input outside the output.\n"
            f"  Name a new folder beside it."
        )
    if mapping is not None and inner in mapping.resolve().parents:
        raise DataError(f"{mapping}: leads back to patients and cannot lie in the output {out}.")


def _resume(out: Path, settings: str) -> dict[str, tuple[str, str]]:
    """What an earlier run wrote: reference of the input -> (path, digest) of the output."""
    state = out / STATE
    if not state.exists():
        if out.exists() and any(not is_partial(path) for path in out.iterdir()):
            raise DataError(f"{out}: is not empty. Name a new folder, so that nothing else is in it.")
        write_text(state, json.dumps({"settings": settings}) + "\n")
        return {}
    sweep(out)
    lines = [_line(text) for text in state.read_text(encoding="utf-8").splitlines()]
    if not lines or lines[0].get("settings") != settings:
        raise DataError(
            f"{out}: was begun with another key or other options; its files would not fit together.\n"
            f"  Name a new folder, or delete this one."
        )
    return {line["input"]: (line["output"], line["sha256"]) for line in lines[1:] if "sha256" in line}


def _line(text: str) -> dict[str, str]:
    """One line of the state; the last may be cut short, and is then done again."""
    try:
        line = json.loads(text)
    except json.JSONDecodeError:
        return {}
    return line if isinstance(line, dict) else {}


def _sorted(work: _Work) -> tuple[list[Path], list[Path]]:
    """The DICOM and the NIfTI files; others are counted by suffix."""
    root = work.source
    dicoms: list[Path] = []
    niftis: list[Path] = []
    for path in [root] if root.is_file() else sorted(root.rglob("*")):
        if not path.is_file():
            continue
        if path.name.lower().endswith(nifti.ENDINGS):
            niftis.append(path)
        elif path.name.upper() == "DICOMDIR":
            work.left_out["DICOMDIR (make a new one for the output)"] += 1
        elif is_dicom(path) or path.suffix.lower() in (".dcm", ".dicom", ".ima"):
            dicoms.append(path)
        else:
            work.left_out[f"{path.suffix.lower()[:6] or 'no suffix'} (not DICOM, not NIfTI)"] += 1
    return dicoms, niftis


# First step: what the input names


def _read_headers(work: _Work, dicoms: list[Path], progress: Progress) -> None:
    series: dict[str, list[Path]] = {}
    first: dict[str, Dataset] = {}
    for number, path in enumerate(dicoms):
        progress(number, 2 * len(dicoms), "headers")
        try:
            content = _readable(path, stop_before_pixels=True)
            with reading(path, "DICOM", private=True), quiet("pydicom"):
                work.inventory.add(content)
                work.patients.add(person_of(content))
        except _HeldBack as held:
            work.held[path] = str(held)
        except Error:
            work.held[path] = "cannot be read as DICOM: damaged or cut short, so nobody knows what it holds"
        else:
            uid = str(content.get("SeriesInstanceUID") or "")
            series.setdefault(uid, []).append(path)
            first.setdefault(uid, content)
    if work.wishes.deface:
        for uid, files in series.items():
            work.faces.look(uid, files, first[uid])
        work.held |= work.faces.refused


def _readable(path: Path, *, stop_before_pixels: bool = False) -> Dataset:
    content = dataset(path, stop_before_pixels=stop_before_pixels)
    if not len(content) or not (content.get("SOPClassUID") or content.get("Modality") or content.get("Rows")):
        raise _HeldBack("holds no DICOM object: damaged or cut short")
    return content


# Second and third step: write, and search


def _one(
    work: _Work,
    path: Path,
    known: Known,
    search: Search,
    done: dict[str, tuple[str, str]],
    *,
    is_nifti: bool,
) -> None:
    """One file: written, found written, or held back."""
    reference = work.key.reference(f"{_within(path, work.source)} {file_digest(path)}")
    before = done.get(reference)
    if before and (work.out / before[0]).is_file() and file_digest(work.out / before[0]) == before[1]:
        work.places[path] = work.out / before[0]
        work.counts.update(written=1, resumed=1)
        return
    try:
        place = (_nifti if is_nifti else _dicom)(work, path, known, search)
    except _HeldBack as held:
        work.held[path] = str(held)
        return
    except Error:
        work.held[path] = "cannot be read to its end, or not be written: damaged or cut short"
        return
    work.counts["written"] += 1
    if not work.wishes.dry_run:
        work.places[path] = place
        _remember(work.out, reference, place)


def _within(path: Path, source: Path) -> str:
    return str(path.relative_to(source)) if source.is_dir() else path.name


def _remember(out: Path, reference: str, place: Path) -> None:
    line = {"input": reference, "output": str(place.relative_to(out)), "sha256": file_digest(place)}
    with (out / STATE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _dicom(work: _Work, path: Path, known: Known, search: Search) -> Path:
    content = _readable(path)
    tally = headers.Tally()
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        person = person_of(content)
        profile = work.inventory.profile
        rules = headers.Rules(work.key, profile, work.key.pseudonym(person), work.key.days(person), known)
        was_text = pixels.may_hold_text(content)
        headers.deidentified(content, rules, tally)
        _treat_pixels(work, path, content, was_text=was_text)
        if not headers.name_itself(content, work.key, f"{_within(path, work.source)}"):
            raise _HeldBack("does not say what kind of object it is (SOPClassUID)")
        _check_encoding(content)
        content.file_meta = headers.new_meta(content)
        content.preamble = bytes(128)
    place = _place(work, path, content, rules.pseudonym)
    if not work.wishes.dry_run:
        _write(place, content, search, path)
    work.tally.actions.update(tally.actions)
    return place


def _check_encoding(content: Dataset) -> None:
    pieces = "PixelData" in content and content["PixelData"].is_undefined_length
    if pieces and not content.file_meta.get("TransferSyntaxUID"):
        raise _HeldBack("does not say how its pixels are compressed (TransferSyntaxUID)")


def _treat_pixels(work: _Work, path: Path, content: Dataset, *, was_text: bool) -> None:
    for group in pixels.overlay_text(content):
        for tag in [tag for tag in content.keys() if tag.group == group]:  # noqa: SIM118 - tags, not values
            del content[tag]
        work.counts["overlays"] += 1
    masks = work.faces.masks.get(path)
    if masks and take_face(content, masks):
        content.RecognizableVisualFeatures = "NO"
        headers.add_method(content, "faces")
        work.counts["defaced"] += 1
    if was_text and work.wishes.text != "keep":
        _treat_text(work, content)


def _treat_text(work: _Work, content: Dataset) -> None:
    said = str(content.get("BurnedInAnnotation") or "") == "YES"
    if work.wishes.text == "hold":
        if said or pixels.text_areas(content):
            raise _HeldBack(TEXT_SEEN)
        return
    gone = pixels.blanked(content)
    if gone is False or (said and not gone):
        raise _HeldBack("text stands in its pixels that could not be found, or not be blanked")
    if gone:
        content.BurnedInAnnotation = "NO"
        headers.add_method(content, "pixels")
        work.counts["blanked"] += 1


def _place(work: _Work, path: Path, content: Dataset, pseudonym: str) -> Path:
    """Where a file goes: names made of substitutes, so that a study and a series stay together."""
    names = [
        str(content.get(name) or "") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    ]
    study, series, image = (work.key.reference(name or _within(path, work.source))[:12] for name in names)
    modality = "".join(sign for sign in str(content.get("Modality") or "XX") if sign.isalnum())[:8]
    place = work.out / pseudonym / study / f"{modality}-{series}" / f"{image}.dcm"
    return _free(work, place)


def _free(work: _Work, place: Path) -> Path:
    """A place that no other file of this run took: copies of one image get numbers."""
    taken, free, number = set(work.places.values()), place, 2
    while free in taken:
        free, number = place.with_stem(f"{place.stem}-{number}"), number + 1
    return free


def _write(place: Path, content: Dataset, search: Search, path: Path) -> None:
    with replacing(place) as temporary:
        with reading(path, "DICOM", private=True), quiet("pydicom"):
            little = content.file_meta.TransferSyntaxUID != ExplicitVRBigEndian
            pydicom.dcmwrite(
                temporary, content, implicit_vr=False, little_endian=little, enforce_file_format=True
            )
        left = survivors(temporary, search)
        if left:
            found = sorted({f"{survivor.kind} in {survivor.where}" for survivor in left})
            raise _HeldBack(f"something of the input was still in it: {', '.join(found)}")


def _nifti(work: _Work, path: Path, known: Known, search: Search) -> Path:
    face = None
    if work.wishes.deface:
        try:
            face = face_of(read_volume(path))
        except Error:
            raise _HeldBack(
                "its face cannot be taken: the picture cuts the head, or cannot be read"
            ) from None
        if face is None:
            work.faces.notes.append("a NIfTI file shows no head")
    content = nifti.without_names(path, face)
    left = tuple(bytes_survivors(content[: nifti.MOST_HEADER], search))
    if left:
        raise _HeldBack("something of the input was still in its header")
    name = f"{work.key.reference(_within(path, work.source))[:12]}.nii.gz"
    place = _free(work, work.out / "nifti" / name)
    if not work.wishes.dry_run:
        write_bytes(place, nifti.compressed(content))
    if face is not None:
        work.counts["defaced"] += 1
    return place


# What is told


def _report(work: _Work, count: int, search: Search) -> DeidentifyReport:
    done = sorted(work.tally.actions.items())
    held = [
        Held(file=work.key.reference(_within(path, work.source)), reason=reason)
        for path, reason in sorted(work.held.items())
    ]
    return DeidentifyReport(
        dry_run=work.wishes.dry_run,
        edition=EDITION,
        options=tuple(work.wishes.options),
        patients=tuple(sorted(work.key.pseudonym(person) for person in work.patients)),
        read=count,
        written=work.counts["written"],
        resumed=work.counts["resumed"],
        blanked=work.counts["blanked"],
        defaced=work.counts["defaced"],
        searched=0 if work.wishes.dry_run else search.count,
        done=tuple(Done(attribute=name, action=action, count=times) for (name, action), times in done),
        left_out=dict(work.left_out),
        held=tuple(held),
        notes=(*_doubts(work.inventory), *sorted(set(work.faces.notes))),
    )


def _doubts(inventory: Inventory) -> tuple[str, ...]:
    several = sum(len(issuers) > 1 for issuers in inventory.issuers.values())
    said = f"{several} patient ID(s) come from several issuers: each was taken as one patient"
    return (said,) if several else ()


def _write_mapping(mapping: Path, work: _Work) -> None:
    """Which file became which. For the owner of the key alone."""
    rows = [
        {
            "reference": work.key.reference(_within(path, work.source)),
            "input": str(path),
            "output": str(work.places[path]) if path in work.places else None,
        }
        for path in sorted({*work.places, *work.held})
    ]
    mapping.touch(mode=0o600)
    mapping.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    mapping.chmod(0o600)
