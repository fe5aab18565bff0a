"""Listing: what a layout found in a folder. Names of files only; no voxel was read.

Paths written in a `dataset.json` or a manifest are relative to the folder of that file and stay within it;
what lies elsewhere is named by its absolute path.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from delineate.dataset.case import Case
from delineate.dataset.problem import Problem, error, warning
from delineate.dataset.values import LabelTable
from delineate.errors import DataError
from delineate.io import is_scan, suffix_of


@dataclass(frozen=True)
class Listing:
    """The files of a dataset, sorted out.

    root       what to open again: the folder, or the manifest file
    orphans    label files without an image
    problems   what did not fit together
    notes      what was decided on the way, in words
    optional   channels that a case may lack
    about      free texts of a `dataset.json` (description, licence, ...), kept for writing it again
    """

    name: str
    root: Path
    layout: str
    channels: tuple[str, ...]
    table: LabelTable
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    orphans: tuple[Path, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    optional: tuple[str, ...] = ()

    def described(self, facts: Mapping[str, Case], where: Path) -> Listing:
        """The same files with the patients, sites and further columns that `facts` gives by case id."""
        known = {case.id for case in (*self.cases, *self.unlabelled)}
        strange = [
            warning(
                "unknown-case",
                name,
                f"{name}: {where.name} describes a case that does not exist.",
                f"If the id is misspelt, correct it in {where}: the right case goes without its patient.",
            )
            for name in facts
            if name not in known
        ]
        return replace(
            self,
            cases=tuple(described(case, facts.get(case.id)) for case in self.cases),
            unlabelled=tuple(described(case, facts.get(case.id)) for case in self.unlabelled),
            problems=(*self.problems, *strange),
        )


def described(case: Case, facts: Case | None) -> Case:
    """The case with the patient, site and further columns that are known of it."""
    if facts is None:
        return case
    group = case.group if facts.group == facts.id else facts.group
    return replace(case, group=group, site=facts.site or case.site, extra={**case.extra, **facts.extra})


@dataclass(frozen=True)
class Pairs:
    """Images and labels that were brought together by their names."""

    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...]
    orphans: tuple[Path, ...]
    problems: tuple[Problem, ...]


def paired(images: Mapping[str, tuple[Path | None, ...]], labels: Mapping[str, Path], wanted: str) -> Pairs:
    """Cases for the names that both have; `wanted` says where labels were looked for ("labelsTr/{}.nii")."""
    missing = sorted(images.keys() - labels.keys())
    problems = tuple(
        error(
            "unlabelled-image",
            name,
            f"{name}: the image has no labels; expected {wanted.format(name)}.\n"
            f"  image   {first_file(images[name])}",
            "Add the labels, or move the image out of the training images.",
        )
        for name in missing
    )
    return Pairs(
        tuple(Case(name, images[name], labels[name]) for name in sorted(images.keys() & labels.keys())),
        tuple(Case(name, images[name]) for name in missing),
        tuple(labels[name] for name in sorted(labels.keys() - images.keys())),
        problems,
    )


def first_file(images: Iterable[Path | None]) -> Path | None:
    """The first file that is there."""
    return next((path for path in images if path is not None), None)


def scan_name(path: Path) -> str:
    """The file name without the suffix of its format."""
    return path.name[: len(path.name) - len(suffix_of(path))]


def scans_in(folder: Path) -> list[Path]:
    """Images in a folder, sorted; hidden files (and macOS `._` files) are none of them."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith(".") and is_scan(path))


def by_name(paths: Iterable[Path], what: str) -> tuple[dict[str, Path], tuple[Problem, ...]]:
    """Paths by their name without suffix; two with one name are a problem, the first is kept."""
    found: dict[str, Path] = {}
    problems = []
    for path in paths:
        first = found.setdefault(scan_name(path), path)
        if first is not path:
            problems.append(duplicate(scan_name(path), f"{what} {first.name} and {path.name}"))
    return found, tuple(problems)


def duplicate(name: str, what: str) -> Problem:
    """The problem of an id that two cases have."""
    return error(
        "duplicate-id",
        name,
        f"{name}: two cases have this id: {what}. Only the first is used.",
        "Give every case an id of its own, or remove the copy.",
    )


def is_there(path: Path) -> bool:
    """Whether a file exists, under any name at all."""
    try:
        return path.is_file()
    except OSError:  # a name longer than any file system takes
        return False


def within(root: Path, text: object, where: Path) -> Path:
    """The path that a file `where` writes as `text`: absolute, or relative to `root` and inside it.

    Raises:
        DataError: it is no text, or a relative path climbs out of `root`.
    """
    if not isinstance(text, str) or not text:
        raise DataError(f"{where}: expected the name of a file, got {text!r}.")
    written = Path(text)
    try:
        written.exists()
    except OSError as problem:  # names longer than any file system takes
        raise DataError(f"{where}: {text[:60]!r}... is no name of a file: {problem.strerror}.") from None
    if written.is_absolute():
        return written
    relative = Path(os.path.normpath(written))
    if relative.parts[:1] == ("..",):
        raise DataError(
            f"{where}: {text!r} leads out of {root}. Relative paths stay inside the folder of the file that "
            "names them; write the absolute path of what lies elsewhere."
        )
    return root / relative


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}.") from None
    except ValueError as problem:
        raise DataError(f"{path}: is not JSON: {problem}. Correct it with a text editor.") from None
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object {{...}}, got {type(content).__name__}.")
    return content


def may_lack(names: object, channels: tuple[str, ...], where: Path) -> tuple[str, ...]:
    """The channels that a file `where` says a case may lack, in the order in which they are stacked.

    Raises:
        DataError: it is no list of names, names what is no channel, or would leave none.
    """
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise DataError(f"{where}: optional is a list of channels that a case may lack, got {names!r}.")
    unknown = sorted(set(names) - set(channels))
    if unknown:
        raise DataError(
            f"{where}: {', '.join(unknown)} is said to be optional, but is no channel; the channels are "
            f"{', '.join(channels)}. Write the name as it stands there."
        )
    return tuple(name for name in channels if name in names)


def refuse_empty(cases: Iterable[object], where: Path, expected: str) -> None:
    """Raises where a layout fits but no image was found."""
    if not list(cases):
        raise DataError(f"{where}: holds no images. Expected {expected}.")
