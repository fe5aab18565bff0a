"""Table: what PS3.15 Annex E says is done to each attribute, and how options change it.

`table.csv` is Table E.1-1 of the edition 2026c: the columns of the basic profile and of its options. Where an
action leaves a choice (X/Z/D), the choice depends on whether an attribute must be there; `Profile.action`
takes the one that leaves a lawful object whatever its kind: D before Z before X, but Z for sequences, none of
which has to have items.

A newer edition is taken in by replacing the file; the options of the 36 rows that came after 2024b follow the
kind of their values (dates, UIDs, text), as in all rows before them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, get_args

from delineate.errors import DataError

EDITION = "2026c"
Option = Literal[
    "private",  # retain safe private
    "uids",
    "device",
    "institution",
    "patient",  # retain patient characteristics
    "full_dates",
    "modified_dates",
    "descriptors",  # clean descriptors
    "structured",  # clean structured content
    "graphics",  # clean graphics
]
OPTIONS: tuple[Option, ...] = get_args(Option)
Action = Literal["D", "Z", "X", "K", "C", "U"]

# PS3.16 CID 7050. The first is the basic profile; those of pixels and faces are added where they were done.
CODES: Mapping[str, tuple[str, str]] = {
    "basic": ("113100", "Basic Application Confidentiality Profile"),
    "pixels": ("113101", "Clean Pixel Data Option"),
    "faces": ("113102", "Clean Recognizable Visual Features Option"),
    "graphics": ("113103", "Clean Graphics Option"),
    "structured": ("113104", "Clean Structured Content Option"),
    "descriptors": ("113105", "Clean Descriptors Option"),
    "full_dates": ("113106", "Retain Longitudinal Temporal Information Full Dates Option"),
    "modified_dates": ("113107", "Retain Longitudinal Temporal Information Modified Dates Option"),
    "patient": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
    "uids": ("113110", "Retain UIDs Option"),
    "private": ("113111", "Retain Safe Private Option"),
    "institution": ("113112", "Retain Institution Identity Option"),
}


@dataclass(frozen=True)
class Row:
    """One attribute of the table: its action in the basic profile, and under each option that changes it."""

    name: str
    basic: str  # "D", "X/Z", ...
    options: Mapping[str, Action]


@dataclass(frozen=True)
class Profile:
    """The basic profile with options; says what is done to each attribute.

    K is stronger than C, and an option stronger than the basic profile: PS3.15 E.3, "retain" wins.
    """

    options: tuple[Option, ...] = ()

    def __post_init__(self) -> None:
        if unknown := [name for name in self.options if name not in OPTIONS]:
            raise DataError(f"{unknown[0]}: no option of the profile; expected one of {', '.join(OPTIONS)}.")
        if {"full_dates", "modified_dates"} <= set(self.options):
            raise DataError("full_dates and modified_dates: dates are either kept or moved. Choose one.")

    def row(self, tag: int) -> Row | None:
        """The row that speaks of a tag, or None: the table does not name it."""
        return rows().get(_pattern(tag))

    def action(self, tag: int, vr: str) -> Action | None:
        """What is done to an attribute; None where the table does not name it."""
        row = self.row(tag)
        if row is None:
            return None
        wanted = {row.options[name] for name in self.options if name in row.options}
        if wanted:
            return "K" if "K" in wanted else "C"
        return chosen(row.basic, vr)


def chosen(basic: str, vr: str) -> Action:
    """One action of several ("X/Z/D"), by what leaves a lawful object whatever its type is."""
    match basic:
        case "D" | "Z" | "X" | "U" | "K" | "C":
            return basic
        case "X/Z/U*":
            return "U"
        case _ if vr == "SQ" and "Z" in basic:
            return "Z"
        case _ if "D" in basic:
            return "D"
        case _:
            return "Z"


@cache
def rows() -> Mapping[str, Row]:
    """The table, by tag in hexadecimal ("00080050") or by pattern ("50xxxxxx")."""
    text = files("delineate.clinic.privacy").joinpath("table.csv").read_text(encoding="utf-8")
    return {_key(line["tag"]): _row(line) for line in csv.DictReader(text.splitlines())}


@cache
def safe_private() -> frozenset[tuple[str, int, int]]:
    """Private elements that hold physics and nothing else: (creator, group, element within its block).

    From PS3.15 Table E.3.10-1; only those whose values are numbers or codes and whose meaning is known. The
    table has some 265 more: texts and bytes of ultrasound and mammography that no dictionary explains, and
    sizes of structures (NeuroQuant). They are removed, as other private elements are.
    """
    text = files("delineate.clinic.privacy").joinpath("safe_private.csv").read_text(encoding="utf-8")
    lines: Iterable[dict[str, str]] = csv.DictReader(text.splitlines())
    return frozenset((line["creator"], int(line["group"], 16), int(line["element"], 16)) for line in lines)


@cache
def vocabulary() -> frozenset[str]:
    """Words of anatomy and of scanners, which are kept even where a patient is called so.

    Those that de-identification itself writes into an object are among them.
    """
    text = files("delineate.clinic.privacy").joinpath("vocabulary.txt").read_text(encoding="utf-8")
    ours = " ".join(meaning for _, meaning in CODES.values())
    return frozenset([*text.split(), *ours.casefold().split()])


def _key(tag: str) -> str:
    return tag.replace(",", "").upper().replace("X", "x") if "odd" not in tag else "odd"


def _row(line: Mapping[str, str]) -> Row:
    given: dict[str, Action] = {}
    for name in OPTIONS:
        if line[name] == "K" or line[name] == "C":
            given[name] = line[name]  # type: ignore[assignment]
    return Row(line["name"], line["basic"], given)


def _pattern(tag: int) -> str:
    """The key under which a tag stands in the table."""
    group, element = tag >> 16, tag & 0xFFFF
    if group % 2:
        return "odd"
    if group >> 8 == 0x50:  # curves: 50xx
        return "50xxxxxx"
    if group >> 8 == 0x60 and element in (0x3000, 0x4000):  # overlays: 60xx
        return f"60xx{element:04X}"
    return f"{tag:08X}"
