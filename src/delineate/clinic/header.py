"""Header: what every object that we write says about patient, study, equipment and itself.

Patient and study are those of the series. Values that no reader may accept (a date that is none, a sex that
is a word) are emptied or left out, and a note says which, never what they held.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import VR

from delineate import __version__
from delineate.clinic.codes import Code
from delineate.clinic.result import Result
from delineate.io.foreign import quiet

IMPLEMENTATION_UID = "2.25.291384920371105733498216770455201908437"  # ours, made once at random
IMPLEMENTATION = f"DELINEATE_{__version__}"[:16]
MANUFACTURER = "delineate"

# Type 2: there even where empty. PS3.3 C.7.1.1, C.7.2.1.
EMPTY_IF_UNKNOWN = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex",
    "StudyDate", "StudyTime", "ReferringPhysicianName", "StudyID", "AccessionNumber",
)  # fmt: skip
# There where the series has them: patient, study and trial are the same in all. PS3.3 C.7.1, C.7.2.
IF_KNOWN = (
    "IssuerOfPatientID", "TypeOfPatientID", "PatientAge", "PatientSize", "PatientWeight",
    "StudyDescription", "PatientIdentityRemoved", "DeidentificationMethod",
    "DeidentificationMethodCodeSequence", "LongitudinalTemporalInformationModified",
    "ClinicalTrialSponsorName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID", "ClinicalTrialSiteName", "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID", "ClinicalTrialTimePointID",
)  # fmt: skip
VALID = {  # PS3.5, 6.2
    VR.DA: r"\d{8}",
    VR.TM: r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    VR.AS: r"\d{3}[DWMY]",
    VR.CS: r"[A-Z0-9 _]{1,16}",
    VR.SH: r"[^\\]{1,16}",
    VR.LO: r"[^\\]{1,64}",
}


def header(result: Result, sop_class: str, sop_uid: str, series_uid: str) -> tuple[Dataset, tuple[str, ...]]:
    """Patient, study, equipment and identity of an object made of a result, and what had to be left out."""
    content, notes = _of_patient(result.series.header)
    content.file_meta = _meta(sop_class, sop_uid)
    content.SpecificCharacterSet = "ISO_IR 192"
    content.SOPClassUID, content.SOPInstanceUID = sop_class, sop_uid
    content.StudyInstanceUID = result.series.study_uid
    content.SeriesInstanceUID = series_uid
    content.FrameOfReferenceUID = result.series.frame_of_reference_uid
    content.PositionReferenceIndicator = str(result.series.header.get("PositionReferenceIndicator", "") or "")
    content.InstanceNumber = 1
    content.InstanceCreationDate, content.InstanceCreationTime = date(result.when), time(result.when)
    content.SeriesDate, content.SeriesTime = date(result.when), time(result.when)
    content.Manufacturer = MANUFACTURER
    content.ManufacturerModelName = short(result.maker.name, 64)
    content.DeviceSerialNumber = (result.maker.digest or "0")[:64]
    content.SoftwareVersions = short(f"delineate {__version__}", 64)
    return content, notes


def coded(code: Code) -> Dataset:
    """A code as the item of a code sequence."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme, code.meaning
    return item


def date(when: datetime) -> str:
    """DICOM's DA."""
    return when.strftime("%Y%m%d")


def time(when: datetime) -> str:
    """DICOM's TM."""
    return when.strftime("%H%M%S.%f")


def short(text: str, most: int) -> str:
    """Text without what DICOM forbids, and no longer than it may be."""
    return re.sub(r"[\\\x00-\x1f]", " ", text)[:most].strip()


def series_number(result: Result, offset: int) -> int:
    """A number for a new series that sorts after the original."""
    known = result.series.header.get("SeriesNumber")
    return offset + (int(known) if known not in (None, "") else 0)


def _meta(sop_class: str, sop_uid: str) -> FileMetaDataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = UID(sop_class), UID(sop_uid)
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID, meta.ImplementationVersionName = UID(IMPLEMENTATION_UID), IMPLEMENTATION
    return meta


def _of_patient(source: Dataset) -> tuple[Dataset, tuple[str, ...]]:
    content = Dataset()
    bad = [*_copied(source, content, EMPTY_IF_UNKNOWN), *_copied(source, content, IF_KNOWN)]
    for name in EMPTY_IF_UNKNOWN:
        if name not in content:
            setattr(content, name, "")
    methods = (
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
    )  # one of them is needed: C.7.1.1
    if content.get("PatientIdentityRemoved") == "YES" and not any(name in content for name in methods):
        content.DeidentificationMethod = "not stated in the series"
    notes = (f"left out of the header, being no valid DICOM in the series: {', '.join(bad)}",) if bad else ()
    return content, notes


def _copied(source: Dataset, content: Dataset, names: Iterable[str]) -> list[str]:
    """Copies what is valid; the names of what is not."""
    bad = []
    for name in names:
        with quiet("pydicom"):
            known = name in source and not source[name].is_empty
        if not known:
            continue
        element = source[name]
        value = element.value
        if element.VR in (VR.SQ, VR.DS, VR.UI, VR.PN):
            setattr(content, name, str(value) if element.VR == VR.PN else value)
        elif _is_valid(element.VR, value) and _is_known(name, str(value)):
            setattr(content, name, value)
        else:
            bad.append(name)
    return bad


def _is_valid(vr: str, value: object) -> bool:
    parts = value if isinstance(value, MultiValue) else [value]
    return all(vr not in VALID or re.fullmatch(VALID[VR(vr)], str(part).strip()) for part in parts)


def _is_known(name: str, value: str) -> bool:
    """Whether the value is one of those that the attribute may have."""
    known = {"PatientSex": ("M", "F", "O"), "PatientIdentityRemoved": ("YES", "NO")}
    return value in known.get(name, (value,))
