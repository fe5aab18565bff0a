"""Paired folders: `images/NAME.*` and `labels/NAME.*`, any format; `labels.json` says what values mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from delineate.dataset.case import Case
from delineate.dataset.listing import Listing, Pairs, by_name, paired, refuse_empty, scan_name, scans_in
from delineate.dataset.values import LabelTable, read_label_table, suggested
from delineate.errors import DataError, Error
from delineate.io import read_label_values, read_volume
from delineate.space import LabelSchema

NAME = "pairs"
NEEDS = (
    "images/NAME.png (or any other format) and labels/NAME.png with the same names; labels.json beside them"
)

IMAGES = ("images", "image", "imgs", "img", "scans", "imagesTr")
LABELS = (
    "labels", "label", "masks", "mask", "annotations", "annotation", "segmentations", "segmentation",
    "instances", "labelsTr",
)  # fmt: skip
MARK = re.compile(r"[_-](mask|masks|seg|segmentation|label|labels|gt|annotation)", re.IGNORECASE)

LOOKED_AT = 8  # label files that are read where no table says what values mean
SHOWN = 20  # values in a message
NUMBERED_OBJECTS = 10  # from so many values on, files that each count to another number are instance maps


T = TypeVar("T")


@dataclass(frozen=True)
class Folders:
    """Where images and labels lie."""

    images: Path
    labels: Path


def fits(root: Path) -> bool:
    """Whether the folder looks like this layout."""
    return bool(_present(root, IMAGES)) and bool(_present(root, LABELS))


def listed(root: Path, table: LabelTable | None = None) -> Listing:
    """The files of the dataset in `root`; `table` replaces its `labels.json`."""
    folders = Folders(_only(root, IMAGES, "images_folder"), _only(root, LABELS, "labels_folder"))
    own = root / "labels.json"
    if table is None and own.is_file():
        table = read_label_table(own)
    return listed_in(folders, root, table)


def listed_in(folders: Folders, root: Path, table: LabelTable | None) -> Listing:
    """The pairs in two folders; without a table the values of the first label files speak."""
    images, twice = by_name(scans_in(folders.images), f"{folders.images.name}:")
    labels, twice_labelled = by_name(scans_in(folders.labels), f"{folders.labels.name}:")
    refuse_empty(images, folders.images, "images such as NAME.png or NAME.nii.gz")
    labels = _unmarked(labels, images)
    pairs = paired({name: (path,) for name, path in images.items()}, labels, f"{folders.labels.name}/{{}}.*")
    _refuse_unpaired(pairs, folders)
    return Listing(
        name=root.name,
        root=root,
        layout=NAME,
        channels=channels_of(pairs.cases),
        table=table or discovered([case.labels for case in pairs.cases if case.labels], root),
        cases=pairs.cases,
        unlabelled=pairs.unlabelled,
        orphans=pairs.orphans,
        problems=(*twice, *twice_labelled, *pairs.problems),
    )


def channels_of(cases: Iterable[Case]) -> tuple[str, ...]:
    """The channels of the first image that can be read; those that cannot are for `check` to name.

    Raises:
        DataError: none can be; the reason is that of the first.
    """
    paths = [path for case in cases for path in case.images if path is not None]
    return next(_readable(read_volume, paths)).channels


def discovered(files: Iterable[Path], root: Path) -> LabelTable:
    """The labels that the first files hold, where their values count 0, 1, 2 ...

    Raises:
        DataError: the values are others (then somebody must say what they mean), or look like numbered
            objects; the message holds the `labels.json` to write.
    """
    looked_at = list(files)[:LOOKED_AT]
    packed = False
    found: list[set[int]] = []
    for labels in _readable(read_label_values, looked_at):
        packed |= labels.packed
        found.append(set(np.unique(labels.array).tolist()))
    values = sorted({0}.union(*found))
    objects = _are_objects(found) or any(file.parent.name == "instances" for file in looked_at)
    if objects or packed or values != list(range(len(values))) or len(values) == 1:
        raise DataError(_unexplained(root, values, packed=packed, objects=objects, files=len(looked_at)))
    return LabelTable(LabelSchema.of(*(f"label_{value}" for value in values[1:])))


def _readable(read: Callable[[Path], T], files: Sequence[Path]) -> Iterator[T]:
    """What the files hold that can be read, for `check` names the others; DataError where none can."""
    reasons: list[Error] = []
    for file in files:
        try:
            yield read(file)
        except Error as reason:
            reasons.append(reason)
    if reasons and len(reasons) == len(files):
        raise reasons[0]


def _are_objects(found: list[set[int]]) -> bool:
    """Whether each file counts its own objects: 0..n everywhere, with another n nearly everywhere."""
    counts = [max(values) for values in found if values == set(range(max(values, default=-1) + 1))]
    return (
        len(counts) == len(found) > 1
        and max(counts) >= NUMBERED_OBJECTS
        and len(set(counts)) > len(counts) / 2
    )


def _unexplained(root: Path, values: list[int], *, packed: bool, objects: bool, files: int) -> str:
    some = [f"#{value:06x}" if packed else str(value) for value in values[:SHOWN]]
    more = f" and {len(values) - SHOWN} more" if len(values) > SHOWN else ""
    named = suggested(values[:SHOWN], packed=packed)
    table = '{"background": 0, "object": "instances"}' if objects else named
    guess = "They number objects rather than name classes. " if objects else ""
    return (
        f"{root}: nobody says what the label values mean: {', '.join(some)}{more} (in the first {files} "
        f"files). {guess}Write the names into {root / 'labels.json'}, for example\n  {table}\n"
        f"or, where that folder cannot be written to, into a manifest anywhere, and open that:\n"
        f'  {{"folder": "{root}", "labels": {table}}}'
    )


def _unmarked(labels: Mapping[str, Path], images: Mapping[str, Path]) -> dict[str, Path]:
    """Labels under the names of their images: `a_mask` becomes `a` where there is no image `a_mask`."""
    result = {}
    for name, path in labels.items():
        bare = re.sub(MARK.pattern + "$", "", name, flags=re.IGNORECASE)
        fits_bare = name not in images and bare in images and bare not in labels
        result[bare if fits_bare else name] = path
    return result


def _present(root: Path, names: tuple[str, ...]) -> list[Path]:
    return [root / name for name in names if (root / name).is_dir()]


def _only(root: Path, names: tuple[str, ...], key: str) -> Path:
    found = _present(root, names)
    if len(found) > 1:
        raise DataError(
            f"{root}: {' and '.join(path.name for path in found)} are both there. Say which is meant in a "
            f'JSON manifest: {{"images_folder": "...", "labels_folder": "..."}} ({key}).'
        )
    return found[0]


def _refuse_unpaired(pairs: Pairs, folders: Folders) -> None:
    if not pairs.cases:
        orphan = pairs.orphans[0].name if pairs.orphans else "nothing"
        image = scan_name(pairs.unlabelled[0].images[0] or Path())
        raise DataError(
            f"{folders.images.parent}: no image and label share a name. {folders.images.name} holds for "
            f"example {image!r}, {folders.labels.name} holds {orphan!r}. Give them the same names."
        )
