"""Case: the scans of one examination and, where there are any, its labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """Files of one examination.

    id      unique in the dataset; names predictions and prepared folders
    images  files in the order of the dataset's channels; a file may hold several channels (RGB, 4D);
            None where a channel is declared missing
    labels  the label map, or None for a case to be segmented
    group   the patient: cases of one group are never split between training and validation
    site    hospital or scanner, where known
    extra   further columns of a manifest (sex, age, ...), by name
    """

    id: str
    images: tuple[Path | None, ...]
    labels: Path | None = None
    group: str = ""
    site: str | None = None
    extra: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.group:
            object.__setattr__(self, "group", self.id)
