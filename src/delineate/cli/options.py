"""Options: what stands before the verb."""

from __future__ import annotations

import enum
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from delineate.cli.screen import Screen


class Pet(enum.Enum):
    """What values of PET are read as."""

    suv = "suv"
    stored = "stored"


@dataclass(frozen=True)
class Options:
    """Options of every verb."""

    quiet: bool = False
    debug: bool = False


def screen(context: typer.Context, *, quiet: bool = False) -> Screen:
    """The screen that a verb draws on; `quiet` whatever the options say."""
    from delineate.cli.screen import Screen

    given = context.obj
    return Screen(quiet=quiet or (given.quiet if isinstance(given, Options) else False))


def user_cache() -> Path:
    """Where this system keeps what programs can make again."""
    home = Path.home()
    match sys.platform:
        case "darwin":
            folder = home / "Library" / "Caches"
        case "win32":
            folder = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
        case _:
            folder = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return folder / "delineate"


def settle() -> None:
    """Makes this process keep the memory that it frees: networks ask for the same blocks again and again."""
    from delineate.networks.allocator import keep_memory

    keep_memory()
