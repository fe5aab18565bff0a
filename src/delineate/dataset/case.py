"""Case: the scans of one examination and, where there are any, its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from delineate.errors import DataError

FORBIDDEN = frozenset('/\\:*?"<>|\n\r\t\0')  # what some file system refuses in a name


@dataclass(frozen=True)
class Case:
    """Files of one examination.

    id      unique in the dataset; names predictions and prepared folders
    images  files in the order of the dataset's channels; a file may hold several channels (RGB, 4D);
            None where a channel is declared missing
    labels  the label map, or None for a case to be segmented
    group   the patient: cases of one group are never split between training and validation
    site    hospital or scanner, where known
    raters  label maps of several people, by name; the labels of the case are then one of them or apart
    extra   further columns of a manifest (sex, age, ...), by name
    """

    id: str
    images: tuple[Path | None, ...]
    labels: Path | None = None
    group: str = ""
    site: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    raters: Mapping[str, Path] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.id or self.id.startswith(".") or FORBIDDEN & set(self.id):
            raise DataError(
                f"{self.id!r} cannot name a case: predictions and prepared folders are named after it. "
                "Use letters, digits, spaces, and - _ . (not at the start)."
            )
        if not self.images:
            raise DataError(f"{self.id}: a case has at least one image, or None where it is missing")
        if not self.group:
            object.__setattr__(self, "group", self.id)
