"""Inventory: who and what the input names, read from all headers before anything is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from delineate.clinic.privacy.header import DATES, things, values_of, walk
from delineate.clinic.privacy.known import Known, of_names, of_values
from delineate.clinic.privacy.table import Profile

ADDRESSES = ("AE", "LO", "LT", "SH", "ST", "UC", "UR", "UT")
LONGEST = 200  # letters of an identifier; longer is prose
NUMBERED = 5  # letters of the name of a device, which has to hold a digit to be told from a model


@dataclass
class Inventory:
    """What was read so far.

    names    of persons
    values   other identifiers
    uids     of things, to be looked for in the output unless UIDs are kept
    dates    all that headers hold, as YYYYMMDD
    issuers  of patient IDs, by person
    """

    profile: Profile
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)
    issuers: dict[str, set[str]] = field(default_factory=dict)

    def add(self, content: Dataset) -> None:
        """Takes in what one header names."""
        self.names |= set(_names(content))
        self.values |= set(_values(content, self.profile))
        if "uids" not in self.profile.options:
            self.uids |= {*things(content), *things(content.file_meta)}
        self.dates |= set(_dates(content))
        issuers = self.issuers.setdefault(person_of(content), set())
        issuers |= {str(content.get("IssuerOfPatientID") or "")} - {""}

    @property
    def known(self) -> Known:
        """What to look for."""
        return of_names(self.names) | of_values(self.values)


def person_of(content: Dataset) -> str:
    """Whose an object is, for the key: the patient ID, else name and birthday, else the study.

    Who issued the ID is left aside: half of the objects of a patient do not say it.
    """
    names = ("PatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID")
    number, name, birthday, study, image = (str(content.get(keyword) or "").strip() for keyword in names)
    if number:
        return number
    return f"{name}\0{birthday}" if name else study or image


def _names(content: Dataset) -> Iterator[str]:
    for element in walk(content):
        if element.VR == "PN":
            yield from _texts(element.value)


def _values(content: Dataset, profile: Profile) -> Iterator[str]:
    """Numbers, addresses and places: texts that the profile takes away and that are no descriptions."""
    for element in walk(content):
        if element.tag.is_private or element.VR not in ADDRESSES:
            continue
        row = profile.row(int(element.tag))
        if row is None or profile.action(int(element.tag), element.VR) not in ("X", "Z", "D"):
            continue
        if {"descriptors", "full_dates", "patient"} & set(row.options):
            continue
        for text in _texts(element.value):
            if "device" not in row.options or _is_numbered(text):
                yield text


def _is_numbered(text: str) -> bool:
    return len(text) >= NUMBERED and any(sign.isdigit() for sign in text)


def _texts(value: object) -> Iterator[str]:
    for part in values_of(value):
        text = str(part).strip()
        if 0 < len(text) <= LONGEST:
            yield text


def _dates(content: Dataset) -> Iterator[str]:
    for element in walk(content):
        if element.VR in DATES and element.VR != "TM":
            yield from (text[:8] for text in _texts(element.value) if text[:8].isdigit() and len(text) >= 8)
