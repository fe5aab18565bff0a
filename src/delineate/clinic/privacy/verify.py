"""Verify: what was written is read again and searched for everything that the input named.

It does not ask what was done. Every element of the output, at any depth, is searched for the identifiers of
all patients of the input; so is every byte of the file, as it is and without the zeros that wider characters
have, so that nothing hides in a private element, behind the end, or in a comment of a compressed picture.
A file in which anything is found is not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydicom.dataset import Dataset

from delineate.clinic.privacy.header import (
    DATES,
    NUMBERS_AS_TEXT,
    TEXTS,
    is_number_of,
    values_of,
    walk,
)
from delineate.clinic.privacy.inventory import Inventory
from delineate.clinic.privacy.known import Known
from delineate.io.frames import dataset

UID_BYTES = re.compile(rb"[0-2](?:\.\d+){3,}")
DATE = re.compile(r"(?<!\d)(?:19|20)\d{6}(?!\d)")
LEAST_BYTES = 6  # of an identifier that is looked for between pixels: shorter ones stand there by chance
MOST_BYTES = 1 << 24  # of a file that is also searched without its zeros


@dataclass(frozen=True)
class Survivor:
    """Something of the input that is still there: what kind of thing, and in which attribute (or "bytes")."""

    kind: str
    where: str


@dataclass(frozen=True)
class Search:
    """What is searched for, made ready once for many files."""

    known: Known
    uids: frozenset[str]
    dates: frozenset[str]
    written: frozenset[str]

    @classmethod
    def of(cls, inventory: Inventory, known: Known) -> Search:
        """Everything that an inventory lists."""
        keep_dates = "full_dates" in inventory.profile.options
        written = frozenset(
            text
            for text in inventory.names | inventory.values
            if len(text) >= LEAST_BYTES and any(True for _ in known.spans(text))
        )
        dates = frozenset() if keep_dates else frozenset(inventory.dates)
        return cls(known, frozenset(inventory.uids), dates, written)

    @property
    def count(self) -> int:
        """How many things are searched for."""
        return len(self.known.sequences) + len(self.known.written) + len(self.uids) + len(self.dates)

    @cached_property
    def needles(self) -> re.Pattern[bytes] | None:
        """Names and numbers as bytes, in the encodings that DICOM files have."""
        encoded = {text.encode(code, "ignore") for text in self.written for code in ("utf-8", "latin-1")}
        telling = sorted(needle for needle in encoded if len(needle) >= LEAST_BYTES)
        if not telling:
            return None
        # Digits and letters must end where the identifier does: 4711081 is no part of 0.47110812.
        joined = b"|".join(map(re.escape, telling))
        return re.compile(rb"(?<![0-9A-Za-z.])(?:" + joined + rb")(?![0-9A-Za-z])", re.IGNORECASE)


def survivors(path: Path, search: Search) -> tuple[Survivor, ...]:
    """What of the input is still in a DICOM file."""
    return tuple({*_in_elements(dataset(path), search), *bytes_survivors(path.read_bytes(), search)})


def bytes_survivors(content: bytes, search: Search) -> Iterator[Survivor]:
    """What of the input is still in some bytes."""
    for match in UID_BYTES.finditer(content):
        if match[0].decode() in search.uids:
            yield Survivor("UID", "bytes")
    if search.needles is None:
        return
    narrow = content.replace(b"\0", b"") if len(content) <= MOST_BYTES else b""
    if search.needles.search(content) or search.needles.search(narrow):
        yield Survivor("name or number", "bytes")


def _in_elements(content: Dataset, search: Search) -> Iterator[Survivor]:
    for part in (content.file_meta, content):
        for element in walk(part):
            name = element.keyword or str(element.tag)
            for value in values_of(element.value):
                kind = _found(element.VR, value, search)
                if kind is not None:
                    yield Survivor(kind, name)


def _found(vr: str, value: object, search: Search) -> str | None:
    text = str(value)
    if vr == "UI":
        return "UID" if text in search.uids else None
    if vr in NUMBERS_AS_TEXT:
        return "name or number" if is_number_of(search.known, text) else None
    if vr not in TEXTS and vr != "PN":
        return None
    if any(True for _ in search.known.spans(text)):
        return "name or number"
    if vr not in DATES and any(match[0] in search.dates for match in DATE.finditer(text)):
        return "date"
    return None
