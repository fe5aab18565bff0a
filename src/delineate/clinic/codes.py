"""Codes: what structures are called in SNOMED CT, so that other systems know what was delineated.

The shipped table (`codes.csv`) has structures, lesions, target volumes and devices by the names that people
and models give them. A name is found by its words, whatever their order, case and separators: `kidney_left`,
`Left kidney` and `Kidney_L` are one structure. A lesion may name its organ: `liver tumour`, `left lung
nodule`. What is not in the table is refused with near matches: a wrong code is worse than none.

Source of the codes: DICOM PS3.16 (CIDs 4031, 7151 and those it includes, 7140, 7159, 9502 for target
volumes), and for 30 that it lacks the SNOMED CT mapping published with TotalSegmentator.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Literal

from delineate.errors import DataError
from delineate.record import Record
from delineate.space import Label

Side = Literal["left", "right"]
Color = tuple[int, int, int]

SCT = "SCT"
COLUMNS = ("name", "synonyms", "category", "code", "meaning", "sides", "region", "color", "role")
SIDES: dict[str, Side] = {
    "left": "left", "l": "left", "lt": "left", "lh": "left",
    "right": "right", "r": "right", "rt": "right", "rh": "right",
}  # fmt: skip
LETTER: dict[Side, str] = {"left": "L", "right": "R"}
OWN = "99"  # private coding schemes begin with these digits: PS3.3, 8.2


class Code(Record):
    """A coded concept: value, the scheme that it is of, and its meaning in words."""

    value: str
    scheme: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}:{self.value} ({self.meaning})"


CATEGORIES = {  # CID 7150
    "anatomy": Code(value="123037004", scheme=SCT, meaning="Anatomical Structure"),
    "tissue": Code(value="85756007", scheme=SCT, meaning="Tissue"),
    "abnormal": Code(value="49755003", scheme=SCT, meaning="Morphologically Abnormal Structure"),
    "object": Code(value="260787004", scheme=SCT, meaning="Physical object"),
    "substance": Code(value="91720002", scheme=SCT, meaning="Body Substance"),
    "concept": Code(value="309825002", scheme=SCT, meaning="Spatial and Relational Concept"),
}
LATERALITY: dict[Side, Code] = {  # CID 244
    "left": Code(value="7771000", scheme=SCT, meaning="Left"),
    "right": Code(value="24028007", scheme=SCT, meaning="Right"),
}


class Concept(Record):
    """What a structure is, as DICOM says it.

    category  anatomy, tissue, abnormal structure, ... (CID 7150)
    kind      what it is: liver, neoplasm (CID 7151)
    side      left or right, of the region where there is one, else of the kind
    region    where a lesion is: liver
    role      interpreted type for radiotherapy (GTV, CTV, PTV); "" for ORGAN
    """

    name: str
    category: Code
    kind: Code
    side: Code | None = None
    region: Code | None = None
    color: Color
    role: str = ""

    @property
    def site(self) -> Code | None:
        """Where it is: its region, or itself where it is a part of the body; None of a lesion anywhere."""
        if self.region is None and self.side is None and self.category == CATEGORIES["abnormal"]:
            return None
        return self.region or self.kind


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    name: str
    synonyms: tuple[str, ...]
    category: str
    code: str
    meaning: str
    sides: str
    region: str
    color: Color
    role: str
    scheme: str = SCT


@dataclass(frozen=True)
class Codes:
    """A table of structures."""

    rows: tuple[Row, ...]

    @classmethod
    def shipped(cls) -> Codes:
        """The table that comes with this package."""
        text = resources.files("delineate.clinic").joinpath("codes.csv").read_text(encoding="utf-8")
        return cls(_rows(text.splitlines(), "codes.csv"))

    def extended(self, path: Path) -> Codes:
        """This table and the lines of a file with the same columns; where names meet, the file's win."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}.") from None
        return Codes((*self.rows, *_rows(text.splitlines(), str(path))))

    @cached_property
    def by_words(self) -> Mapping[frozenset[str], Row]:
        """The rows by the words of their names and synonyms; later rows win."""
        named = {_words(word): row for row in self.rows for word in row.synonyms}
        return named | {_words(row.name): row for row in self.rows}

    def find(self, name: str) -> Concept:
        """The structure of this name, or a DataError with the names that are near."""
        side, words = _sided(_words(name))
        row = self.by_words.get(_words(name)) or self.by_words.get(words)
        if row is not None:
            return self._concept(name, row, side if _words(name) not in self.by_words else None)
        for size in range(len(words) - 1, 0, -1):
            for lesion in self._lesions(words, size):
                organ = self.by_words.get(words - lesion)
                if organ is not None and organ.category == "anatomy":
                    return self._concept(name, self.by_words[lesion], side, organ)
        raise DataError(
            f"{name!r}: no such structure in the table of codes; {self._near(name)}\n"
            f'  Rename it in labels.json, give its code there ("code": "SCT:10200004"), or use a scheme of '
            f'your own ("code": "99ACME:0815:What it is").'
        )

    def named(self, label: Label) -> Concept:
        """The structure of a label: by its own code where it has one, else by its name."""
        concept = self._coded(label.name, label.code) if label.code else self.find(label.name)
        return concept if label.color is None else concept.but(color=label.color)

    def _lesions(self, words: frozenset[str], size: int) -> list[frozenset[str]]:
        """The names of lesions, of `size` words, that are part of `words`."""
        return [
            key
            for key, row in self.by_words.items()
            if len(key) == size and key < words and row.category == "abnormal" and not row.region
        ]

    def _concept(self, name: str, row: Row, side: Side | None, organ: Row | None = None) -> Concept:
        by_name = {row.name: row for row in self.rows}
        region = organ or (by_name[row.region] if row.region else None)
        sided = (organ or row).sides
        if side is not None and LETTER[side] not in sided:
            raise DataError(
                f"{name!r}: {(organ or row).meaning} has no {side} side in the table of codes.\n"
                f"  Rename it in labels.json; a side that is not there would be a wrong code."
            )
        return Concept(
            name=name,
            category=CATEGORIES[row.category],
            kind=_code(row),
            side=None if side is None else LATERALITY[side],
            region=None if region is None else _code(region),
            color=row.color,
            role=row.role,
        )

    def _coded(self, name: str, text: str) -> Concept:
        """The structure of a code in a schema, "SCT:10200004" or "99ACME:0815:What it is"."""
        scheme, _, rest = text.partition(":")
        value, _, meaning = rest.partition(":")
        if not scheme or not value:
            raise DataError(
                f'{name!r}: {text!r} is no code. Expected "SCHEME:VALUE" or "SCHEME:VALUE:meaning" '
                f'("SCT:10200004", "99ACME:0815:What it is").'
            )
        side, _ = _sided(_words(name))
        if scheme.startswith(OWN):
            own = Code(value=value[:16], scheme=scheme[:16], meaning=(meaning or name)[:64])
            if len(value) > 16 or len(scheme) > 16:
                raise DataError(
                    f"{name!r}: {text!r} is too long a code: 16 letters for scheme and value each."
                )
            return Concept(name=name, category=CATEGORIES["anatomy"], kind=own, color=(128, 174, 128))
        for row in self.rows:
            if (row.code, row.scheme) == (value, scheme) and not row.region:
                fits = side is not None and LETTER[side] in row.sides
                return self._concept(name, row, side if fits else None)
        raise DataError(
            f"{name!r}: the code {scheme}:{value} is not in the table of codes.\n"
            f"  Use one of its codes, add a line to a table of your own (--codes FILE.csv), or use a scheme "
            f'of your own, which begins with 99 ("99ACME:{value}:{meaning or name}").'
        )

    def _near(self, name: str) -> str:
        known = {word: row.name for row in self.rows for word in (row.name, *row.synonyms)}
        plain = " ".join(sorted(_words(name)))
        spelt = {" ".join(sorted(_words(word))): found for word, found in known.items()}
        near = get_close_matches(plain, list(spelt), n=4, cutoff=0.6)
        names = list(dict.fromkeys(spelt[word] for word in near))
        return (
            f"near: {', '.join(names)}."
            if names
            else f"it has {len(self.rows)} structures, none of them near."
        )


def _code(row: Row) -> Code:
    return Code(value=row.code, scheme=row.scheme, meaning=row.meaning)


def _words(name: str) -> frozenset[str]:
    """The words of a name without order, case, separators and plural."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    parts = re.split(r"[\W_]+", spaced.lower())
    return frozenset(_singular(part) for part in parts if part and part not in ("of", "the"))


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


def _sided(words: frozenset[str]) -> tuple[Side | None, frozenset[str]]:
    """The side that words name, and the other words; no side where both are named."""
    found = {SIDES[word] for word in words if word in SIDES}
    rest = frozenset(word for word in words if word not in SIDES)
    return (found.pop() if len(found) == 1 else None), rest


def _rows(lines: Iterable[str], where: str) -> tuple[Row, ...]:
    reader = csv.DictReader(lines)
    if tuple(reader.fieldnames or ()) != COLUMNS:
        raise DataError(
            f"{where}: is no table of codes. Expected the columns {', '.join(COLUMNS)}; "
            f"got {', '.join(reader.fieldnames or ()) or 'nothing'}."
        )
    return tuple(_row(line, f"{where}, line {number}") for number, line in enumerate(reader, 2))


def _row(line: Mapping[str, str], where: str) -> Row:
    cells = {name: (line[name] or "").strip() for name in COLUMNS}
    scheme, _, value = cells["code"].rpartition(":")
    if not cells["name"] or not value or not cells["meaning"]:
        raise DataError(f"{where}: a structure has a name, a code and a meaning; got {dict(line)}.")
    if cells["category"] not in CATEGORIES:
        raise DataError(f"{where}: {cells['category']!r} is no category; expected {', '.join(CATEGORIES)}.")
    if not re.fullmatch(r"[0-9a-fA-F]{6}", cells["color"]):
        raise DataError(f"{where}: {cells['color']!r} is no colour; expected six hexadecimal digits, ff8800.")
    red, green, blue = bytes.fromhex(cells["color"])
    return Row(
        name=cells["name"],
        synonyms=tuple(word for word in cells["synonyms"].split("|") if word),
        category=cells["category"],
        code=value,
        meaning=cells["meaning"],
        sides=cells["sides"].upper(),
        region=cells["region"],
        color=(red, green, blue),
        role=cells["role"],
        scheme=scheme or SCT,
    )
