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


@dataclass(frozen=True)
class Person:
    """Whose an object is: what the header says of it, from which pseudonym and shift are computed."""

    id: str
    issuer: str = ""

    @property
    def as_text(self) -> str:
        """For the key: the issuer belongs to the ID, since two hospitals count alike."""
        return f"{self.issuer}\0{self.id}" if self.issuer else self.id


@dataclass
class Inventory:
    """What was read so far.

    known  to be looked for in texts
    uids   of things, to be looked for in the output unless UIDs are kept
    dates  by person: all that their headers hold, as YYYYMMDD
    """

    profile: Profile
    names: set[str] = field(default_factory=set)
    values: set[str] = field(default_factory=set)
    uids: set[str] = field(default_factory=set)
    dates: set[str] = field(default_factory=set)

    def add(self, content: Dataset) -> None:
        """Takes in what one header names."""
        self.names |= set(_names(content))
        self.values |= set(_values(content, self.profile))
        if "uids" not in self.profile.options:
            self.uids |= {*things(content), *things(content.file_meta)}
        self.dates |= set(_dates(content))

    @property
    def known(self) -> Known:
        """What to look for."""
        return of_names(self.names) | of_values(self.values)


def person_of(content: Dataset) -> Person:
    """Whose an object is: by patient ID, else by name and birthday, else by the study."""
    text = {name: str(content.get(name) or "").strip() for name in PERSON}
    if text["PatientID"]:
        return Person(text["PatientID"], text["IssuerOfPatientID"])
    if text["PatientName"]:
        return Person(f"{text['PatientName']}\0{text['PatientBirthDate']}")
    return Person(text["StudyInstanceUID"] or text["SOPInstanceUID"])


PERSON = (
    "PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate", "StudyInstanceUID", "SOPInstanceUID",
)  # fmt: skip


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
