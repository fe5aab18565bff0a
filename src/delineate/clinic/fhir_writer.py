"""FHIR: a result as one transaction of resources, R4 or R5, plain JSON without a library.

    ImagingStudy      the series, and those of SEG and SR; kept where the server has the study already
    Device            the model; kept where the server has it already
    ImagingSelection  R5: the segment of each structure (R4 has no such resource)
    Observation       a group for each structure, by its tracking UID, and one for each number of it
    DiagnosticReport  what joins them; preliminary until a person has signed
    Provenance        what was made from what, by whom, and who signed

Resources name the patient by the identifier in the images and nothing else; no name, no birth date, no
invented values. References lead to resources of the same bundle.

Source: https://hl7.org/fhir/R4, https://hl7.org/fhir/R5, HL7 implementation guide dicom-sr 1.0.0 (R5).
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from delineate import __version__
from delineate.clinic.codes import SCT, Code, Concept
from delineate.clinic.measurements import Measured, Measurements
from delineate.clinic.result import Finding, Result, Uids, new_uid
from delineate.clinic.seg_writer import INTELLIGENCE
from delineate.clinic.sr_writer import (
    ATTENUATION,
    DEVIATION,
    GROUP,
    LONG,
    MEAN,
    SEGMENT,
    SHORT,
    SIDE,
    SOURCE_SERIES,
    VOLUME,
    device_uid,
)
from delineate.clinic.sr_writer import VOXELS as VOXEL_METHOD
from delineate.clinic.written import Written
from delineate.io.disk import write_json

FhirVersion = Literal["R4", "R5"]
Resource = dict[str, Any]

DICOM_UID = "urn:dicom:uid"  # the system of identifiers that are DICOM UIDs
SYSTEMS = {"SCT": "http://snomed.info/sct", "DCM": "http://dicom.nema.org/resources/ontology/DCM"}
UNITS = "http://unitsofmeasure.org"
TERMINOLOGY = "http://terminology.hl7.org/CodeSystem"
OURS = "urn:delineate"  # coding schemes of our own, and digests of models
REPORT = {"system": "http://loinc.org", "code": "18748-4", "display": "Diagnostic imaging study"}
FILES = {"SEG": "SEG", "SR": "SR", "RTSTRUCT": "RTSTRUCT"}  # objects of the study, with their modality
DECIMALS = 6  # of ml, mm and HU


def write_fhir(
    result: Result,
    path: Path,
    before: Mapping[str, Written],
    measurements: Measurements,
    version: FhirVersion,
    *,
    uids: Uids = new_uid,
) -> Written:
    """Writes a result as a Bundle (transaction) in one JSON file.

    before  what was written of the same result: SEG, SR, RTSTRUCT are referred to, the summary is put in
    """
    write_json(path, bundle(result, before, measurements, version, uids=uids))
    return Written(f"FHIR {version}", path, notes=measurements.notes)


def bundle(
    result: Result,
    before: Mapping[str, Written],
    measurements: Measurements,
    version: FhirVersion,
    *,
    uids: Uids = new_uid,
) -> Resource:
    """A result as a Bundle (transaction)."""
    making = _Making(result, before, measurements, version, uids)
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(making.entries())}


@dataclass(frozen=True)
class _Entry:
    """A resource, and the address by which others of the bundle refer to it."""

    address: str
    resource: Resource
    unless: str | None = None  # a search: where it finds one, that one is kept

    @property
    def reference(self) -> Resource:
        return {"reference": self.address}

    def as_json(self) -> Resource:
        kind = self.resource["resourceType"]
        request = {"method": "POST", "url": kind}
        if self.unless is not None:
            request["ifNoneExist"] = self.unless
        return {"fullUrl": self.address, "resource": self.resource, "request": request}


@dataclass(frozen=True)
class _Making:
    """What all resources of a bundle are made of."""

    result: Result
    before: Mapping[str, Written]
    measurements: Measurements
    version: FhirVersion
    uids: Uids

    def entries(self) -> Iterator[Resource]:
        study, device = self.study(), self.device()
        made = [study, device]
        groups = []
        for finding in self.result.findings:
            source = self.selection(finding, study) if self.version == "R5" else None
            numbers = list(self.numbers(finding, study, device, source))
            groups.append(self.group(finding, study, device, source, numbers))
            made += [] if source is None else [source]
            made += [*numbers, groups[-1]]
        report = self.report(study, groups)
        made += [report, self.provenance(study, device, [report, *groups])]
        for entry in made:
            yield entry.as_json()

    # What was there: images and the model

    @property
    def patient(self) -> Resource:
        """The patient as the images name them: their identifier, or nothing."""
        known = str(self.result.series.header.get("PatientID", "") or "")
        if not known:
            return {"type": "Patient", "display": "not identified in the images"}
        issuer = str(self.result.series.header.get("IssuerOfPatientID", "") or "")
        identifier: Resource = {"value": known}
        identifier |= {"assigner": {"display": issuer}} if issuer else {}
        return {"type": "Patient", "identifier": identifier}

    def study(self) -> _Entry:
        series = self.result.series
        uid = f"urn:oid:{series.study_uid}"
        images = list(dict.fromkeys((r.uid, r.sop_class) for slice_ in series.references for r in slice_))
        listed = [self.of_series(series.uid, series.modality or "OT", images)]
        for kind, modality in FILES.items():
            if (made := self.before.get(kind)) is not None:
                listed.append(self.of_series(made.series_uid, modality, [(made.sop_uid, made.sop_class)]))
        resource = {
            "resourceType": "ImagingStudy",
            "identifier": [{"system": DICOM_UID, "value": uid}],
            "status": "available",
            "subject": self.patient,
            "numberOfSeries": len(listed),
            "numberOfInstances": sum(each["numberOfInstances"] for each in listed),
            "series": listed,
        }
        return self.entry(resource, series.study_uid, unless=f"identifier={DICOM_UID}|{uid}")

    def of_series(self, uid: str, modality: str, instances: list[tuple[str, str]]) -> Resource:
        coding = {"system": SYSTEMS["DCM"], "code": modality}
        return {
            "uid": uid,
            "modality": coding if self.version == "R4" else {"coding": [coding]},
            "numberOfInstances": len(instances),
            "instance": [
                {"uid": image, "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{sop_class}"}}
                for image, sop_class in instances
            ],
        }

    def device(self) -> _Entry:
        maker = self.result.maker
        uid = device_uid(maker)
        name: Resource = {"type": "model-name" if self.version == "R4" else "user-friendly-name"}
        key = "name" if self.version == "R4" else "value"
        identifiers = [{"system": DICOM_UID, "value": f"urn:oid:{uid}"}]
        if maker.digest:
            identifiers.append({"system": f"{OURS}:model-sha256", "value": maker.digest})
        kind = _concept(INTELLIGENCE)
        resource = {
            "resourceType": "Device",
            "identifier": identifiers,
            "status": "active",
            "manufacturer": "delineate",
            ("deviceName" if self.version == "R4" else "name"): [name | {key: maker.name}],
            "type": kind if self.version == "R4" else [kind],
            "version": [
                {"type": {"text": "model"}, "value": maker.version},
                {"type": {"text": "delineate"}, "value": __version__},
            ],
        }
        if maker.kind == "MANUAL":  # a person drew; the program measured
            del resource["type"]
        return self.entry(resource, uid, unless=f"identifier={DICOM_UID}|urn:oid:{uid}")

    # What was found

    def selection(self, finding: Finding, study: _Entry) -> _Entry:
        """The segment of a structure; without a SEG, the series that it was found in."""
        series, seg = self.result.series, self.before.get("SEG")
        resource: Resource = {
            "resourceType": "ImagingSelection",
            "status": "available",
            "subject": self.patient,
            "issued": self.moment(self.result.when),
            "code": _concept(SOURCE_SERIES if seg is None else SEGMENT),
            "studyUid": series.study_uid,
            "derivedFrom": [study.reference],
            "seriesUid": series.uid if seg is None else seg.series_uid,
            "frameOfReferenceUid": series.frame_of_reference_uid,
        }
        if finding.concept.site is not None:
            resource["bodySite"] = {"concept": _site(finding, finding.concept.site)}
        if seg is not None:
            segment = {
                "uid": seg.sop_uid,
                "sopClass": {"system": "urn:ietf:rfc:3986", "code": f"urn:oid:{seg.sop_class}"},
                "subset": [str(seg.numbers[finding.name])],
            }
            resource["instance"] = [segment]
        return self.entry(resource)

    def group(
        self,
        finding: Finding,
        study: _Entry,
        device: _Entry,
        source: _Entry | None,
        numbers: list[_Entry],
    ) -> _Entry:
        """What a structure is and where; its numbers are members."""
        resource = self.observation(GROUP, finding, study, device, source)
        resource["identifier"] = [
            {"use": "official", "system": DICOM_UID, "value": f"urn:oid:{finding.tracking_uid}"},
            {"use": "secondary", "system": f"{OURS}:tracking-identifier", "value": finding.tracking_id},
        ]
        if (seg := self.before.get("SEG")) is not None:
            value = f"{seg.sop_uid}#{seg.numbers[finding.name]}"
            resource["identifier"].append({"system": f"{OURS}:segment", "value": value})
        resource["valueCodeableConcept"] = _concept(finding.concept.kind, finding.name)
        resource["hasMember"] = [number.reference for number in numbers]
        return self.entry(resource)

    def numbers(
        self, finding: Finding, study: _Entry, device: _Entry, source: _Entry | None
    ) -> Iterator[_Entry]:
        measured = self.measurements.of(finding)
        for concept, value, unit in (
            (VOLUME, measured.volume_ml, "mL"),
            (LONG, measured.long_mm, "mm"),
            (SHORT, measured.short_mm, "mm"),
        ):
            if value is not None:
                resource = self.observation(concept, finding, study, device, source)
                resource["valueQuantity"] = _quantity(value, unit)
                if concept == VOLUME:
                    resource["method"] = _concept(VOXEL_METHOD)
                yield self.entry(resource)
        if measured.mean_hu is not None:
            resource = self.observation(ATTENUATION, finding, study, device, source)
            resource["component"] = list(_attenuation(measured))
            yield self.entry(resource)

    def observation(
        self, code: Code, finding: Finding, study: _Entry, device: _Entry, source: _Entry | None
    ) -> Resource:
        """An observation without what it says."""
        coding = {"system": f"{TERMINOLOGY}/observation-category", "code": "imaging", "display": "Imaging"}
        place = finding.concept.site
        return {
            "resourceType": "Observation",
            "partOf": [study.reference],
            "status": self.status,
            "category": [{"coding": [coding]}],
            "code": _concept(code),
            "subject": self.patient,
            "issued": self.moment(self.result.when),
            **({} if place is None else {"bodySite": _site(finding, place)}),
            "device": device.reference,
            "derivedFrom": [(source or study).reference],
        }

    # What is said of all

    @property
    def status(self) -> str:
        return "preliminary" if self.result.approval is None else "final"

    def report(self, study: _Entry, groups: list[_Entry]) -> _Entry:
        category = {"system": f"{TERMINOLOGY}/v2-0074", "code": "RAD", "display": "Radiology"}
        resource: Resource = {
            "resourceType": "DiagnosticReport",
            "status": self.status,
            "category": [{"coding": [category]}],
            "code": {"coding": [REPORT]},
            "subject": self.patient,
            "issued": self.moment(self.result.when),
            "result": [group.reference for group in groups],
            ("imagingStudy" if self.version == "R4" else "study"): [study.reference],
            "conclusion": _conclusion(self.result),
        }
        if self.result.approval is not None:
            resource["resultsInterpreter"] = [{"display": self.result.approval.reviewer}]
        if (page := self.before.get("PDF")) is not None:
            content = base64.b64encode(page.path.read_bytes()).decode("ascii")
            resource["presentedForm"] = [{"contentType": "application/pdf", "data": content}]
        return self.entry(resource)

    def provenance(self, study: _Entry, device: _Entry, made: list[_Entry]) -> _Entry:
        agents = [{"type": _agent("assembler"), "who": device.reference}]
        if self.result.approval is not None:
            agents.append({"type": _agent("verifier"), "who": {"display": self.result.approval.reviewer}})
        resource = {
            "resourceType": "Provenance",
            "target": [entry.reference for entry in made],
            "recorded": self.moment(self.result.when),
            "agent": agents,
            "entity": [{"role": "source", "what": study.reference}],
        }
        return self.entry(resource)

    def entry(self, resource: Resource, uid: str | None = None, unless: str | None = None) -> _Entry:
        """A resource with its address, which is the same for the same UID."""
        return _Entry(f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, uid or self.uids())}", resource, unless)

    @staticmethod
    def moment(when: datetime) -> str:
        """FHIR's instant; times without a zone are taken as UTC."""
        known = when if when.tzinfo is not None else when.replace(tzinfo=UTC)
        return known.isoformat(timespec="seconds")


def _quantity(value: float, unit: str, code: str | None = None) -> Resource:
    """A value with its unit, in words and in UCUM."""
    return {"value": round(value, DECIMALS), "unit": unit, "system": UNITS, "code": code or unit}


def _attenuation(measured: Measured) -> Iterator[Resource]:
    for concept, value in ((MEAN, measured.mean_hu), (DEVIATION, measured.sd_hu)):
        if value is not None:
            yield {"code": _concept(concept), "valueQuantity": _quantity(value, "HU", "[hnsf'U]")}


def _site(finding: Finding, place: Code) -> Resource:
    """Where a structure is, with its side: SNOMED CT says that as an expression."""
    concept = finding.concept
    codings = [_coding(place), *_sided(concept, place)]
    words = place.meaning if concept.side is None else f"{concept.side.meaning} {place.meaning.lower()}"
    return {"coding": codings, "text": words}


def _sided(concept: Concept, place: Code) -> Iterator[Resource]:
    if concept.side is not None and place.scheme == SCT:
        expression = f"{place.value}:{SIDE.value}={concept.side.value}"
        yield {"system": SYSTEMS[SCT], "code": expression}


def _coding(code: Code) -> Resource:
    system = SYSTEMS.get(code.scheme, f"{OURS}:scheme:{code.scheme}")
    return {"system": system, "code": code.value, "display": code.meaning}


def _concept(code: Code, words: str | None = None) -> Resource:
    return {"coding": [_coding(code)]} | ({} if words is None else {"text": words})


def _agent(role: str) -> Resource:
    code = {"system": f"{TERMINOLOGY}/provenance-participant-type", "code": role}
    return {"coding": [code]}


def _conclusion(result: Result) -> str:
    """Who drew and who signed, in words."""
    maker = result.maker
    made = f"{len(result.findings)} structures by {maker.name} {maker.version} ({maker.kind.lower()})."
    signed = "Not reviewed." if result.approval is None else "Reviewed."
    return f"{made} {signed} For research use only."
