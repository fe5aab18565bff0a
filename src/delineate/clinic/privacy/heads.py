"""Heads: faces of whole series, since one slice shows none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.clinic.privacy.faces import face_of
from delineate.clinic.privacy.pixels import store, stored
from delineate.errors import Error
from delineate.io.dicom import Series, read_series, split_series
from delineate.io.frames import frames_of, read_header

TOMOGRAPHS = ("CT", "MR", "PT")
HEADS = ("HEAD", "BRAIN", "SKULL", "FACE", "NECK", "ORBIT", "SINUS", "EAR", "EYE", "JAW")
Masks = Mapping[int, npt.NDArray[np.bool_]]  # frame number from 1 -> (row, column)


@dataclass
class Faces:
    """The faces of the series of a folder, each found once.

    masks    by file, and by frame in it
    refused  files whose series should lose a face and cannot, with the reason
    notes    on series in which no head is seen
    """

    masks: dict[Path, dict[int, npt.NDArray[np.bool_]]] = field(default_factory=dict)
    refused: dict[Path, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def look(self, uid: str, files: Sequence[Path], header: Dataset) -> None:
        """Looks for the face in one series, whose first header is given."""
        modality = str(header.get("Modality") or "")
        part = str(header.get("BodyPartExamined") or "").upper()
        expected = any(name in part for name in HEADS)
        if modality not in TOMOGRAPHS or (part and not expected):
            return
        try:
            frames = tuple(frame for path in files for frame in frames_of(path, read_header(path)))
            for series in split_series(Series(files[0].parent, uid, modality, frames)):
                self._take(series, expected=expected)
        except Error as error:
            reason = _without_paths(str(error))
            self.refused |= dict.fromkeys(files, f"its face cannot be taken: {reason}")

    def _take(self, series: Series, *, expected: bool) -> None:
        scan = read_series(series)
        face = face_of(scan, ct=series.modality == "CT")
        if face is None:
            if expected:
                reason = "no head is seen in a series that says to show one"
                self.refused |= dict.fromkeys(series.files, f"its face cannot be taken: {reason}")
            else:
                self.notes.append(f"a series of {len(series.frames)} {series.modality} images shows no head")
            return
        places = zip(scan.source.files, scan.source.frame_numbers, strict=True)
        for k, (path, number) in enumerate(places):
            self.masks.setdefault(Path(path), {})[number] = face[:, :, k].T


def take_face(content: Dataset, masks: Masks) -> bool:
    """Gives the pixels of a face the lowest value of their image, in place; whether there were any."""
    if not any(mask.any() for mask in masks.values()):
        return False
    frames: npt.NDArray[Any] = stored(content).copy()
    for number, mask in masks.items():
        frames[number - 1][mask] = frames[number - 1].min()
    store(content, frames)
    return True


def _without_paths(message: str) -> str:
    """The reason alone: file names may hold names of patients."""
    first = message.splitlines()[0]
    return first.rsplit(": ", 1)[-1].split(" (/")[0].rstrip(".")
