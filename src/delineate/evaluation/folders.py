"""Folders: predictions of any tool held against references, matched by the names of their files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.dataset import Dataset, label_files, open_labels
from delineate.dataset.label_folder import LAYOUT
from delineate.errors import DataError
from delineate.io import is_scan, read_label_values, read_volume
from delineate.space import LabelMap, Volume

NoPrediction = Literal["refuse", "empty", "skip"]
"""What a reference without a prediction file is.

refuse  an error that names them all
empty   a case in which nothing was found
skip    not measured; a note says so
"""

SHOWN = 8  # names in a message
RASTER = {".png", ".bmp", ".tif", ".tiff", ".jpg", ".jpeg"}


@dataclass(frozen=True)
class Folders:
    """References and predictions, matched.

    references   their cases are those that are measured
    predictions  case -> file; a case that is not there counts as empty
    scans        case -> scan, to be seen in pictures
    notes        what was decided on the way, in words
    """

    references: Dataset
    predictions: Mapping[str, Path]
    scans: Mapping[str, Path]
    notes: tuple[str, ...] = ()

    @classmethod
    def open(
        cls,
        references: Path,
        predictions: Path,
        *,
        labels: Path | None = None,
        facts: Path | None = None,
        scans: Path | None = None,
        without: NoPrediction = "refuse",
    ) -> Folders:
        """Both folders, or both files.

        references  a folder of label files, one label file, or any dataset that `Dataset.open` knows
        labels      what the values mean (labels.json, dataset.json), where the references do not say
        facts       a CSV with a line per case: patient, site and further columns
        scans       a folder of scans named as the cases; a first channel CASE_0000 will do

        Raises:
            DataError: no case has a prediction, or (`without="refuse"`) one has none.
        """
        found = label_files(predictions)
        if predictions.is_file() and references.is_file() and is_scan(references):
            found = dict.fromkeys(label_files(references), predictions)  # a pair, whatever their names
        dataset = open_references(references, labels, facts, found)
        kept, notes = matched(dataset.ids, found, predictions, without)
        return cls(dataset.subset(kept), found, _scans(scans, dataset), (*dataset.notes, *notes))

    def load(self, case: str) -> tuple[LabelMap, LabelMap]:
        """Reference and prediction of a case."""
        known = self.references.case(case)
        reference = self.references.labels(known)
        if case not in self.predictions:
            return reference, replace(reference, array=np.zeros_like(reference.array), notes=())
        file = self.predictions[case]
        found = read_label_values(file)
        if keeps_no_grid(file) and found.geometry.shape == reference.geometry.shape:
            found = replace(found, geometry=reference.geometry)
        return reference, self.references.explained(replace(known, labels=file), found)

    def look(self, case: str) -> tuple[Volume, LabelMap, LabelMap]:
        """The scan, reference and prediction of a case, to be drawn; black where there is no scan."""
        reference, prediction = self.load(case)
        return self._scan(case, reference), reference, _on(reference, prediction)

    def _scan(self, case: str, reference: LabelMap) -> Volume:
        if case in self.scans:
            scan = read_volume(self.scans[case])
        elif self.references.layout != LAYOUT:
            scan = self.references.scan(self.references.case(case))
        else:
            return Volume(np.zeros((1, *reference.array.shape), np.float32), reference.geometry)
        if _same(scan, reference):
            return scan
        return scan.resampled(reference.geometry, order=1)


def open_references(
    path: Path, labels: Path | None, facts: Path | None, predictions: Mapping[str, Path] | None = None
) -> Dataset:
    """A folder of label files, or a dataset of any layout; `predictions` may hold further values."""
    if labels is None and is_dataset(path):
        dataset = Dataset.open(path)
        return dataset if facts is None else dataset.described(facts)
    theirs = {} if predictions is None else predictions
    others = [theirs[name] for name in label_files(path) if name in theirs]
    return open_labels(path, table=labels, facts=facts, others=others)


def is_dataset(path: Path) -> bool:
    """Whether there is more than label files: no such file lies in the folder itself."""
    if path.is_file():
        return not is_scan(path)
    return path.is_dir() and not any(is_scan(file) for file in path.iterdir() if file.is_file())


def matched(
    cases: Sequence[str], found: Mapping[str, Path], where: Path, without: NoPrediction
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which of the cases are measured, of those for which predictions were found; and notes, in words.

    Raises:
        DataError: no case has a prediction, or (`without="refuse"`) one has none.
    """
    missing = [name for name in cases if name not in found]
    strangers = sorted(set(found) - set(cases))
    if len(missing) == len(cases):
        raise DataError(
            f"{where}: no prediction belongs to a reference: files are matched by name, without suffix.\n"
            f"  references   {_some(list(cases))}\n"
            f"  predictions  {_some(sorted(found))}\n"
            "  Name the predictions as their references are named."
        )
    if missing and without == "refuse":
        raise DataError(
            f"{where}: {len(missing)} of {len(cases)} references have no prediction: {_some(missing)}.\n"
            "  Leaving them out would hide what was not found. Say what they are:\n"
            "  --without empty  nothing was found in them   --without skip  leave them out"
        )
    notes = []
    if missing:
        done = "left out" if without == "skip" else "counted as nothing found"
        notes.append(f"{_some(missing)}: no prediction file; {done}.")
    if strangers:
        notes.append(f"{_some(strangers)}: predicted, but there is no reference; not measured.")
    return tuple(name for name in cases if name in found or without == "empty"), tuple(notes)


def _scans(folder: Path | None, dataset: Dataset) -> dict[str, Path]:
    if folder is None:
        return {}
    files = label_files(folder)
    named = {case: files.get(case, files.get(f"{case}_0000")) for case in dataset.ids}
    found = {case: file for case, file in named.items() if file is not None}
    if not found:
        raise DataError(
            f"{folder}: no scan belongs to a case. Scans are named as the cases "
            f"({_some(list(dataset.ids))}), or CASE_0000 as nnU-Net names a first channel; "
            f"there are {_some(sorted(files))}."
        )
    return found


def keeps_no_grid(file: Path) -> bool:
    """Whether the format says where pixels are at all."""
    return file.suffix.lower() in RASTER


def _same(scan: Volume, labels: LabelMap) -> bool:
    return scan.geometry.same_place(labels.geometry, tolerance_mm=0.01)


def _on(reference: LabelMap, prediction: LabelMap) -> LabelMap:
    if prediction.geometry.same_place(reference.geometry, tolerance_mm=0.01):
        return prediction
    return prediction.resampled(reference.geometry)


def _some(names: list[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")
