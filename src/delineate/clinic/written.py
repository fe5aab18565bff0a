"""Written: one object that was made of a result, by the names under which others refer to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Written:
    """A file (or folder of files) that was written, and what refers to it.

    kind     SEG, RTSTRUCT, SR, ...
    sop_uid  and the other UIDs: of DICOM objects; "" for other files
    numbers  the number that each structure has in it, by name (SegmentNumber, ROINumber)
    notes    what had to be left out or changed
    is_soft  whether structures are probabilities in it
    """

    kind: str
    path: Path
    sop_class: str = ""
    sop_uid: str = ""
    series_uid: str = ""
    numbers: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    is_soft: bool = False
