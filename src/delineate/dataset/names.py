"""Names: what case ids say about what belongs together. Hints, to be confirmed or asked about."""

from __future__ import annotations

import re
from dataclasses import dataclass

SLICE = re.compile(
    r"(?:(?P<whole>.*?)[_\-. ])?(?:slice|slc|sl|frame|z)[_\-. ]?(?P<number>\d+)", re.IGNORECASE
)
NUMBERED = re.compile(r"(?P<whole>.+)[_\-. ](?P<number>\d{1,4})")
TILE = re.compile(
    r"(?P<whole>.*?)[_\-. ](?:tile|patch|roi|crop)[_\-. ]?\d+(?:[_\-x. ]\d+)*"
    r"|(?P<corner>.*?)[_\-. ]x[_\-]?\d+[_\-. ]y[_\-]?\d+"
    r"|(?P<grid>.+?)[_\-. ]\d{3,6}[_\-x]\d{3,6}",
    re.IGNORECASE,
)
VISIT = re.compile(
    r"(?P<whole>.+?)[_\-. ](?:visit|ses|session|tp|timepoint|followup|follow-up|fu|baseline|bl|week|month)"
    r"[_\-. ]?\d*",
    re.IGNORECASE,
)
COPY = re.compile(
    r"(?P<whole>.+?)[_\-. ](?:aug|augmented|flip|flipped|hflip|vflip|mirror|mirrored|rot|rotated|noise|noisy|"
    r"blur|blurred|scaled|bright|dark|contrast|gamma|elastic|copy|dup|duplicate)[_\-. ]?\w{0,4}",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Part:
    """A case as a numbered part of something: slice 17 of `volume_3`."""

    whole: str
    number: int


def slice_of(name: str) -> Part | None:
    """The volume that a case says it is a slice of ("ID_0001_Z_0107", "case3-slice12")."""
    match = SLICE.fullmatch(name)
    return Part(match["whole"] or "", int(match["number"])) if match else None


def numbered(name: str) -> Part | None:
    """The stem and number of "name_12", which may be a slice and may be anything."""
    match = NUMBERED.fullmatch(name)
    return Part(match["whole"], int(match["number"])) if match else None


def slide_of(name: str) -> str | None:
    """The slide that a case says it is a tile of ("S12-1_x2048_y0", "slide3_tile_7")."""
    match = TILE.fullmatch(name)
    return next((whole for whole in match.groups() if whole), None) if match else None


def first_visit_of(name: str) -> str | None:
    """The person that a case says it is a visit of ("p07_visit2", "sub-01_ses-02")."""
    match = VISIT.fullmatch(name)
    return match["whole"] if match else None


def original_of(name: str) -> str | None:
    """The case that a case says it is a changed copy of ("img_12_flip", "img_12_rot90")."""
    match = COPY.fullmatch(name)
    return match["whole"] if match else None
