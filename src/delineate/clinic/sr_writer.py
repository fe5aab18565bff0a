"""SR: the measurements of a result as a structured report (TID 1500) that points at the segments of its SEG.

One measurement group (TID 1411) for each structure: its tracking identity, what it is and where, the segment,
the series, its volume in mm3, its longest and short axis in mm, and for CT the mean and standard deviation of
its attenuation. Structures that are empty have the volume 0.

Source: PS3.3 A.35.13 (Comprehensive 3D SR), C.17; PS3.16 TID 1500, 1501, 1411, 1419, 1001-1004, 1204, 4019.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from delineate import __version__
from delineate.clinic.codes import SCT, Code
from delineate.clinic.header import MANUFACTURER, coded, date, header, series_number, short, time
from delineate.clinic.measurements import Measured, Measurements
from delineate.clinic.result import Finding, Maker, Result, Uids, new_uid
from delineate.clinic.seg_writer import INTELLIGENCE, number
from delineate.clinic.written import Written
from delineate.io.disk import replacing

Relation = Literal["CONTAINS", "HAS OBS CONTEXT", "HAS CONCEPT MOD"]

SR = "1.2.840.10008.5.1.4.1.1.88.34"
SERIES_OFFSET = 5000  # keeps results after the images in lists that sort by SeriesNumber
UCUM = "UCUM"


def _dcm(value: str, meaning: str) -> Code:
    return Code(value=value, scheme="DCM", meaning=meaning)


def _sct(value: str, meaning: str) -> Code:
    return Code(value=value, scheme=SCT, meaning=meaning)


REPORT = _dcm("126000", "Imaging Measurement Report")
LANGUAGE = _dcm("121049", "Language of Content Item and Descendants")
ENGLISH = Code(value="en-US", scheme="RFC5646", meaning="English (United States)")
OBSERVER, DEVICE, PERSON = (
    _dcm("121005", "Observer Type"),
    _dcm("121007", "Device"),
    _dcm("121006", "Person"),
)
DEVICE_UID, DEVICE_NAME = _dcm("121012", "Device Observer UID"), _dcm("121013", "Device Observer Name")
DEVICE_MAKER = _dcm("121014", "Device Observer Manufacturer")
DEVICE_MODEL = _dcm("121015", "Device Observer Model Name")
PERSON_NAME = _dcm("121008", "Person Observer Name")
PROCEDURE = _dcm("121058", "Procedure reported")
PROCEDURES = {  # by modality; others are "Imaging procedure"
    "CT": _sct("77477000", "Computed tomography"),
    "MR": _sct("113091000", "Magnetic resonance imaging"),
    "PT": _sct("82918005", "Positron emission tomography"),
    "US": _sct("16310003", "Diagnostic ultrasonography"),
}
ANY_PROCEDURE = _sct("363679005", "Imaging procedure")
MEASUREMENTS, GROUP = _dcm("126010", "Imaging Measurements"), _dcm("125007", "Measurement Group")
TRACKING_ID = _dcm("112039", "Tracking Identifier")
TRACKING_UID = _dcm("112040", "Tracking Unique Identifier")
CATEGORY, FINDING = _sct("276214006", "Finding category"), _dcm("121071", "Finding")
SEGMENT = _dcm("121191", "Referenced Segment")
SOURCE_SERIES = _dcm("121232", "Source series for segmentation")
SITE, SIDE = _sct("363698007", "Finding Site"), _sct("272741003", "Laterality")
FAMILY, NAME = _dcm("111000", "Algorithm Family"), _dcm("111001", "Algorithm Name")
PARAMETERS, VERSION = _dcm("111002", "Algorithm Parameters"), _dcm("111003", "Algorithm Version")
METHOD = _sct("370129005", "Measurement Method")
VOXELS = _dcm("126030", "Sum of segmented voxel method for volume")  # CID 7474
VOLUME = _sct("118565006", "Volume")
LONG, SHORT = _sct("103339001", "Long axis"), _sct("103340004", "Short axis")
ATTENUATION = _dcm("112031", "Attenuation Coefficient")
DERIVATION = _dcm("121401", "Derivation")
MEAN, DEVIATION = _sct("373098007", "Mean"), _sct("386136009", "Standard Deviation")
MM3 = Code(value="mm3", scheme=UCUM, meaning="cubic millimeter")
MM = Code(value="mm", scheme=UCUM, meaning="mm")
HU = Code(value="[hnsf'U]", scheme=UCUM, meaning="Hounsfield unit")


def write_sr(
    result: Result, path: Path, seg: Written, measurements: Measurements, *, uids: Uids = new_uid
) -> Written:
    """Writes the measurements of a result as one structured report and returns its identity.

    seg  the segmentation of the same result: every group points at its segment there
    """
    sop_uid, series_uid = uids(), uids()
    content, notes = header(result, SR, sop_uid, series_uid)
    _describe(content, result)
    _evidence(content, result, seg)
    groups = [_group(result, finding, seg, measurements.of(finding)) for finding in result.findings]
    tree = _container(None, REPORT, [*_context(result), _container("CONTAINS", MEASUREMENTS, groups)], "1500")
    content.update(tree)
    with replacing(path) as temporary:
        dcmwrite(temporary, content, enforce_file_format=True)
    return Written("SR", path, SR, sop_uid, series_uid, seg.numbers, (*notes, *measurements.notes))


def device_uid(maker: Maker) -> str:
    """The UID of a model: always the same for the same model."""
    text = maker.digest or f"{maker.name}\n{maker.version}"
    return f"2.25.{int(hashlib.sha256(text.encode()).hexdigest()[:32], 16)}"


# What the document says about itself


def _describe(content: Dataset, result: Result) -> None:
    del content.FrameOfReferenceUID, content.PositionReferenceIndicator
    content.Modality = "SR"
    content.SeriesNumber = series_number(result, SERIES_OFFSET)
    content.SeriesDescription = short(f"Measurements {result.maker.name} {result.maker.version}", 64)
    content.ReferencedPerformedProcedureStepSequence = Items()
    content.PerformedProcedureCodeSequence = Items()
    content.ContentDate, content.ContentTime = date(result.when), time(result.when)
    content.CompletionFlag = "COMPLETE"
    content.PreliminaryFlag = "PRELIMINARY" if result.approval is None else "FINAL"
    content.VerificationFlag = "UNVERIFIED" if result.approval is None else "VERIFIED"
    if result.approval is not None:
        observer = Dataset()
        observer.VerifyingObserverName = result.approval.reviewer
        observer.VerifyingObserverIdentificationCodeSequence = Items()
        institution = str(result.series.header.get("InstitutionName", "") or "not stated")
        observer.VerifyingOrganization = short(institution, 64)
        observer.VerificationDateTime = result.approval.when.strftime("%Y%m%d%H%M%S")
        content.VerifyingObserverSequence = Items([observer])


def _evidence(content: Dataset, result: Result, seg: Written) -> None:
    """What the report is about, by study and series: the segmentation and all images. PS3.3 C.17.2.3."""
    study = Dataset()
    study.StudyInstanceUID = result.series.study_uid
    images = dict.fromkeys((r.sop_class, r.uid) for slice_ in result.series.references for r in slice_)
    study.ReferencedSeriesSequence = Items(
        [
            _of_series(seg.series_uid, [(seg.sop_class, seg.sop_uid)]),
            _of_series(result.series.uid, images),
        ]
    )
    content.CurrentRequestedProcedureEvidenceSequence = Items([study])


def _of_series(uid: str, instances: Iterable[tuple[str, str]]) -> Dataset:
    item = Dataset()
    item.SeriesInstanceUID = uid
    item.ReferencedSOPSequence = Items([_instance(*instance) for instance in instances])
    return item


def _instance(sop_class: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, uid
    return item


# Content, template by template


def _context(result: Result) -> Iterator[Dataset]:
    """Language, observers and procedure: TID 1204, 1001 and 1500."""
    yield _code("HAS CONCEPT MOD", LANGUAGE, ENGLISH)
    yield _code("HAS OBS CONTEXT", OBSERVER, DEVICE)
    yield _uid("HAS OBS CONTEXT", DEVICE_UID, device_uid(result.maker))
    yield _text("HAS OBS CONTEXT", DEVICE_NAME, result.maker.name)
    yield _text("HAS OBS CONTEXT", DEVICE_MAKER, MANUFACTURER)
    yield _text("HAS OBS CONTEXT", DEVICE_MODEL, f"delineate {__version__}")
    if result.approval is not None:
        yield _code("HAS OBS CONTEXT", OBSERVER, PERSON)
        yield _person("HAS OBS CONTEXT", PERSON_NAME, result.approval.reviewer)
    procedure = PROCEDURES.get(result.series.modality, ANY_PROCEDURE)
    yield _code("HAS CONCEPT MOD", PROCEDURE, procedure)


def _group(result: Result, finding: Finding, seg: Written, measured: Measured) -> Dataset:
    """One structure: TID 1411."""
    concept = finding.concept
    site = _code("HAS CONCEPT MOD", SITE, concept.region or concept.kind)
    if concept.side is not None:
        site.ContentSequence = Items([_code("HAS CONCEPT MOD", SIDE, concept.side)])
    return _container(
        "CONTAINS",
        GROUP,
        [
            _text("HAS OBS CONTEXT", TRACKING_ID, finding.tracking_id),
            _uid("HAS OBS CONTEXT", TRACKING_UID, finding.tracking_uid),
            _code("CONTAINS", CATEGORY, concept.category),
            _code("CONTAINS", FINDING, concept.kind),
            _segment(seg, seg.numbers[finding.name]),
            _uid("CONTAINS", SOURCE_SERIES, result.series.uid),
            site,
            *_algorithm(result.maker),
            *_numbers(measured),
        ],
        "1411",
    )


def _algorithm(maker: Maker) -> Iterator[Dataset]:
    """What drew it: TID 4019. People have no algorithm."""
    if maker.kind == "MANUAL":
        return
    yield _code("HAS CONCEPT MOD", FAMILY, INTELLIGENCE)
    yield _text("HAS CONCEPT MOD", NAME, maker.name)
    yield _text("HAS CONCEPT MOD", VERSION, maker.version)
    if maker.digest:
        yield _text("HAS CONCEPT MOD", PARAMETERS, f"model sha256 {maker.digest}")


def _numbers(measured: Measured) -> Iterator[Dataset]:
    """The measurements: TID 1419."""
    yield _number(VOLUME, measured.volume_ml * 1000, MM3, METHOD, VOXELS)
    for concept, value in ((LONG, measured.long_mm), (SHORT, measured.short_mm)):
        if value is not None:
            yield _number(concept, value, MM)
    for derivation, value in ((MEAN, measured.mean_hu), (DEVIATION, measured.sd_hu)):
        if value is not None:
            yield _number(ATTENUATION, value, HU, DERIVATION, derivation)


# Content items: PS3.3 C.17.3


def _item(kind: str, relation: Relation | None, concept: Code) -> Dataset:
    item = Dataset()
    if relation is not None:
        item.RelationshipType = relation
    item.ValueType, item.ConceptNameCodeSequence = kind, Items([coded(concept)])
    return item


def _container(
    relation: Relation | None, concept: Code, content: Iterable[Dataset], template: str | None = None
) -> Dataset:
    item = _item("CONTAINER", relation, concept)
    item.ContinuityOfContent = "SEPARATE"
    if template is not None:
        named = Dataset()
        named.MappingResource, named.TemplateIdentifier = "DCMR", template
        item.ContentTemplateSequence = Items([named])
    item.ContentSequence = Items(list(content))
    return item


def _code(relation: Relation, concept: Code, value: Code) -> Dataset:
    item = _item("CODE", relation, concept)
    item.ConceptCodeSequence = Items([coded(value)])
    return item


def _text(relation: Relation, concept: Code, value: str) -> Dataset:
    item = _item("TEXT", relation, concept)
    item.TextValue = value
    return item


def _uid(relation: Relation, concept: Code, value: str) -> Dataset:
    item = _item("UIDREF", relation, concept)
    item.UID = value
    return item


def _person(relation: Relation, concept: Code, name: str) -> Dataset:
    item = _item("PNAME", relation, concept)
    item.PersonName = name
    return item


def _segment(seg: Written, segment: int) -> Dataset:
    item = _item("IMAGE", "CONTAINS", SEGMENT)
    referred = _instance(seg.sop_class, seg.sop_uid)
    referred.ReferencedSegmentNumber = segment
    item.ReferencedSOPSequence = Items([referred])
    return item


def _number(
    concept: Code, value: float, unit: Code, modifier: Code | None = None, modified: Code | None = None
) -> Dataset:
    item = _item("NUM", "CONTAINS", concept)
    measured = Dataset()
    measured.NumericValue = number(value)
    measured.MeasurementUnitsCodeSequence = Items([coded(unit)])
    item.MeasuredValueSequence = Items([measured])
    if modifier is not None and modified is not None:
        item.ContentSequence = Items([_code("HAS CONCEPT MOD", modifier, modified)])
    return item
