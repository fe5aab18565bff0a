"""Options: what stands before the verb."""

from __future__ import annotations

import enum
from dataclasses import dataclass
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


def screen(context: typer.Context) -> Screen:
    """The screen that a verb draws on."""
    from delineate.cli.screen import Screen

    given = context.obj
    return Screen(quiet=given.quiet if isinstance(given, Options) else False)


def settle() -> None:
    """Makes this process keep the memory that it frees: networks ask for the same blocks again and again."""
    from delineate.training import keep_memory

    keep_memory()
