"""Disk: files appear whole or not at all.

A killed process leaves the old file or the new one, never half of one: everything is written beside its
place and moved there in one step.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PARTIAL = ".partial"  # suffix of files and folders that are not finished; safe to delete


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, with the same suffixes, that takes its place on success.

    The body writes a file (or fills a folder) there. If it raises, nothing is left behind.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex[:8]}{PARTIAL}-{path.name}"
    try:
        yield temporary
        if temporary.is_file():
            _to_disk(temporary)
        if path.is_dir():  # a folder that holds files cannot be replaced in one step
            old = path.parent / f".{uuid.uuid4().hex[:8]}{PARTIAL}-old-{path.name}"
            path.rename(old)
            temporary.rename(path)
            shutil.rmtree(old)
        else:
            temporary.replace(path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary)
        else:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes plain values as readable JSON, whole or not at all."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def is_partial(path: Path) -> bool:
    """Whether a name is that of an unfinished file or folder."""
    return PARTIAL in path.name


def _to_disk(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
