"""Read-back of reports: what an SR or a FHIR bundle says of each structure, taken apart by other code.

Like `readback` this page shares no code with what wrote them. The volumes that a report must agree with are
those that were counted when SEG or RTSTRUCT were read back, pixel by pixel, on the images' own files.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from delineate.clinic.readback import ImageKey, Plane
from delineate.errors import DataError

LINES = ("103339001", "103340004")  # long and short axis
LINE_MM, LINE_SHARE = 0.01, 1e-3
VOLUME_SHARE = 0.02  # slices of a regular series may be so far from even; volumes are of the usual distance
MM3_PER_UNIT = {"mm3": 1.0, "mL": 1000.0}
FAULT = "nothing was delivered.\n  This is a fault of this program: please report it."


@dataclass(frozen=True)
class Group:
    """What a report says of one structure.

    code     of what it is
    segment  SEG and number of the segment; None where no SEG is named
    """

    tracking_id: str
    code: str
    segment: tuple[str, int] | None
    volume_mm3: float


def sr_groups(path: Path, known: Mapping[ImageKey, Plane]) -> dict[str, Group]:
    """What a TID 1500 report says of each structure, by tracking UID; that of what is absent, too.

    known  the planes of the images, on which lines are as long as is said
    """
    content = pydicom.dcmread(path)
    evidence = {
        str(instance.ReferencedSOPInstanceUID)
        for study in content.CurrentRequestedProcedureEvidenceSequence
        for series in study.ReferencedSeriesSequence
        for instance in series.ReferencedSOPSequence
    }
    groups = [item for item in _below(content) if _named(item) == "125007" or _value(item) == "2667000"]
    found = dict(_sr_group(group) for group in groups if "121191" in map(_named, group.ContentSequence))
    lines = [item for group in groups for item in group.ContentSequence if _named(item) in LINES]
    for line in lines:
        _check_line(path, line, known)
    tracked = {str(item.UID) for item in _below(content) if _named(item) == "112040"}
    if strange := sorted(tracked - set(found)):
        raise DataError(f"{path}: measures {strange[0]}, of which it has no segment; {FAULT}")
    if unknown := [g for g in found.values() if g.segment is not None and g.segment[0] not in evidence]:
        raise DataError(f"{path}: {unknown[0].tracking_id} points at an object that is no evidence; {FAULT}")
    return found


def fhir_groups(path: Path) -> dict[str, Group]:
    """The measurement groups of a bundle by tracking UID; refuses references that lead nowhere."""
    entries = {entry["fullUrl"]: entry["resource"] for entry in json.loads(path.read_bytes())["entry"]}
    if lost := sorted(set(_references(list(entries.values()))) - set(entries)):
        raise DataError(f"{path}: refers to {lost[0]}, which is not in the bundle; {FAULT}")
    observations = [r for r in entries.values() if r["resourceType"] == "Observation"]
    groups = [r for r in observations if _coded(r["code"]) == "125007"]
    reports = [r for r in entries.values() if r["resourceType"] == "DiagnosticReport"]
    told = {link["reference"] for report in reports for link in report["result"]}
    if {url for url, r in entries.items() if any(r is group for group in groups)} != told:
        raise DataError(f"{path}: its report does not list every structure once; {FAULT}")
    return dict(_fhir_group(group, entries) for group in groups)


def check(path: Path, found: Mapping[str, Group], wanted: Mapping[str, Group]) -> None:
    """Refuses a report whose structures are not those of the result; both by tracking UID."""
    if set(found) != set(wanted):
        raise DataError(f"{path}: its structures have other tracking UIDs than the result; {FAULT}")
    for uid, want in wanted.items():
        got = found[uid]
        for what in ("tracking_id", "code", "segment"):
            if getattr(got, what) != getattr(want, what):
                raise DataError(
                    f"{path}: {want.tracking_id} has the {what} {getattr(got, what)!r} when read back; "
                    f"expected {getattr(want, what)!r}; {FAULT}"
                )
        if abs(got.volume_mm3 - want.volume_mm3) > VOLUME_SHARE * want.volume_mm3:
            raise DataError(
                f"{path}: {want.tracking_id} has {got.volume_mm3:.6g} mm3 when read back; counted pixel by "
                f"pixel it has {want.volume_mm3:.6g} mm3; {FAULT}"
            )


# SR


def _below(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", []):
        yield child
        yield from _below(child)


def _named(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].CodeValue) if names else ""


def _value(item: Dataset) -> str:
    values = item.get("ConceptCodeSequence")
    return str(values[0].CodeValue) if values else ""


def _check_line(path: Path, line: Dataset, known: Mapping[ImageKey, Plane]) -> None:
    """Refuses a length whose line, where it is drawn, has another."""
    drawn = line.get("ContentSequence", [None])[0]
    if drawn is None:
        return
    if drawn.ValueType == "SCOORD3D":
        ends = np.reshape(np.array(drawn.GraphicData, float), (2, 3))
    else:
        image = drawn.ContentSequence[0].ReferencedSOPSequence[0]
        key = (str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 0)))
        if key not in known:
            raise DataError(f"{path}: a line is drawn on an image that is not in the series; {FAULT}")
        corners = np.reshape(np.array(drawn.GraphicData, float), (2, 2)) - 0.5
        ends = np.array([known[key].world(*corner) for corner in corners])
    said = float(line.MeasuredValueSequence[0].NumericValue)
    if abs(np.linalg.norm(ends[1] - ends[0]) - said) > LINE_MM + LINE_SHARE * said:
        raise DataError(f"{path}: a line of {said:.4g} mm has another length where it is drawn; {FAULT}")


def _sr_group(group: Dataset) -> tuple[str, Group]:
    by_code = {_named(item): item for item in group.ContentSequence}
    referred = by_code["121191"].ReferencedSOPSequence[0]
    measured = by_code["118565006"].MeasuredValueSequence[0]
    unit = str(measured.MeasurementUnitsCodeSequence[0].CodeValue)
    return str(by_code["112040"].UID), Group(
        tracking_id=str(by_code["112039"].TextValue),
        code=str(by_code["121071"].ConceptCodeSequence[0].CodeValue),
        segment=(str(referred.ReferencedSOPInstanceUID), int(referred.ReferencedSegmentNumber)),
        volume_mm3=float(measured.NumericValue) * MM3_PER_UNIT[unit],
    )


# FHIR


def _references(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, dict):
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            yield from _references(value.values())
        elif isinstance(value, list):
            yield from _references(value)


def _coded(concept: Mapping[str, Any]) -> str:
    return str(concept["coding"][0]["code"])


def _fhir_group(group: Mapping[str, Any], entries: Mapping[str, Any]) -> tuple[str, Group]:
    identifiers = {each["system"].rpartition(":")[2]: each["value"] for each in group["identifier"]}
    members = [entries[link["reference"]] for link in group["hasMember"]]
    volume = next(member for member in members if _coded(member["code"]) == "118565006")["valueQuantity"]
    return identifiers["uid"].removeprefix("urn:oid:"), Group(
        tracking_id=identifiers["tracking-identifier"],
        code=_coded(group["valueCodeableConcept"]),
        segment=_fhir_segment(identifiers, [entries[link["reference"]] for link in group["derivedFrom"]]),
        volume_mm3=float(volume["value"]) * MM3_PER_UNIT[volume["code"]],
    )


def _fhir_segment(
    identifiers: Mapping[str, str], sources: Iterable[Mapping[str, Any]]
) -> tuple[str, int] | None:
    """The segment, as R5 selects it; R4 can only name it."""
    for source in sources:
        if source["resourceType"] == "ImagingSelection" and "instance" in source:
            return str(source["instance"][0]["uid"]), int(source["instance"][0]["subset"][0])
    uid, _, number = identifiers.get("segment", "").partition("#")
    return (uid, int(number)) if uid else None
