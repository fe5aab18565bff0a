"""Found: what is asked for at each level of an archive, and what files say of themselves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from io import BytesIO
from pathlib import Path
from typing import Literal, Protocol

import pydicom
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from delineate.clinic.archive.access import Access
from delineate.errors import DataError
from delineate.io.bombs import check_inflates
from delineate.io.foreign import quiet, reading

Level = Literal["STUDY", "SERIES", "IMAGE"]

# What comes back of each, its identity first. PS3.4 C.6.2.1, PS3.18 10.6.3.3.
STUDY = (
    "StudyInstanceUID", "PatientID", "PatientName", "StudyDate", "StudyDescription", "AccessionNumber",
    "ModalitiesInStudy", "NumberOfStudyRelatedInstances",
)  # fmt: skip
SERIES = (
    "SeriesInstanceUID", "StudyInstanceUID", "Modality", "SeriesNumber", "SeriesDescription",
    "BodyPartExamined", "NumberOfSeriesRelatedInstances",
)  # fmt: skip
IMAGE = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "InstanceNumber")


NO_IMAGES = ("SEG", "RTSTRUCT", "SR", "PR", "KO", "DOC", "RTPLAN", "RTDOSE", "RTRECORD", "REG", "FID")


class Archive(Protocol):
    """What can be asked of every archive."""

    access: Access

    def check(self) -> None:
        """Raises an ArchiveError where it does not answer."""

    def find(self, level: Level, filters: Mapping[str, str]) -> tuple[Dataset, ...]:
        """What it has at a level."""

    def send(self, files: Sequence[Path]) -> None:
        """Stores files, all of them or an ArchiveError."""


def fields_of(level: Level) -> tuple[str, ...]:
    """The attributes that are asked for at a level."""
    return {"STUDY": STUDY, "SERIES": SERIES, "IMAGE": IMAGE}[level]


def shown(item: Dataset, level: Level) -> dict[str, str]:
    """What was found, as text by keyword."""
    texts = {}
    for name in fields_of(level):
        value = item.get(name)
        values = value if isinstance(value, (MultiValue, list)) else [value]
        texts[name] = " ".join("" if each is None else str(each) for each in values)
    return texts


def studies_of(
    archive: Archive, query: Mapping[str, str], first: datetime, last: datetime
) -> tuple[str, ...]:
    """UIDs of the studies of some days; a query with a date of its own is asked as it is."""
    days = {"StudyDate": f"{first:%Y%m%d}-{last:%Y%m%d}"} if "StudyDate" not in query else {}
    return tuple(str(study.StudyInstanceUID) for study in archive.find("STUDY", {**query, **days}))


def image_series(archive: Archive, study: str) -> dict[str, str]:
    """The series of a study that hold images, and how many the archive says each has."""
    return {
        str(each.SeriesInstanceUID): str(each.get("NumberOfSeriesRelatedInstances", "") or "")
        for each in archive.find("SERIES", {"StudyInstanceUID": study})
        if str(each.get("Modality", "")) not in NO_IMAGES
    }


def checked_filters(filters: tuple[str, ...]) -> dict[str, str]:
    """Filters as people type them ("PatientID=7"), by keyword."""
    pairs = [text.partition("=") for text in filters]
    for name, sign, _ in pairs:
        if not sign or tag_for_keyword(name) is None:
            raise DataError(
                f"{name}: is no attribute to search by; expected KEYWORD=VALUE, such as PatientID=7 or "
                f"StudyDate=20260101-20260131."
            )
    return {name: value for name, _, value in pairs}


def instance_uid(content: bytes) -> str:
    """The SOPInstanceUID of a file that was fetched, fit for the name of a file."""
    with reading(Path("a file that was fetched"), "DICOM", private=True), quiet("pydicom"):
        check_inflates(BytesIO(content), "a file that was fetched")
        header = pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=["SOPInstanceUID"])
        uid = str(header.get("SOPInstanceUID", ""))
    if not re.fullmatch(r"[0-9.]{1,64}", uid):
        raise DataError("a file that was fetched: has no SOPInstanceUID that could name it.")
    return uid


def described(file: Path) -> tuple[str, str, str]:
    """SOP class, SOP instance and transfer syntax of a file."""
    with reading(file, "DICOM", private=True), quiet("pydicom"):
        content = pydicom.dcmread(
            file, stop_before_pixels=True, specific_tags=["SOPClassUID", "SOPInstanceUID"]
        )
        syntax = str(content.file_meta.get("TransferSyntaxUID", ""))
        found = (str(content.get("SOPClassUID", "")), str(content.get("SOPInstanceUID", "")), syntax)
    if not all(found):
        raise DataError(f"{file}: is without SOP class, SOP instance or transfer syntax, and cannot be sent.")
    return found
