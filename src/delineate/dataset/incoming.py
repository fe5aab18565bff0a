"""Incoming: scans that have no labels, as cases to be segmented.

One case: a file, several files that are its channels, a DICOM folder, or a folder whose files name the
channels. Many: a folder of files (`CASE_0000.nii.gz, CASE_0001.nii.gz` are channels of one case, as in
nnU-Net; other names one case each), a folder of case folders, or any dataset that `Dataset.open` knows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.layouts.brats import CHANNELS as SPELLED
from delineate.errors import DataError
from delineate.io import is_scan, suffix_of

CHANNEL = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")  # nnU-Net's file names


def incoming(paths: Sequence[Path], channels: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases that `paths` hold, for a model that reads `channels`.

    Raises:
        DataError: a path does not exist, holds no scan, or the files of a case are not its channels.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise DataError(f"no such file or folder: {', '.join(map(str, missing))}")
    if len(paths) > 1 and len(channels) > 1:
        return (_one_case(paths, channels),)
    cases = [case for path in paths for case in _cases(path, channels)]
    if not cases:
        raise DataError(f"{paths[0]}: holds no scan. Expected scan files, case folders or a DICOM series.")
    return tuple(cases)


def stem_of(path: Path) -> str:
    """The name of a file without its scan suffix ("a.nii.gz" is "a"), or of a folder."""
    return path.name if path.is_dir() else path.name.removesuffix(suffix_of(path))


def _one_case(paths: Sequence[Path], channels: tuple[str, ...]) -> Case:
    if len(paths) != len(channels):
        raise DataError(
            f"the model reads {len(channels)} channels ({', '.join(channels)}), got {len(paths)} files. "
            "Name one file per channel, in this order; for several cases name their folder."
        )
    for path, channel in zip(paths, channels, strict=True):
        named = channel_in(path, channels)
        if named not in (None, channel):
            raise DataError(
                f"{path}: stands where the model reads {channel}, but its name says {named}. "
                f"Give the files in the order {', '.join(channels)}."
            )
    match = CHANNEL.fullmatch(stem_of(paths[0]))
    return Case(id=match["case"] if match else stem_of(paths[0]), images=tuple(paths))


def channel_in(path: Path, channels: tuple[str, ...]) -> str | None:
    """The one channel whose name (or BraTS spelling) is a word of the file's name, if there is one."""
    words = set(re.split(r"[\W_]+", stem_of(path).lower()))
    named = [c for c in channels if words & {c.lower(), *SPELLED.get(c, ())}]
    return named[0] if len(named) == 1 else None


def _cases(path: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    if is_scan(path):  # a file or a folder with a DICOM series
        return (Case(id=stem_of(path), images=(path,)),)
    if not path.is_dir():
        raise DataError(f"{path}: is no scan that can be read. `delineate segment --help` lists what can.")
    return _known(path, channels) or _one_folder(path, channels) or _loose(path, channels)


def _known(path: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    """The cases of a folder whose layout is known and whose channels are the model's, else none."""
    try:
        dataset = Dataset.open(path)
    except DataError:  # no layout fits: then the folder is searched for files
        return ()
    return (*dataset.cases, *dataset.unlabelled) if len(dataset.channels) == len(channels) else ()


def _one_folder(folder: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    """The one case whose channels the files of a folder name, each once; other files may be there."""
    named: dict[str, list[Path]] = {}
    for file in _scans_in(folder):
        named.setdefault(channel_in(file, channels) or "", []).append(file)
    if len(channels) < 2 or any(len(named.get(channel, ())) != 1 for channel in channels):
        return ()
    return (Case(id=folder.name, images=tuple(named[channel][0] for channel in channels)),)


def _scans_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and is_scan(entry))


def _loose(path: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    return (
        *_grouped(_scans_in(path)),
        *(case for folder in folders for case in _in_folder(folder, channels)),
    )


def _grouped(files: Sequence[Path]) -> tuple[Case, ...]:
    groups: dict[str, list[Path]] = {}
    for file in files:
        match = CHANNEL.fullmatch(stem_of(file))
        groups.setdefault(match["case"] if match else stem_of(file), []).append(file)
    return tuple(Case(id=name, images=tuple(parts)) for name, parts in groups.items())


def _in_folder(folder: Path, channels: tuple[str, ...]) -> tuple[Case, ...]:
    if is_scan(folder):
        return (Case(id=folder.name, images=(folder,)),)
    if one := _one_folder(folder, channels):
        return one
    files = _scans_in(folder)
    if len(channels) > 1 and files and not all(CHANNEL.fullmatch(stem_of(file)) for file in files):
        raise DataError(
            f"{folder}: which file is which channel? The model reads {', '.join(channels)}. Put the channel "
            f"into the file names ({folder.name}_{channels[0]}.nii.gz), or number them in this order "
            "(_0000, _0001)."
        )
    return _grouped(files)
