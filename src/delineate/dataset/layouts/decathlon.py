"""Medical Segmentation Decathlon: `dataset.json` lists pairs; several channels lie in one 4D image.

Antonelli 2022, doi:10.1038/s41467-022-30695-9.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from delineate.dataset.case import Case
from delineate.dataset.layouts.nnunet import channel_names, json_labels, missing_file, promised
from delineate.dataset.listing import (
    Listing,
    duplicate,
    is_there,
    paired,
    read_json,
    refuse_empty,
    scan_name,
    scans_in,
    within,
)
from delineate.dataset.problem import Problem, warning
from delineate.dataset.values import LabelTable
from delineate.errors import DataError

NAME = "decathlon"
NEEDS = "dataset.json with modality, labels and a list training of {image, label}"

USED = {"modality", "channel_names", "labels", "numTraining", "numTest", "training", "test", "name"}
LOOKED_AT = 5  # listed images; if one of them exists under its name the list means what it says


def fits(root: Path) -> bool:
    """Whether the folder looks like this layout: its older cousin lists names that do not exist."""
    file = root / "dataset.json"
    if not file.is_file():
        return False
    training = read_json(file).get("training")
    if not isinstance(training, list):
        return False
    images = [entry.get("image") for entry in training[:LOOKED_AT] if isinstance(entry, dict)]
    return any(isinstance(image, str) and is_there(root / image) for image in images)


def listed(root: Path, table: LabelTable | None = None) -> Listing:
    """The files of the dataset in `root`; `table` replaces the labels of `dataset.json`."""
    where = root / "dataset.json"
    content = read_json(where)
    images, labels, problems = _training(root, content, where)
    tests = [within(root, _image(entry, where), where) for entry in _list(content, "test", where)]
    known = {path for files in images.values() for path in files} | set(tests)
    loose_images = {scan_name(p): p for p in scans_in(root / "imagesTr") if p not in known}
    loose_labels = {scan_name(p): p for p in scans_in(root / "labelsTr") if p not in set(labels.values())}
    unlisted = loose_images.keys() & loose_labels.keys()
    images |= {name: (path,) for name, path in loose_images.items() if name not in unlisted}
    labels |= {name: path for name, path in loose_labels.items() if name not in unlisted}
    pairs = paired(images, labels, "labelsTr/{}.nii.gz")
    told = {problem.case for problem in problems}
    rest = tuple(problem for problem in pairs.problems if problem.case not in told)
    problems += [*rest, *(_unlisted(name, where) for name in sorted(unlisted))]
    refuse_empty(pairs.cases, root, "the files that dataset.json lists under training")
    return Listing(
        name=str(content.get("name", root.name)),
        root=root,
        layout=NAME,
        channels=channel_names(content, where),
        table=table or json_labels(content, where),
        cases=pairs.cases,
        unlabelled=(*pairs.unlabelled, *(Case(scan_name(path), (path,)) for path in tests if path.is_file())),
        orphans=pairs.orphans,
        problems=(*problems, *promised(content, len(pairs.cases), where)),
        about={key: value for key, value in content.items() if key not in USED},
    )


Found = tuple[dict[str, tuple[Path | None, ...]], dict[str, Path], list[Problem]]


def _training(root: Path, content: Mapping[str, Any], where: Path) -> Found:
    """Images and labels that are listed and exist, by name, and what is wrong with the list."""
    images: dict[str, tuple[Path | None, ...]] = {}
    labels: dict[str, Path] = {}
    problems: list[Problem] = []
    for entry in _list(content, "training", where):
        image = within(root, _image(entry, where), where)
        name = scan_name(image)
        if name in images:
            problems.append(duplicate(name, f"{where.name} lists {image.name} twice"))
            continue
        label = within(root, entry["label"], where) if "label" in entry else None
        problems += [missing_file(name, p, where) for p in (image, label) if p and not p.is_file()]
        if image.is_file():
            images[name] = (image,)
        if label is not None and label.is_file():
            labels[name] = label
    return images, labels, problems


def _list(content: Mapping[str, Any], key: str, where: Path) -> list[Any]:
    entries = content.get(key, [])
    if not isinstance(entries, list):
        raise DataError(f"{where}: {key} is a list of images, got {entries!r}.")
    return entries


def _image(entry: Any, where: Path) -> str:
    image = entry.get("image") if isinstance(entry, dict) else entry
    if not isinstance(image, str):
        raise DataError(
            f'{where}: an entry of training is {{"image": "imagesTr/a.nii.gz", "label": ...}}, got {entry!r}.'
        )
    return image


def _unlisted(name: str, where: Path) -> Problem:
    return warning(
        "not-used",
        name,
        f"{name}: image and labels lie in imagesTr and labelsTr, but {where.name} does not list them.",
        "Add the pair to the list training if it belongs to the dataset.",
    )
