"""A cohort with identity planted in more than sixty places, and what must become of each.

After the ten categories of MIDI-B (doi:10.48550/arXiv.2507.23608): tag_retained, text_notnull, text_retained,
text_removed, date_shifted, uid_changed, uid_consistent, patid_consistent, pixels_hidden, pixels_retained.
Everything is invented. Planted words are unlikely to stand anywhere else: bytes can be searched for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pydicom
from PIL import Image, ImageDraw
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

CT, MR, US, SC = (
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4",
    "1.2.840.10008.5.1.4.1.1.6.1", "1.2.840.10008.5.1.4.1.1.7",
)  # fmt: skip
SEG, RTSTRUCT, SR = (
    "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.481.3", "1.2.840.10008.5.1.4.1.1.88.33",
)  # fmt: skip
ROOT = "1.2.826.0.1.3680043.10.99"


@dataclass(frozen=True)
class Person:
    """Somebody who does not exist."""

    number: int
    family: str
    given: str

    @property
    def name(self) -> str:
        return f"{self.family}^{self.given}"

    @property
    def mrn(self) -> str:
        return f"MRN{7340915 + 1117 * self.number}"

    @property
    def birthday(self) -> str:
        return f"19{41 + self.number:02d}0{1 + self.number % 9}17"

    @property
    def street(self) -> str:
        return f"{17 + self.number} Thistledown{chr(97 + self.number)} Lane"

    @property
    def words(self) -> list[str]:
        return [self.family, self.given, self.mrn[3:], self.birthday, f"Thistledown{chr(97 + self.number)}"]


PEOPLE = tuple(
    Person(number, family, given)
    for number, (family, given) in enumerate(
        [
            ("Quillfeather", "Barnabas"), ("Zwiebelmann", "Hannelore"), ("Okonkwolaye", "Chidimma"),
            ("Müllerström", "Jürgenius"), ("Петровалова", "Светозара"), ("O'Shaughnevan", "Fionnghuala"),
        ]
    )
)  # fmt: skip
DOCTOR, OPERATOR, HOSPITAL = "Grimblewick^Ottoline", "Vandersnoot^Piet", "St Eldritch Infirmary"
KEPT_TEXT = "CT CHEST WITH CONTRAST"

Plant = Callable[[Dataset, Person], None]


def _put(keyword: str, value: Callable[[Person], object]) -> Plant:
    return lambda ds, who: setattr(ds, keyword, value(who))


def _item(**fields: object) -> Dataset:
    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return item


def _inside(*path: str, **fields: Callable[[Person], object]) -> Plant:
    """Plants in a sequence within sequences."""

    def plant(ds: Dataset, who: Person) -> None:
        here = ds
        for keyword in path:
            if keyword not in here:
                setattr(here, keyword, Sequence([Dataset()]))
            here = here[keyword].value[0]
        for name, value in fields.items():
            setattr(here, name, value(who))

    return plant


def _private(ds: Dataset, who: Person) -> None:
    block = ds.private_block(0x0009, "ACME NOTES", create=True)
    block.add_new(0x01, "LO", f"for {who.given} {who.family}")
    block.add_new(0x02, "UN", who.name.encode() + b" ")
    block.add_new(0x03, "SQ", Sequence([_item(PatientComments=f"{who.mrn}")]))


def _unknown(ds: Dataset, who: Person) -> None:
    ds.add(DataElement(0x00089FFE, "UN", who.name.encode() + b" "))


def _overlay_comment(ds: Dataset, who: Person) -> None:
    ds.add_new(0x60000010, "US", 16)
    ds.add_new(0x60000011, "US", 16)
    ds.add_new(0x60003000, "OW", bytes(32))
    ds.add_new(0x60004000, "LT", f"overlay of {who.family}")


def _curve(ds: Dataset, who: Person) -> None:
    ds.add_new(0x50003000, "OB", who.family.encode().ljust(64, b" "))
    ds.add_new(0x50000022, "LO", f"{who.given} curve")


def _padding(ds: Dataset, who: Person) -> None:
    ds.add_new(0xFFFCFFFC, "OB", who.mrn.encode().ljust(32, b"\0"))


def _full(who: Person) -> str:
    return f"{who.given} {who.family}"


# What is planted where. Each name is a place, and each object of a series takes some of them in turn.
ANYWHERE: dict[str, Plant] = {
    "OtherPatientIDs": _put("OtherPatientIDs", lambda p: f"X{p.mrn}"),
    "OtherPatientNames": _put("OtherPatientNames", lambda p: p.name),
    "PatientBirthName": _put("PatientBirthName", lambda p: p.name),
    "PatientMotherBirthName": _put("PatientMotherBirthName", lambda p: f"{p.family}^Elder"),
    "PatientAddress": _put("PatientAddress", lambda p: p.street),
    "PatientTelephoneNumbers": _put("PatientTelephoneNumbers", lambda p: f"(555) 010-{7000 + p.number}"),
    "MedicalRecordLocator": _put("MedicalRecordLocator", lambda p: p.mrn),
    "MilitaryRank": _put("MilitaryRank", lambda p: f"Captain {p.family}"),
    "PatientComments": _put("PatientComments", lambda p: f"Mr {p.family} came late"),
    "AdditionalPatientHistory": _put("AdditionalPatientHistory", lambda p: f"{p.family}: asthma"),
    "Occupation": _put("Occupation", lambda p: f"butler of {p.family}"),
    "PatientReligiousPreference": _put("PatientReligiousPreference", lambda p: f"church of {p.given}"),
    "ResponsiblePerson": _put("ResponsiblePerson", lambda p: p.name),
    "ResponsibleOrganization": _put("ResponsibleOrganization", lambda p: f"{p.family} Trust"),
    "IssuerOfPatientID": _put("IssuerOfPatientID", lambda p: HOSPITAL),
    "RegionOfResidence": _put("RegionOfResidence", lambda p: f"{p.family}shire"),
    "PatientBirthTime": _put("PatientBirthTime", lambda p: "041523"),
    "AccessionNumber": _put("AccessionNumber", lambda p: f"A{p.mrn[3:]}"),
    "StudyID": _put("StudyID", lambda p: f"S{p.mrn[3:]}"),
    "InstitutionName": _put("InstitutionName", lambda p: HOSPITAL),
    "InstitutionAddress": _put("InstitutionAddress", lambda p: p.street),
    "InstitutionalDepartmentName": _put("InstitutionalDepartmentName", lambda p: f"Ward {p.family}"),
    "ReferringPhysicianName": _put("ReferringPhysicianName", lambda p: DOCTOR),
    "ReferringPhysicianAddress": _put("ReferringPhysicianAddress", lambda p: p.street),
    "ReferringPhysicianTelephoneNumbers": _put(
        "ReferringPhysicianTelephoneNumbers", lambda p: "555-010-7999"
    ),
    "PerformingPhysicianName": _put("PerformingPhysicianName", lambda p: DOCTOR),
    "NameOfPhysiciansReadingStudy": _put("NameOfPhysiciansReadingStudy", lambda p: DOCTOR),
    "PhysiciansOfRecord": _put("PhysiciansOfRecord", lambda p: DOCTOR),
    "OperatorsName": _put("OperatorsName", lambda p: OPERATOR),
    "RequestingPhysician": _put("RequestingPhysician", lambda p: DOCTOR),
    "RequestingService": _put("RequestingService", lambda p: f"{HOSPITAL} ER"),
    "StationName": _put("StationName", lambda p: f"ELDRITCH{p.number}"),
    "DeviceSerialNumber": _put("DeviceSerialNumber", lambda p: f"SN88{p.mrn[3:]}"),
    "SeriesDescription": _put("SeriesDescription", lambda p: f"axial {_full(p)} 3mm"),
    "ProtocolName": _put("ProtocolName", lambda p: f"{p.family.upper()}_THORAX"),
    "ImageComments": _put(
        "ImageComments", lambda p: f"seen with Dr. {DOCTOR.split('^')[0]}, born {p.birthday}"
    ),
    "DerivationDescription": _put("DerivationDescription", lambda p: f"mrn: {p.mrn} lossy"),
    "AcquisitionComments": _put("AcquisitionComments", lambda p: f"call 555-010-{7000 + p.number}"),
    "PerformedProcedureStepDescription": _put(
        "PerformedProcedureStepDescription", lambda p: f"{p.family} thorax"
    ),
    "RequestedProcedureDescription": _put("RequestedProcedureDescription", lambda p: f"{p.given}'s thorax"),
    "RequestedContrastAgent": _put("RequestedContrastAgent", lambda p: f"agent for {p.family}"),
    "PerformedProcedureStepID": _put("PerformedProcedureStepID", lambda p: f"PP{p.mrn[3:]}"),
    "AdmissionID": _put("AdmissionID", lambda p: f"AD{p.mrn[3:]}"),
    "CurrentPatientLocation": _put("CurrentPatientLocation", lambda p: f"bed of {p.family}"),
    "VisitComments": _put("VisitComments", lambda p: f"{p.family}, {p.given} was here 17 Mar 2016"),
    "BodyPartExamined": _put("BodyPartExamined", lambda p: p.mrn),
    "KVP as identifier": _put("KVP", lambda p: p.mrn[3:]),
    "RequestAttributesSequence": _inside(
        "RequestAttributesSequence", RequestedProcedureComments=lambda p: f"{p.family} again"
    ),
    "ReferencedPatientSequence": _inside(
        "ReferencedPatientSequence", ReferencedSOPInstanceUID=lambda p: f"{ROOT}.77.{p.number}.5"
    ),
    "OriginalAttributesSequence": _inside(
        "OriginalAttributesSequence", "ModifiedAttributesSequence", PatientName=lambda p: p.name
    ),
    "OperatorIdentificationSequence": _inside(
        "OperatorIdentificationSequence", PersonAddress=lambda p: p.street, InstitutionName=lambda p: HOSPITAL
    ),
    "three deep": _inside(
        "ReferencedImageSequence", "PurposeOfReferenceCodeSequence", "EquivalentCodeSequence",
        CodeMeaning=lambda p: f"scan of {_full(p)}",
    ),
    "CodeMeaning": _inside(
        "ProcedureCodeSequence", CodeValue=lambda p: "P5-0001", CodingSchemeDesignator=lambda p: "99ACME",
        CodeMeaning=lambda p: f"thorax of {p.family}",
    ),
    "AdmittingDiagnosesDescription": _put("AdmittingDiagnosesDescription", lambda p: f"{p.family}: cough"),
    "RetrieveURL": _put("RetrieveURL", lambda p: f"https://pacs.example/{p.mrn}"),
    "private text, bytes and sequence": _private,
    "unknown element": _unknown,
    "overlay comment": _overlay_comment,
    "curve": _curve,
    "trailing padding": _padding,
    "UID in a text": _put("ContrastBolusAgent", lambda p: f"see {ROOT}.{p.number}.1"),
    "ContentCreatorName": _put("ContentCreatorName", lambda p: OPERATOR),
    "ClinicalTrialSubjectID": _put("ClinicalTrialSubjectID", lambda p: f"CT{p.mrn[3:]}"),
}  # fmt: skip
# Planted in every object, or in those of one kind, by the makers below.
ELSEWHERE = (
    "PatientName", "PatientID", "PatientBirthDate", "StudyDate", "preamble", "SourceApplicationEntityTitle",
    "PrivateInformation", "file name", "DICOMDIR", "SegmentLabel", "SegmentDescription", "TrackingID",
    "ROIName", "StructureSetLabel", "ROIInterpreter", "SR text", "SR person", "SR date", "SR UID",
    "ultrasound pixels", "secondary capture pixels", "StudyDescription",
)  # fmt: skip
PLACES = (*ANYWHERE, *ELSEWHERE)


@dataclass
class Cohort:
    """The files, and what was put into them."""

    folder: Path
    files: list[Path] = field(default_factory=list)
    text_boxes: dict[Path, tuple[int, int, int, int]] = field(default_factory=dict)
    planted: dict[str, int] = field(default_factory=dict)

    @property
    def words(self) -> list[str]:
        """Everything that must not be found in the output, as bytes."""
        names = [part for name in (DOCTOR, OPERATOR) for part in name.split("^")]
        others = ["Eldritch", "010-7", "20160317", "041523"]
        return [*(word for who in PEOPLE for word in who.words), *names, *others]


def make_cohort(folder: Path, *, slices: int = 16) -> Cohort:
    """Six people, each with CT, MR, ultrasound, a screenshot, SEG, RTSTRUCT and SR: more than 200 files."""
    cohort = Cohort(folder)
    turn = iter(range(10**6))
    for who in PEOPLE:
        rng = np.random.default_rng(who.number)
        base = f"{ROOT}.{who.number}"
        images = {}
        for kind, modality, uid in ((CT, "CT", "1"), (MR, "MR", "2")):
            images[modality] = [_slice(rng, who, kind, modality, f"{base}.{uid}", k) for k in range(slices)]
            for k, content in enumerate(images[modality]):
                _plant(cohort, content, who, turn)
                _save(cohort, content, who, f"{who.family}/{modality}/{who.mrn}_{k:03d}.dcm")
        for k in range(2):
            _picture(cohort, rng, who, US, "US", f"{base}.3", k)
        _picture(cohort, rng, who, SC, "OT", f"{base}.4", 0)
        _derived(cohort, who, base, images["CT"])
    (folder / "DICOMDIR").write_bytes(PEOPLE[0].name.encode())
    (folder / "notes.txt").write_text(PEOPLE[0].name)
    return cohort


def _plant(cohort: Cohort, content: Dataset, who: Person, turn: object) -> None:
    """Four places in each object, in turn."""
    places = list(ANYWHERE)
    for _ in range(4):
        place = places[next(turn) % len(places)]
        ANYWHERE[place](content, who)
        cohort.planted[place] = cohort.planted.get(place, 0) + 1


def _object(who: Person, kind: str, modality: str, series: str, number: int) -> Dataset:
    content = Dataset()
    content.SpecificCharacterSet = "ISO_IR 192"
    content.SOPClassUID, content.SOPInstanceUID = kind, f"{series}.{number + 1}"
    content.StudyInstanceUID, content.SeriesInstanceUID = f"{ROOT}.{who.number}.9", series
    content.FrameOfReferenceUID = f"{ROOT}.{who.number}.8"
    content.PatientName, content.PatientID, content.PatientBirthDate = who.name, who.mrn, who.birthday
    content.PatientSex, content.PatientAge = "F", "093Y"
    content.StudyDate, content.SeriesDate, content.ContentDate = "20160317", "20160319", "20160401"
    content.StudyTime, content.ContentTime = "101500", "111500.123"
    content.AcquisitionDateTime = "20160320101500.5+0100"
    content.AccessionNumber, content.StudyID, content.ReferringPhysicianName = "", "", DOCTOR
    content.Modality, content.SeriesNumber, content.InstanceNumber = modality, 1, number + 1
    content.Manufacturer, content.ManufacturerModelName = "Acme", "Scanner 9000"
    content.StudyDescription = f"{KEPT_TEXT} {who.family}"
    return content


def _pixels(content: Dataset, values: np.ndarray) -> None:
    rows, columns = values.shape[:2]
    content.Rows, content.Columns = rows, columns
    content.SamplesPerPixel = 3 if values.ndim == 3 else 1
    content.PhotometricInterpretation = "RGB" if values.ndim == 3 else "MONOCHROME2"
    if values.ndim == 3:
        content.PlanarConfiguration = 0
    bits = values.dtype.itemsize * 8
    content.BitsAllocated, content.BitsStored, content.HighBit = bits, bits, bits - 1
    content.PixelRepresentation = 0
    content.PixelData = values.tobytes()


def _slice(rng: np.random.Generator, who: Person, kind: str, modality: str, series: str, k: int) -> Dataset:
    content = _object(who, kind, modality, series, k)
    content.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    content.BodyPartExamined = "CHEST"
    content.SliceThickness, content.KVP = 3, 120
    content.ImagePositionPatient, content.ImageOrientationPatient = [0, 0, 3 * k], [1, 0, 0, 0, 1, 0]
    content.PixelSpacing, content.RescaleSlope, content.RescaleIntercept = [1, 1], 1, -1024
    _pixels(content, rng.integers(0, 2000, (16, 16), dtype=np.uint16))
    return content


def _picture(
    cohort: Cohort, rng: np.random.Generator, who: Person, kind: str, modality: str, series: str, k: int
) -> None:
    """An image with a name burned into it."""
    content = _object(who, kind, modality, series, k)
    content.ImageType = ["ORIGINAL", "PRIMARY"]
    picture = Image.fromarray(rng.integers(0, 25, (120, 200), dtype=np.uint8))
    drawn = ImageDraw.Draw(picture)
    plain = f"Person {who.number}" if not who.family.isascii() else who.family
    place = (8, 6 + 4 * k)
    drawn.text(place, f"{plain} {who.mrn}", fill=230)
    box = drawn.textbbox(place, f"{plain} {who.mrn}")
    drawn.ellipse((70, 50, 150, 110), fill=90)
    values = np.asarray(picture)
    _pixels(content, np.stack([values] * 3, axis=-1) if modality == "US" else values)
    path = _save(cohort, content, who, f"{who.family}/{modality}_{k}.dcm")
    cohort.text_boxes[path] = box


def _derived(cohort: Cohort, who: Person, base: str, images: list[Dataset]) -> None:
    """SEG, RTSTRUCT and SR that refer to the slices."""
    references = [
        _item(ReferencedSOPClassUID=image.SOPClassUID, ReferencedSOPInstanceUID=image.SOPInstanceUID)
        for image in images
    ]
    series = _item(
        SeriesInstanceUID=images[0].SeriesInstanceUID, ReferencedInstanceSequence=Sequence(references)
    )
    seg = _object(who, SEG, "SEG", f"{base}.5", 0)
    seg.ReferencedSeriesSequence = Sequence([series])
    seg.SegmentSequence = Sequence(
        [
            _item(
                SegmentNumber=1, SegmentLabel=f"lesion {who.family}", TrackingID=f"{who.mrn} lesion",
                SegmentDescription=f"drawn for {who.given}", TrackingUID=f"{base}.55",
            )
        ]
    )  # fmt: skip
    seg.Rows, seg.Columns, seg.NumberOfFrames, seg.SegmentationType = 16, 16, 1, "BINARY"
    seg.BitsAllocated, seg.BitsStored, seg.HighBit, seg.PixelRepresentation = 1, 1, 0, 0
    seg.SamplesPerPixel, seg.PhotometricInterpretation, seg.PixelData = 1, "MONOCHROME2", bytes(32)
    _save(cohort, seg, who, f"{who.family}/seg.dcm")
    contours = _object(who, RTSTRUCT, "RTSTRUCT", f"{base}.6", 0)
    contours.StructureSetLabel, contours.StructureSetDate = f"plan {who.family}", "20160402"
    contours.StructureSetROISequence = Sequence(
        [_item(ROINumber=1, ReferencedFrameOfReferenceUID=f"{base}.8", ROIName=f"GTV {who.given}")]
    )
    contours.RTROIObservationsSequence = Sequence(
        [_item(ObservationNumber=1, ReferencedROINumber=1, RTROIInterpretedType="GTV", ROIInterpreter=DOCTOR)]
    )
    drawn = [_item(ContourImageSequence=Sequence([reference])) for reference in references]
    contours.ROIContourSequence = Sequence([_item(ReferencedROINumber=1, ContourSequence=Sequence(drawn))])
    _save(cohort, contours, who, f"{who.family}/rt.dcm")
    report = _object(who, SR, "SR", f"{base}.7", 0)
    report.ValueType = "CONTAINER"
    report.ContentSequence = Sequence(
        [
            _item(
                RelationshipType="CONTAINS", ValueType="TEXT", TextValue=f"Lesion of {_full(who)} is small"
            ),
            _item(RelationshipType="HAS OBS CONTEXT", ValueType="PNAME", PersonName=DOCTOR),
            _item(RelationshipType="CONTAINS", ValueType="DATE", Date="20160317"),
            _item(RelationshipType="CONTAINS", ValueType="UIDREF", UID=images[0].SOPInstanceUID),
            _item(
                RelationshipType="CONTAINS", ValueType="IMAGE", ReferencedSOPSequence=Sequence(references[:1])
            ),
        ]
    )
    _save(cohort, report, who, f"{who.family}/sr.dcm")


def _save(cohort: Cohort, content: Dataset, who: Person, name: str) -> Path:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = (
        content.SOPClassUID,
        content.SOPInstanceUID,
    )
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.SourceApplicationEntityTitle = "ELDRITCH"
    meta.PrivateInformationCreatorUID, meta.PrivateInformation = f"{ROOT}.1", who.name.encode().ljust(64)[:64]
    content.file_meta = meta
    content.preamble = who.name.encode().ljust(128, b"\0")[:128]
    path = cohort.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, content, enforce_file_format=True)
    cohort.files.append(path)
    return path
