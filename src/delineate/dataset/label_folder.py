"""Label files without their scans: enough to measure predictions against, nothing to learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.layouts.nnunet import json_labels
from delineate.dataset.listing import by_name, read_json, scans_in
from delineate.dataset.patients import with_patients
from delineate.dataset.values import LabelTable, ValueTable, label_table
from delineate.errors import DataError
from delineate.io import is_scan, read_label_values
from delineate.space import Label, LabelSchema

LAYOUT = "labels"
TABLES = ("labels.json", "dataset.json")  # what says what values mean, in the folder or beside it
MOST_STRUCTURES = 512  # more values than that number objects; they do not name classes


def open_labels(
    path: Path, *, table: Path | None = None, facts: Path | None = None, others: Sequence[Path] = ()
) -> Dataset:
    """The cases whose label files are in a folder (or the one file), named by them; they have no images.

    table   says what the values mean: a labels.json or dataset.json; else one in the folder or beside it
            does, else each value that occurs in these files or in `others` is a structure of its own
    facts   a CSV with a line per case: patient, site and further columns

    Raises:
        DataError: there is no label file, two have one name, or nobody says what the values mean.
    """
    files = label_files(path)
    cases = with_patients(Case(name, (file,), file) for name, file in files.items())
    found = table or _beside(path)
    meaning = _found([*files.values(), *others], path) if found is None else read_meaning(found)
    dataset = Dataset(
        name=path.name,
        root=path,
        layout=LAYOUT,
        channels=("labels",),
        schema=meaning.schema,
        cases=cases,
        values=meaning.values,
        notes=() if found else (f"nobody says what the values of {path} mean: each is a structure",),
    )
    return dataset if facts is None else dataset.described(facts)


def label_files(path: Path) -> dict[str, Path]:
    """Case -> label file, of a folder or of one file.

    Raises:
        DataError: there is none, or two have one name.
    """
    if not path.exists():
        raise DataError(f"{path}: does not exist. Give a folder of label files, or one label file.")
    if path.is_file() and not is_scan(path):
        raise DataError(
            f"{path}: is no label file. Give a folder of label files, or one (NIfTI, NRRD, PNG, ...)."
        )
    files, problems = by_name([path] if path.is_file() else scans_in(path), "labels")
    if problems:
        raise DataError(f"{path}: {problems[0].message} Keep one of them.")
    if not files:
        raise DataError(f"{path}: holds no label file (NIfTI, NRRD, MHA, GIPL, PNG, TIFF, BMP).")
    return files


def read_meaning(path: Path) -> LabelTable:
    """What label values mean, by a `labels.json` or an nnU-Net or Decathlon `dataset.json`."""
    content: dict[str, Any] = read_json(path)
    if isinstance(content.get("labels"), dict):
        return json_labels(content, path)
    return label_table(content, where=str(path))


def _beside(path: Path) -> Path | None:
    """The table that lies in the folder of label files, or next to that folder."""
    folder = path.parent if path.is_file() else path
    places = [place / name for place in (folder, folder.resolve().parent) for name in TABLES]
    return next((file for file in places if file.is_file()), None)


def _found(files: Iterable[Path], where: Path) -> LabelTable:
    """A structure for each value that occurs."""
    values: set[int] = set()
    packed = False
    for file in files:
        labels = read_label_values(file)
        packed |= labels.packed
        values |= set(np.unique(labels.array).tolist())
        if len(values) > MOST_STRUCTURES:
            raise DataError(
                f"{where}: the files hold more than {MOST_STRUCTURES} values, {file.name} up to "
                f"{max(values)}. If they number objects, measure them as such (--instances); if they name "
                "structures, say which ones matter in a labels.json."
            )
    named = sorted(values - {0})
    if not named:
        raise DataError(
            f"{where}: the label files hold nothing but 0, and nobody says which structures they could hold. "
            'Say so in a labels.json: {"background": 0, "liver": 1}.'
        )
    structures = tuple(
        Label(value=n, name=f"#{value:06x}" if packed else f"label_{value}")
        for n, value in enumerate(named, 1)
    )
    pairs = {0: 0} | {value: n for n, value in enumerate(named, 1)}
    return LabelTable(LabelSchema(labels=structures), ValueTable(pairs, packed=packed))
