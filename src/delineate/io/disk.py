"""Disk: files appear whole or not at all.

A killed process leaves the old file or the new one, never half of one: everything is written beside its
place and moved there in one step.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # suffix of files and folders that are not finished; safe to delete
MOST = 200  # letters of a name that are kept: file systems take 255 bytes


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffixes, that takes its place on success.

    The body writes a file (or fills a folder) there. If it raises, nothing is left behind and what was
    at `path` stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(path)
    try:
        yield temporary
        if temporary.is_file():
            _to_disk(temporary)
        if path.is_dir() and temporary.is_dir():
            _exchange(path, temporary)
        else:
            temporary.replace(path)
    finally:
        _remove(temporary)


def _beside(path: Path) -> Path:
    """A name that is not taken; its end is that of `path`, for those who look at suffixes."""
    return path.parent / f".{uuid.uuid4().hex[:8]}{PARTIAL}-{path.name[-MOST:]}"


def _exchange(path: Path, new: Path) -> None:
    """Puts a folder in the place of one that holds files, which Python cannot do in one step.

    Killed between the two, the old folder is still there under a hidden name.
    """
    old = _beside(path)
    path.rename(old)
    try:
        new.rename(path)
    except OSError:
        old.rename(path)
        raise
    _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Writes plain values as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def file_digest(path: Path) -> str:
    """SHA-256 (hex) of what a file holds."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sweep(folder: Path) -> None:
    """Removes, at any depth, what killed processes left unfinished; nobody may be writing there."""
    for path in list(folder.rglob(f".*{PARTIAL}-*")):
        _remove(path)


def sweep_beside(path: Path) -> None:
    """Removes what killed processes left of `path` itself; nobody may be writing it."""
    for left in [other for other in path.parent.iterdir() if is_partial(other)]:
        if left.name.endswith(f"{PARTIAL}-{path.name[-MOST:]}"):
            _remove(left)


def sweep_of(files: Collection[Path]) -> None:
    """Removes what killed processes left of any of these files; nobody may be writing them."""
    names = {(file.parent, file.name[-MOST:]) for file in files}
    for folder in {file.parent for file in files if file.parent.is_dir()}:
        for left in [path for path in folder.iterdir() if is_partial(path)]:
            if (folder, left.name.partition(f"{PARTIAL}-")[2]) in names:
                _remove(left)


def is_partial(path: Path) -> bool:
    """Whether a name is that of an unfinished file or folder."""
    return path.name.startswith(".") and PARTIAL in path.name


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
