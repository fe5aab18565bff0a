"""BraTS: a folder per case with one file per sequence, `CASE_t1ce.nii.gz` or `CASE-t1c.nii.gz`.

Labels (Baid 2021, arXiv:2107.02314): 1 necrotic core, 2 oedema, 3 enhancing tumour (4 until 2022); whole
tumour, tumour core and enhancing tumour are the regions that are learnt and measured.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from delineate.dataset.case import Case
from delineate.dataset.listing import Listing, duplicate
from delineate.dataset.problem import Problem
from delineate.dataset.values import LabelTable, ValueTable, read_label_table
from delineate.errors import DataError, Error
from delineate.io import read_label_values, suffix_of
from delineate.space import Label, LabelSchema, Region

NAME = "brats"
NEEDS = (
    "a folder per case with CASE_t1, CASE_t1ce, CASE_t2, CASE_flair, CASE_seg (or -t1n -t1c -t2w -t2f -seg)"
)

CHANNELS = {  # in the order in which they are stacked
    "T1": ("t1", "t1n", "t1w"),
    "T1c": ("t1c", "t1ce", "t1gd"),
    "T2": ("t2", "t2w"),
    "FLAIR": ("flair", "fla", "t2f"),
}
LABELS = "seg"
SPELLINGS = {spelling: name for name, spellings in CHANNELS.items() for spelling in spellings} | {
    "seg": LABELS
}
ENDING = re.compile(rf"(?P<case>.*?)[_-](?P<what>{'|'.join(SPELLINGS)})", re.IGNORECASE)
DEPTH = 2  # case folders lie in the root or one folder below (HGG/, LGG/ in 2018)

SCHEMA = LabelSchema(
    labels=(
        Label(value=1, name="necrotic core"),
        Label(value=2, name="oedema"),
        Label(value=3, name="enhancing tumour"),
    ),
    regions=(
        Region(name="whole tumour", values=(1, 2, 3), paints=2),
        Region(name="tumour core", values=(1, 3), paints=1),
        Region(name="enhancing tumour", values=(3,), paints=3),
    ),
)


@dataclass(frozen=True)
class CaseFolder:
    """A folder with the files of one case, by what they are ("T1", "seg")."""

    path: Path
    files: Mapping[str, Path]


def fits(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return root.is_dir() and next(_case_folders(root), None) is not None


def listed(root: Path, table: LabelTable | None = None) -> Listing:
    """The files of the dataset in `root`; `table` replaces the labels of BraTS."""
    folders: dict[str, CaseFolder] = {}
    problems: list[Problem] = []
    for folder in _case_folders(root):
        first = folders.setdefault(folder.path.name, folder)
        if first is not folder:
            problems.append(duplicate(folder.path.name, f"{first.path} and {folder.path}"))
    channels = tuple(c for c in CHANNELS if any(c in folder.files for folder in folders.values()))
    cases = [_case(name, folder, channels) for name, folder in sorted(folders.items())]
    labelled = tuple(case for case in cases if case.labels is not None)
    own = root / "labels.json"
    return Listing(
        name=root.name,
        root=root,
        layout=NAME,
        channels=channels,
        table=table or (read_label_table(own) if own.is_file() else _brats_labels(labelled)),
        cases=labelled,
        unlabelled=tuple(case for case in cases if case.labels is None),
        problems=tuple(problems),
    )


def _case_folders(folder: Path, depth: int = DEPTH) -> Iterator[CaseFolder]:
    """Folders that hold at least one sequence, each sequence once and all of one case."""
    for child in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = _case_folder(child)
        if found is not None:
            yield found
        elif depth > 1:
            yield from _case_folders(child, depth - 1)


def _case_folder(folder: Path) -> CaseFolder | None:
    files: dict[str, Path] = {}
    prefixes = set()
    for path in sorted(folder.iterdir()):
        suffix = suffix_of(path)
        match = ENDING.fullmatch(path.name.removesuffix(suffix)) if suffix else None
        if match is None or path.name.startswith("."):
            continue
        what = SPELLINGS[match["what"].lower()]
        if what in files:
            return None  # a folder of many cases
        files[what] = path
        prefixes.add(match["case"])
    return CaseFolder(folder, files) if len(prefixes) == 1 and set(files) - {LABELS} else None


def _case(name: str, folder: CaseFolder, channels: tuple[str, ...]) -> Case:
    return Case(name, tuple(folder.files.get(channel) for channel in channels), folder.files.get(LABELS))


def _brats_labels(cases: Iterable[Case]) -> LabelTable:
    """The labels of BraTS; whether 3 or 4 is the enhancing tumour, the first files that hold one say."""
    for case in cases:
        try:
            found = set(np.unique(read_label_values(case.labels or Path()).array).tolist())
        except Error:  # `check` will name it
            continue
        if {3, 4} <= found:
            raise DataError(
                f"{case.labels}: holds both 3 and 4. Until 2022 BraTS wrote the enhancing tumour as 4, then "
                "as 3 (and in 2024 used 4 for the resection cavity): say in labels.json what the values mean."
            )
        if 4 in found:
            return LabelTable(SCHEMA, ValueTable({0: 0, 1: 1, 2: 2, 4: 3}))
        if 3 in found:
            break
    return LabelTable(SCHEMA)
