"""nnU-Net raw: `imagesTr/CASE_0000.nii.gz`, one file per channel, `labelsTr/CASE.nii.gz`, `dataset.json`.

Isensee 2021, doi:10.1038/s41592-020-01008-z; the format is version 2 of that project's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from delineate.dataset.case import Case
from delineate.dataset.listing import (
    Listing,
    Pairs,
    paired,
    read_json,
    refuse_empty,
    scans_in,
    within,
)
from delineate.dataset.problem import Problem, error, warning
from delineate.dataset.values import NAMES, ORDER, LabelTable, label_table
from delineate.errors import DataError
from delineate.io import suffix_of

NAME = "nnunet"
NEEDS = "dataset.json with channel_names and labels, imagesTr/CASE_0000.nii.gz, labelsTr/CASE.nii.gz"

NUMBERED = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
USED = {"channel_names", "modality", "labels", "numTraining", "file_ending", "name", "dataset", ORDER, NAMES}
LISTS = {"training", "test", "numTest"}  # of the older format; the files say it already

Images = dict[str, tuple[Path | None, ...]]


def fits(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    file = root / "dataset.json"
    return file.is_file() and ((root / "imagesTr").is_dir() or "dataset" in read_json(file))


def listed(root: Path, table: LabelTable | None = None) -> Listing:
    """The files of the dataset in `root`; `table` replaces the labels of `dataset.json`."""
    where = root / "dataset.json"
    content = read_json(where)
    channels = channel_names(content, where)
    ending = _ending(root, content)
    if "dataset" in content:
        pairs = _pairs_as_listed(root, content["dataset"], where)
    else:
        pairs = _pairs_as_found(root, ending, channels)
    refuse_empty((*pairs.cases, *pairs.unlabelled), root, f"imagesTr/CASE_0000{ending}")
    tests, test_problems = _images_in(root / "imagesTs", ending, channels)
    return Listing(
        name=str(content.get("name", root.name)),
        root=root,
        layout=NAME,
        channels=channels,
        table=table or json_labels(content, where),
        cases=pairs.cases,
        unlabelled=(*pairs.unlabelled, *(Case(name, files) for name, files in sorted(tests.items()))),
        orphans=pairs.orphans,
        problems=(*pairs.problems, *test_problems, *promised(content, len(pairs.cases), where)),
        about={key: value for key, value in content.items() if key not in USED | LISTS},
    )


def channel_names(content: Mapping[str, Any], where: Path) -> tuple[str, ...]:
    """Names of the channels in their order, from `channel_names` (or `modality`, the older word)."""
    names = content.get("channel_names", content.get("modality"))
    if isinstance(names, dict) and names:
        keys = sorted(names, key=lambda key: int(key) if str(key).isdecimal() else -1)
        if [str(key) for key in keys] == [str(n) for n in range(len(keys))]:
            return tuple(str(names[key]) for key in keys)
    raise DataError(
        f'{where}: channel_names numbers the channels from 0, {{"0": "T1", "1": "FLAIR"}}; got {names!r}.'
    )


def json_labels(content: Mapping[str, Any], where: Path) -> LabelTable:
    """The labels of a `dataset.json`, written as name -> value or, in the older format, value -> name."""
    labels = content.get("labels")
    if not isinstance(labels, dict):
        raise DataError(f'{where}: labels is missing; expected {{"background": 0, "liver": 1}}.')
    if labels and all(str(key).isdecimal() for key in labels):
        labels = _reversed(labels, where)
    extra = {key: content[key] for key in (ORDER, NAMES) if key in content}
    return label_table({**labels, **extra}, where=str(where))


def _reversed(labels: Mapping[str, Any], where: Path) -> dict[str, int]:
    names = [str(name) for name in labels.values()]
    if len(set(names)) < len(names):
        raise DataError(
            f"{where}: two values have one name in labels, {dict(labels)!r}. Name each on its own."
        )
    return {str(name): int(value) for value, name in labels.items()}


def promised(content: Mapping[str, Any], found: int, where: Path) -> tuple[Problem, ...]:
    """A problem where `numTraining` is not the number of labelled cases."""
    count = content.get("numTraining")
    if count is None or count == found:
        return ()
    return (
        error(
            "num-training",
            None,
            f"{where.name}: numTraining is {count}, but {found} labelled cases were found.",
            f"If cases are missing, bring them back; if not, set numTraining to {found} in {where}.",
        ),
    )


def _ending(root: Path, content: Mapping[str, Any]) -> str:
    """`file_ending`, or the suffix of the first image."""
    if "file_ending" in content:
        return str(content["file_ending"])
    images = scans_in(root / "imagesTr") or scans_in(root / "imagesTs")
    return suffix_of(images[0]) if images else ".nii.gz"


def _pairs_as_found(root: Path, ending: str, channels: tuple[str, ...]) -> Pairs:
    images, problems = _images_in(root / "imagesTr", ending, channels)
    labels = {
        path.name.removesuffix(ending): path
        for path in scans_in(root / "labelsTr")
        if path.name.endswith(ending)
    }
    pairs = paired(images, labels, f"labelsTr/{{}}{ending}")
    return replace(pairs, problems=(*pairs.problems, *problems))


def _images_in(folder: Path, ending: str, channels: tuple[str, ...]) -> tuple[Images, tuple[Problem, ...]]:
    """The images of a folder by case, None for a channel that is missing, and what is wrong with them."""
    found: dict[str, dict[int, Path]] = {}
    problems = []
    for path in scans_in(folder):
        name = path.name.removesuffix(ending)
        match = NUMBERED.fullmatch(name)
        if name == path.name or match is None:
            problems.append(_misnamed(path, ending))
        else:
            found.setdefault(match["case"], {})[int(match["channel"])] = path
    together = all(set(files) == {0} for files in found.values())  # RGB pictures and 4D files
    count = 1 if together else len(channels)
    for name, files in found.items():
        beyond = sorted(n for n in files if n >= count)
        if beyond:
            problems.append(_too_many(name, files[beyond[0]], channels))
    return {name: tuple(files.get(n) for n in range(count)) for name, files in found.items()}, tuple(problems)


def _too_many(name: str, path: Path, channels: tuple[str, ...]) -> Problem:
    return error(
        "channel-count",
        name,
        f"{name}: {path.name} is beyond the {len(channels)} channels of dataset.json "
        f"({', '.join(channels)}).",
        "Add the channel to channel_names, or remove the file.",
    )


def _misnamed(path: Path, ending: str) -> Problem:
    return warning(
        "not-used",
        None,
        f"{path.parent.name}/{path.name}: is not used; images here are named CASE_0000{ending}.",
        f"Rename it to {path.name.split('.')[0]}_0000{ending} if it is a channel of a case.",
    )


def _pairs_as_listed(root: Path, entries: Any, where: Path) -> Pairs:
    """Cases that `dataset.json` lists file by file under `dataset`."""
    if not isinstance(entries, dict):
        raise DataError(f"{where}: dataset lists the files of each case by its id, got {entries!r}.")
    images: Images = {}
    labels: dict[str, Path] = {}
    problems = []
    for name, entry in sorted(entries.items()):
        if not isinstance(entry, dict) or not isinstance(entry.get("images"), list) or not entry["images"]:
            raise DataError(
                f'{where}: an entry of dataset is {{"images": [...], "label": ...}}, got {name}: {entry!r}.'
            )
        files = [within(root, text, where) for text in entry["images"]]
        label = within(root, entry.get("label"), where)
        absent = [path for path in (*files, label) if not path.exists()]
        problems += [missing_file(name, path, where) for path in absent]
        if all(path.exists() for path in files):
            images[name] = tuple(files)
        if label not in absent and name in images:
            labels[name] = label
    pairs = paired(images, labels, "the file listed in dataset.json for {}")
    told = {problem.case for problem in problems}
    rest = tuple(problem for problem in pairs.problems if problem.case not in told)
    return replace(pairs, problems=(*problems, *rest))


def missing_file(name: str, path: Path, where: Path) -> Problem:
    """The problem of a file that is listed and not there."""
    return error(
        "missing-file",
        name,
        f"{name}: {where.name} lists a file that does not exist.\n  {path}",
        "Bring the file back, or correct its name in the list.",
    )
