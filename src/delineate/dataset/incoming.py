"""Incoming: scans that have no labels, as cases to be segmented.

One case: a file, several files that are its channels, a DICOM folder, or a folder whose files name the
channels. Many: a folder of files (`CASE_0000.nii.gz, CASE_0001.nii.gz` are channels of one case, as in
nnU-Net; other names one case each), a folder of case folders, or any dataset that `Dataset.open` knows.

A channel that the model can do without may be missing where the names of the files say which ones are there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.layouts.brats import CHANNELS as SPELLED
from delineate.errors import DataError
from delineate.io import is_scan, suffix_of

CHANNEL = re.compile(r"(?P<case>.+)_(?P<number>\d{4})")  # nnU-Net's file names


@dataclass(frozen=True)
class Wanted:
    """What a model reads: its channels, and those of them that it can do without."""

    channels: tuple[str, ...]
    optional: tuple[str, ...] = ()

    def accepts(self, missing: Sequence[str]) -> bool:
        """Whether it can do without these, and something is left."""
        return set(missing) <= set(self.optional) and len(missing) < len(self.channels)

    def placed(self, named: Mapping[str, Path]) -> tuple[Path | None, ...] | None:
        """Files by channel in the model's order, None for what it can do without; None if it cannot."""
        missing = [channel for channel in self.channels if channel not in named]
        return tuple(named.get(channel) for channel in self.channels) if self.accepts(missing) else None


def incoming(
    paths: Sequence[Path], channels: tuple[str, ...], optional: tuple[str, ...] = ()
) -> tuple[Case, ...]:
    """The cases that `paths` hold, for a model that reads `channels` and can do without the `optional`.

    Raises:
        DataError: a path does not exist, holds no scan, or the files of a case are not its channels.
    """
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise DataError(f"no such file or folder: {', '.join(map(str, missing))}")
    wanted = Wanted(channels, optional)
    named = len(paths) == 1 and paths[0].is_file() and optional and channel_in(paths[0], channels)
    if len(channels) > 1 and (len(paths) > 1 or named):
        return (_one_case(paths, wanted),)
    cases = [case for path in paths for case in _cases(path, wanted)]
    if not cases:
        raise DataError(f"{paths[0]}: holds no scan. Expected scan files, case folders or a DICOM series.")
    return tuple(cases)


def stem_of(path: Path) -> str:
    """The name of a file without its scan suffix ("a.nii.gz" is "a"), or of a folder."""
    return path.name if path.is_dir() else path.name.removesuffix(suffix_of(path))


def _one_case(paths: Sequence[Path], wanted: Wanted) -> Case:
    channels = wanted.channels
    if len(paths) != len(channels):
        if (placed := _by_their_names(paths, wanted)) is not None:
            return Case(id=_case_name(paths[0]), images=placed)
        less = f"; it can do without {', '.join(wanted.optional)}" if wanted.optional else ""
        raise DataError(
            f"the model reads {len(channels)} channels ({', '.join(channels)}), got {len(paths)} files{less}"
            ". Name one file per channel, in this order; for several cases name their folder."
            + (" Where one is missing, file names say which ones are there." if wanted.optional else "")
        )
    for path, channel in zip(paths, channels, strict=True):
        named = channel_in(path, channels)
        if named not in (None, channel):
            raise DataError(
                f"{path}: stands where the model reads {channel}, but its name says {named}. "
                f"Give the files in the order {', '.join(channels)}."
            )
    return Case(id=_case_name(paths[0]), images=tuple(paths))


def _case_name(path: Path) -> str:
    match = CHANNEL.fullmatch(stem_of(path))
    return match["case"] if match else stem_of(path)


def _by_their_names(paths: Sequence[Path], wanted: Wanted) -> tuple[Path | None, ...] | None:
    """The files where their names say they belong, each once; None where they do not all say so."""
    named = {channel_in(path, wanted.channels) or str(path): path for path in paths}
    if len(named) != len(paths) or not set(named) <= set(wanted.channels):
        return _by_their_numbers(paths, wanted)
    return wanted.placed(named)


def _by_their_numbers(paths: Sequence[Path], wanted: Wanted) -> tuple[Path | None, ...] | None:
    """The same for CASE_0000 and the like, which number the channels."""
    found = [CHANNEL.fullmatch(stem_of(path)) for path in paths]
    numbers = [int(match["number"]) for match in found if match]
    if len(set(numbers)) != len(paths) or max(numbers) >= len(wanted.channels):
        return None
    return wanted.placed({wanted.channels[n]: path for n, path in zip(numbers, paths, strict=True)})


def channel_in(path: Path, channels: tuple[str, ...]) -> str | None:
    """The one channel whose name (or BraTS spelling) is a word of the file's name, if there is one."""
    words = set(re.split(r"[\W_]+", stem_of(path).lower()))
    named = [c for c in channels if words & {c.lower(), *SPELLED.get(c, ())}]
    return named[0] if len(named) == 1 else None


def _cases(path: Path, wanted: Wanted) -> tuple[Case, ...]:
    if is_scan(path):  # a file or a folder with a DICOM series
        return (Case(id=stem_of(path), images=(path,)),)
    if not path.is_dir():
        raise DataError(f"{path}: is no scan that can be read. `delineate segment --help` lists what can.")
    return _known(path, wanted) or _one_folder(path, wanted) or _loose(path, wanted)


def _known(path: Path, wanted: Wanted) -> tuple[Case, ...]:
    """The cases of a folder whose layout is known and whose channels are the model's, else none."""
    try:
        dataset = Dataset.open(path)
    except DataError:  # no layout fits: then the folder is searched for files
        return ()
    cases = (*dataset.cases, *dataset.unlabelled)
    if len(dataset.channels) == len(wanted.channels):
        return cases
    absent = [name for name in wanted.channels if name not in dataset.channels]
    fewer = len(dataset.channels) + len(absent) == len(wanted.channels) and wanted.accepts(absent)
    if not fewer or any(len(case.images) != len(dataset.channels) for case in cases):
        return ()
    files = ((case, dict(zip(dataset.channels, case.images, strict=True))) for case in cases)
    return tuple(
        replace(case, images=tuple(named.get(channel) for channel in wanted.channels))
        for case, named in files
    )


def _one_folder(folder: Path, wanted: Wanted) -> tuple[Case, ...]:
    """The one case whose channels the files of a folder name, each once; other files may be there."""
    channels = wanted.channels
    named: dict[str, list[Path]] = {}
    for file in _scans_in(folder):
        named.setdefault(channel_in(file, channels) or "", []).append(file)
    if len(channels) < 2 or any(len(named.get(channel, ())) > 1 for channel in channels):
        return ()
    placed = wanted.placed({channel: files[0] for channel, files in named.items() if channel})
    return () if placed is None else (Case(id=folder.name, images=placed),)


def _scans_in(folder: Path) -> list[Path]:
    return sorted(entry for entry in folder.iterdir() if entry.is_file() and is_scan(entry))


def _loose(path: Path, wanted: Wanted) -> tuple[Case, ...]:
    entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
    folders = [entry for entry in entries if entry.is_dir()]
    return (
        *_grouped(_scans_in(path), wanted),
        *(case for folder in folders for case in _in_folder(folder, wanted)),
    )


def _grouped(files: Sequence[Path], wanted: Wanted) -> tuple[Case, ...]:
    groups: dict[str, list[Path]] = {}
    for file in files:
        groups.setdefault(_case_name(file), []).append(file)
    return tuple(Case(id=name, images=_numbered(parts, wanted)) for name, parts in groups.items())


def _numbered(parts: Sequence[Path], wanted: Wanted) -> tuple[Path | None, ...]:
    """The files of a case, with None where a number is missing that the model can do without."""
    few = 1 < len(parts) < len(wanted.channels)
    return (_by_their_numbers(parts, wanted) if few else None) or tuple(parts)


def _in_folder(folder: Path, wanted: Wanted) -> tuple[Case, ...]:
    channels = wanted.channels
    if is_scan(folder):
        return (Case(id=folder.name, images=(folder,)),)
    if one := _one_folder(folder, wanted):
        return one
    files = _scans_in(folder)
    if len(channels) > 1 and files and not all(CHANNEL.fullmatch(stem_of(file)) for file in files):
        raise DataError(
            f"{folder}: which file is which channel? The model reads {', '.join(channels)}. Put the channel "
            f"into the file names ({folder.name}_{channels[0]}.nii.gz), or number them in this order "
            "(_0000, _0001)."
        )
    return _grouped(files, wanted)
