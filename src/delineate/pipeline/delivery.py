"""Delivery: a label file as the objects that go to the hospital; a DICOM download as a training set."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from delineate.clinic import (
    Approval,
    Codes,
    Collected,
    CollectionWishes,
    Delivery,
    FhirVersion,
    Maker,
    Picking,
    Result,
    collect,
    make_result,
    open_series,
    with_probabilities,
)
from delineate.clinic import deliver as deliver_result
from delineate.clinic.seg_writer import Compression
from delineate.clinic.surface import SMOOTHING
from delineate.dataset import LabelTable, ValueTable, read_label_table
from delineate.errors import DataError
from delineate.io import read_label_values, read_volume
from delineate.io.manner import PLAIN, Manner
from delineate.pipeline.objects import writers
from delineate.pipeline.watch import Watch
from delineate.progress import Progress, silent
from delineate.space import LabelMap, LabelSchema, Volume

SegKind = Literal["BINARY", "LABELMAP", "FRACTIONAL"]
Holes = Literal["keyhole", "xor"]
MakerKind = Literal["AUTOMATIC", "SEMIAUTOMATIC", "MANUAL"]

BESIDE = "labels.json"
ROUNDED = 1e-3  # beyond 0 and 1: what interpolation and float16 leave


@dataclass(frozen=True)
class DeliveryWishes:
    """What is made of a label file, and what is said about it.

    seg, rtstruct  which kind of each; None for none
    labels         what the values mean: a label table or the labels.json of a model
    model          the model folder that made the labels: names, version and digest are taken from it
    codes          a table of codes beside the shipped one
    approved_by    who signed for the labels; without a name they are UNAPPROVED
    sr             the measurements as a report that points at the segments of the SEG
    fhir           versions of FHIR
    summary        a page to look at, as PDF and PNG; `summary_dicom` as an object of the study too
    names_patient  whether the page does
    compress       how the SEG is; "none" is read everywhere
    probabilities  a file with a channel for each structure: what a fractional SEG holds
    regions        the regions of the labels as structures, which may overlap, in place of the labels
    mesh_smoothing pairs of steps for the surfaces in STL and GLB; 0 for none
    """

    seg: SegKind | None = None
    rtstruct: Holes | None = None
    labels: Path | None = None
    model: Path | None = None
    codes: Path | None = None
    kind: MakerKind = "AUTOMATIC"
    made_by: str | None = None
    approved_by: str | None = None
    series_uid: str | None = None
    empty_frames: bool = False
    sr: bool = False
    fhir: tuple[FhirVersion, ...] = ()
    stl: bool = False
    glb: bool = False
    mesh_smoothing: int = SMOOTHING
    summary: bool = False
    summary_dicom: bool = False
    names_patient: bool = False
    compress: Compression = "none"
    probabilities: Path | None = None
    regions: bool = False

    def check(self) -> None:
        """Refuses wishes for nothing, and for what needs something that is not wished for."""
        single = (self.seg, self.rtstruct, self.sr, self.fhir, self.stl, self.glb, self.summary)
        if not any((*single, self.summary_dicom)):
            raise DataError(
                "nothing to deliver. Say what to write: --seg, --rtstruct, --sr, --fhir, --stl, --glb, "
                "--summary."
            )
        if self.probabilities is not None and self.seg != "FRACTIONAL":
            raise DataError(
                "--probabilities: only a fractional SEG holds them.\n  Add --seg --seg-kind fractional."
            )
        if self.sr and self.seg is None:
            raise DataError("--sr: the report points at segments, and there are none.\n  Add --seg.")
        if self.summary_dicom and not self.summary:
            raise DataError("--summary-dicom: holds the page of the summary.\n  Add --summary.")
        if self.names_patient and not self.summary:
            raise DataError("--name-patient: is about the page of the summary.\n  Add --summary.")


def deliver(
    labels: Path, series: Path, out: Path, how: DeliveryWishes, watch: Watch, when: datetime
) -> Delivery:
    """Writes what is wished for into the new folder `out`, each object read back before it gets there."""
    how.check()
    with watch.stage("read"):
        slices = open_series(series, how.series_uid)
        label_map = _label_map(labels, how)
        codes = Codes.shipped() if how.codes is None else Codes.shipped().extended(how.codes)
    approval = None if how.approved_by is None else Approval(how.approved_by, when)
    result = make_result(
        label_map, slices, _maker(how), when=when, codes=codes, approval=approval, regions=how.regions
    )
    if how.probabilities is not None:
        result = with_probabilities(result, _probabilities(how.probabilities, result, label_map.schema))
    with watch.stage("write and read back"):
        delivery = deliver_result(result, out, writers(result, how))
    for note in delivery.notes:
        watch.say(f"note: {note}")
    return delivery


def _probabilities(path: Path, result: Result, schema: LabelSchema) -> Volume:
    """The channels of a file of probabilities by the names of the structures: `segment` writes them in order.

    A channel for background before those of labels is left out.
    """
    volume = read_volume(path)
    names = tuple(finding.name for finding in result.findings)
    count = len(volume.array)
    has_background = count == len(names) + 1 and not (result.overlaps or schema.regions)
    if count != len(names) and not has_background:
        raise DataError(
            f"{path}: holds {count} channels; expected one for each structure ({', '.join(names)}), with or "
            f"without background before them.\n"
            f"  Name the file that `delineate segment --probabilities` wrote beside the labels."
        )
    low, high = float(volume.array.min()), float(volume.array.max())
    if not (low >= -ROUNDED and high <= 1 + ROUNDED):
        raise DataError(f"{path}: values of {low:g} to {high:g} are no probabilities; expected 0 to 1.")
    array = volume.array[1:] if has_background else volume.array
    return Volume(array, volume.geometry, names)


def _maker(how: DeliveryWishes) -> Maker:
    if how.model is None:
        return Maker(how.kind, how.made_by or ("manual" if how.kind == "MANUAL" else "delineate"))
    from delineate.networks.model import Model

    model = Model.open(how.model)
    digest = model.manifest.digest()
    return Maker(how.kind, how.made_by or how.model.resolve().name, digest[:12], digest)


def _label_map(path: Path, how: DeliveryWishes) -> LabelMap:
    """The labels of a file with their meaning."""
    file = read_label_values(path)
    table = _meaning(path, how)
    translated = (table.values or ValueTable.identity(table.schema)).applied(file.array)
    if translated.unknown:
        raise DataError(
            f"{path}: holds the values {sorted(translated.unknown)}, which the label table does not list.\n"
            f"  Add them to the table, or name the table that was made for these labels (--labels FILE)."
        )
    return LabelMap(translated.array, file.geometry, table.schema, file.notes)


def _meaning(path: Path, how: DeliveryWishes) -> LabelTable:
    beside = path.parent / BESIDE
    named = how.labels or (how.model and how.model / BESIDE) or (beside if beside.is_file() else None)
    if named is None:
        raise DataError(
            f"{path}: nothing says what its values mean.\n"
            f'  Put a labels.json beside it ({{"background": 0, "liver": 1}}), or name one (--labels FILE), '
            f"or the model that made it (--model MODEL)."
        )
    if _is_schema(named):
        return LabelTable(LabelSchema.load(named))
    return read_label_table(named)


def _is_schema(path: Path) -> bool:
    """Whether a file is the labels.json of a model: a list of labels with their codes."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and isinstance(content.get("labels"), list)


def import_dicom(
    folder: Path,
    out: Path,
    *,
    structures: tuple[str, ...] = (),
    rename: tuple[str, ...] = (),
    overlap: Literal["refuse", "smaller"] = "smaller",
    picking: Picking | None = None,
    reading: Manner = PLAIN,
    progress: Progress = silent,
) -> Collected:
    """Makes a training set of a DICOM download in the new folder `out`.

    rename   "PATTERN=NAME": structures whose names match (* and ? stand for anything) are called NAME
    picking  which series are taken; None for all that were drawn on
    reading  how series are read where there is a choice
    """
    pairs = [(pattern, name) for pattern, _, name in (text.rpartition("=") for text in rename)]
    if bad := [text for text, pair in zip(rename, pairs, strict=True) if not all(pair)]:
        raise DataError(f"--rename {bad[0]}: expected PATTERN=NAME, such as 'GTV*=GTV'.")
    wishes = CollectionWishes(structures, tuple(pairs), overlap, picking, reading)
    return collect(folder, out, wishes, progress=progress)
