"""SR: the measurements of a result as a structured report (TID 1500) that points at the segments of its SEG.

Two measurement groups for each structure, with one tracking identity:

    TID 1411  what it is and where, its segment, the series, its volume in mm3, and for CT the mean and
              standard deviation of its attenuation
    TID 1501  its longest and short axis in mm, each with the line on the image where it was measured: what
              viewers draw. In patient coordinates where the line is not in one image.

What was looked for and is not there is a qualitative evaluation, "Absent", with its segment and the volume
0: in a measurement group viewers look for places, and it has none (OHIF/Viewers#3390).

Source: PS3.3 A.35.13 (Comprehensive 3D SR), C.17, C.18.6, C.18.9; PS3.16 TID 1500, 1501, 300, 320, 1411,
1419, 1001-1004, 1204, 4019.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items

from delineate import __version__
from delineate.clinic.codes import SCT, Code
from delineate.clinic.header import MANUFACTURER, coded, date, header, series_number, short, time
from delineate.clinic.measurements import Ends, Measured, Measurements
from delineate.clinic.result import Finding, Maker, Result, Uids, new_uid
from delineate.clinic.seg_writer import INTELLIGENCE, number
from delineate.clinic.series import Reference, Series
from delineate.clinic.written import Written
from delineate.io.disk import replacing

Relation = Literal[
    "CONTAINS", "HAS OBS CONTEXT", "HAS CONCEPT MOD", "HAS PROPERTIES", "INFERRED FROM", "SELECTED FROM"
]

SR = "1.2.840.10008.5.1.4.1.1.88.34"
SERIES_OFFSET = 5000  # keeps results after the images in lists that sort by SeriesNumber
UCUM = "UCUM"
IN_PLANE = 0.25  # of the distance between slices: a line so near an image is drawn on it
MIDDLE = 0.5  # the centre of the first pixel: image coordinates begin at its corner. PS3.3 C.18.6.1.1


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
EVALUATIONS = Code(value="C0034375", scheme="UMLS", meaning="Qualitative Evaluations")
ABSENT = _sct("2667000", "Absent")
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
    tree = _container(None, REPORT, [*_context(result), *_told(result, seg, measurements)], "1500")
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


def _told(result: Result, seg: Written, measurements: Measurements) -> Iterator[Dataset]:
    """What was measured, and what is not there."""
    there = [(f, m) for f in result.findings if (m := measurements.of(f)).voxels]
    volumes = [_volume(result, finding, seg, measured) for finding, measured in there]
    axes = [_axes(result, finding, measured) for finding, measured in there if measured.long_ends]
    if volumes:
        yield _container("CONTAINS", MEASUREMENTS, [*volumes, *axes])
    absent = [_absent(f, seg) for f in result.findings if not measurements.of(f).voxels]
    if absent:
        yield _container("CONTAINS", EVALUATIONS, absent)


def _volume(result: Result, finding: Finding, seg: Written, measured: Measured) -> Dataset:
    """A structure by its segment: TID 1411."""
    concept = finding.concept
    return _container(
        "CONTAINS",
        GROUP,
        [
            *_tracking("HAS OBS CONTEXT", finding),
            _code("CONTAINS", CATEGORY, concept.category),
            _code("CONTAINS", FINDING, concept.kind),
            _segment("CONTAINS", seg, seg.numbers[finding.name]),
            _uid("CONTAINS", SOURCE_SERIES, result.series.uid),
            *_site(finding),
            *_algorithm(result.maker),
            *_numbers(measured),
        ],
        "1411",
    )


def _axes(result: Result, finding: Finding, measured: Measured) -> Dataset:
    """The lines that were measured across a structure: TID 1501."""
    concept = finding.concept
    lines = ((LONG, measured.long_mm, measured.long_ends), (SHORT, measured.short_mm, measured.short_ends))
    return _container(
        "CONTAINS",
        GROUP,
        [
            *_tracking("HAS OBS CONTEXT", finding),
            _code("CONTAINS", CATEGORY, concept.category),
            _code("CONTAINS", FINDING, concept.kind),
            *_site(finding),
            *_algorithm(result.maker),
            *(
                _number(name, mm, MM, below=_line(result.series, ends))
                for name, mm, ends in lines
                if mm is not None and ends is not None
            ),
        ],
        "1501",
    )


def _absent(finding: Finding, seg: Written) -> Dataset:
    """A structure that is not there."""
    item = _code("CONTAINS", finding.concept.kind, ABSENT)
    item.ContentSequence = Items(
        [
            *_site(finding),
            *_tracking("HAS PROPERTIES", finding),
            _code("HAS PROPERTIES", FINDING, finding.concept.kind),
            _segment("HAS PROPERTIES", seg, seg.numbers[finding.name]),
            _number(VOLUME, 0.0, MM3, relation="HAS PROPERTIES"),
        ]
    )
    return item


def _tracking(relation: Relation, finding: Finding) -> Iterator[Dataset]:
    yield _text(relation, TRACKING_ID, finding.tracking_id)
    yield _uid(relation, TRACKING_UID, finding.tracking_uid)


def _site(finding: Finding) -> Iterator[Dataset]:
    """Where a structure is."""
    concept = finding.concept
    if concept.site is None:
        return
    site = _code("HAS CONCEPT MOD", SITE, concept.site)
    if concept.side is not None:
        site.ContentSequence = Items([_code("HAS CONCEPT MOD", SIDE, concept.side)])
    yield site


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
    """What was measured of the whole: TID 1419."""
    yield _number(VOLUME, measured.volume_ml * 1000, MM3, below=_code("HAS CONCEPT MOD", METHOD, VOXELS))
    for derivation, value in ((MEAN, measured.mean_hu), (DEVIATION, measured.sd_hu)):
        if value is not None:
            yield _number(ATTENUATION, value, HU, below=_code("HAS CONCEPT MOD", DERIVATION, derivation))


def _line(series: Series, ends: Ends) -> Dataset | None:
    """Where a line is: on its image, or in the patient where it crosses images. TID 320."""
    places = np.array(ends)
    far = np.abs(places @ series.normal - series.along[:, None])  # (slice, end)
    slices = far.argmin(axis=0)
    k = int(slices[0])
    item = _item("SCOORD", "INFERRED FROM")
    item.GraphicType = "POLYLINE"
    if (slices == k).all() and far[k].max() <= IN_PLANE * series.gap:
        pixels = (places - series.positions[k]) @ series.axes.T / np.array(series.spacing) + MIDDLE
        item.GraphicData = pixels.ravel().tolist()
        item.ContentSequence = Items([_image(series.references[k][0])])
        return item
    if not series.frame_of_reference_uid:
        return None
    item.ValueType = "SCOORD3D"
    item.GraphicData = places.ravel().tolist()
    item.ReferencedFrameOfReferenceUID = series.frame_of_reference_uid
    return item


# Content items: PS3.3 C.17.3


def _item(kind: str, relation: Relation | None, concept: Code | None = None) -> Dataset:
    item = Dataset()
    if relation is not None:
        item.RelationshipType = relation
    item.ValueType = kind
    if concept is not None:
        item.ConceptNameCodeSequence = Items([coded(concept)])
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


def _segment(relation: Relation, seg: Written, segment: int) -> Dataset:
    item = _item("IMAGE", relation, SEGMENT)
    referred = _instance(seg.sop_class, seg.sop_uid)
    referred.ReferencedSegmentNumber = segment
    item.ReferencedSOPSequence = Items([referred])
    return item


def _image(reference: Reference) -> Dataset:
    item = _item("IMAGE", "SELECTED FROM")
    referred = _instance(reference.sop_class, reference.uid)
    if reference.frame is not None:
        referred.ReferencedFrameNumber = reference.frame
    item.ReferencedSOPSequence = Items([referred])
    return item


def _number(
    concept: Code,
    value: float,
    unit: Code,
    *,
    below: Dataset | None = None,
    relation: Relation = "CONTAINS",
) -> Dataset:
    item = _item("NUM", relation, concept)
    measured = Dataset()
    measured.NumericValue = number(value)
    measured.MeasurementUnitsCodeSequence = Items([coded(unit)])
    item.MeasuredValueSequence = Items([measured])
    if below is not None:
        item.ContentSequence = Items([below])
    return item
