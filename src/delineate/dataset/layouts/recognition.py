"""Recognition: which layout a folder has.

A JSON manifest may also name a folder instead of cases, so that what is missing there can be said elsewhere:

    {"folder": "/data/read-only/wbc", "labels": {"background": 0, "nucleus": 255}, "cases": "cases.csv"}
    {"images_folder": "/data/a", "labels_folder": "/data/b", "labels": "labels.json"}

Beside the images, or the manifest, `channels.json` says which channels a case may lack:

    {"optional": ["FLAIR"]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from delineate.dataset.layouts import brats, decathlon, manifest, nnunet, pairs
from delineate.dataset.listing import Listing, may_lack, read_json, within
from delineate.dataset.table_file import read_facts
from delineate.dataset.values import LabelTable, label_table, read_label_table
from delineate.errors import DataError

FACTS = "cases.csv"  # beside the images: patients, sites and further columns by case
CHANNELS = "channels.json"  # beside the images: which channels a case may lack
OPTIONAL = "optional"  # what says so there, and in a JSON manifest
SHOWN = 8  # entries of a folder in a message
POINTER_KEYS = {"folder", "layout", "images_folder", "labels_folder", "labels", "cases", "name"}


@dataclass(frozen=True)
class Layout:
    """A way in which datasets lie on disk."""

    name: str
    needs: str  # for the message where nothing fits
    fits: Callable[[Path], bool]
    listed: Callable[[Path, LabelTable | None], Listing]


LAYOUTS = tuple(
    Layout(module.NAME, module.NEEDS, module.fits, module.listed)
    for module in (manifest, decathlon, nnunet, brats, pairs)  # the first that fits is taken
)
LAYOUT_NAMES = tuple(layout.name for layout in LAYOUTS)


def listed(path: Path, layout: str | None = None) -> Listing:
    """The files of the dataset at `path` (a folder or a manifest), in the layout that fits or is named.

    Raises:
        DataError: nothing is there, no layout fits, or the one that was named does not.
    """
    if path.is_file():
        return _listed_from_file(path, layout)
    if not path.is_dir():
        raise DataError(f"{path}: there is no such file or folder. Give the folder that holds the dataset.")
    return _with_optional(_with_facts(_chosen(path, layout).listed(path, None), path / FACTS), path)


def _listed_from_file(path: Path, layout: str | None) -> Listing:
    if path.name == "dataset.json":
        return listed(path.parent, layout)
    if path.suffix.lower() == ".json":
        content = read_json(path)
        if "folder" in content or "images_folder" in content:
            return _with_optional(_listed_elsewhere(path, content), path.parent)
    return _with_optional(_chosen(path, layout).listed(path, None), path.parent)


def _listed_elsewhere(file: Path, content: Mapping[str, Any]) -> Listing:
    """The dataset in the folders that a manifest names, with what it says about them."""
    unknown = sorted(set(content) - POINTER_KEYS)
    if unknown:
        raise DataError(
            f"{file}: unknown {', '.join(unknown)}; expected some of {', '.join(sorted(POINTER_KEYS))}."
        )
    table = _table(file, content.get("labels"))
    if "folder" in content:
        folder = _folder(file, content["folder"])
        found = _chosen(folder, content.get("layout")).listed(folder, table)
        found = _with_optional(_with_facts(found, folder / FACTS), folder)
    else:
        images, labels = (_folder(file, content.get(key)) for key in ("images_folder", "labels_folder"))
        found = pairs.listed_in(pairs.Folders(images, labels), file.parent, table)
    if "cases" in content:
        found = _with_facts(found, within(file.parent, content["cases"], file), wanted=True)
    return replace(found, root=file, layout=manifest.NAME, name=str(content.get("name", file.stem)))


def _with_optional(found: Listing, folder: Path) -> Listing:
    """The same files with the channels that a case may lack, as `channels.json` in a folder says."""
    file = folder / CHANNELS
    if not file.is_file():
        return found
    content = read_json(file)
    unknown = sorted(set(content) - {OPTIONAL})
    if unknown:
        raise DataError(f'{file}: unknown {", ".join(unknown)}; expected {{"optional": ["FLAIR"]}}.')
    return replace(found, optional=may_lack(content.get(OPTIONAL, []), found.channels, file))


def _folder(file: Path, text: object) -> Path:
    folder = within(file.parent, text, file)
    if not folder.is_dir():
        raise DataError(f"{file}: names the folder {text!r}, which does not exist. Write its absolute path.")
    return folder


def _table(file: Path, labels: object) -> LabelTable | None:
    if labels is None:
        return None
    if isinstance(labels, str):
        return read_label_table(within(file.parent, labels, file))
    return label_table(labels, where=str(file))


def _with_facts(found: Listing, file: Path, *, wanted: bool = False) -> Listing:
    if not wanted and (found.layout == manifest.NAME or not file.is_file()):
        return found
    return found.described(read_facts(file), file)


def _chosen(path: Path, name: str | None) -> Layout:
    """The layout that was named, if it fits, or the first that does."""
    if name is not None and name not in LAYOUT_NAMES:
        raise DataError(f"there is no layout {name!r}; there are {', '.join(LAYOUT_NAMES)}.")
    for layout in LAYOUTS:
        if name in (None, layout.name) and layout.fits(path):
            return layout
    wanted = [layout for layout in LAYOUTS if name in (None, layout.name)]
    entries = sorted(child.name for child in path.iterdir()) if path.is_dir() else []
    there = ", ".join(entries[:SHOWN]) + (", ..." if len(entries) > SHOWN else "")
    lines = [f"  {layout.name:10} {layout.needs}" for layout in wanted]
    what = "is not in a layout that is known" if name is None else f"is not in the layout {name!r}"
    holds = f" It holds {there or 'nothing'}." if path.is_dir() else ""
    raise DataError(f"{path}: {what}.{holds} What is needed:\n" + "\n".join(lines))
