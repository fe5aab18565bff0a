"""Problem: one thing that is wrong with a dataset, in words, with a way out."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from delineate.record import Record

Severity = Literal["error", "warning", "note"]


class Problem(Record):
    """What is wrong, where, and what to do.

    error    training or its measured result would be wrong: `check` fails
    warning  worth a look; training can go on
    note     what was decided or seen, for the record
    """

    severity: Severity
    kind: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]  # "orphan-label"
    case: str | None  # None where it concerns the whole dataset
    message: str
    remedy: str


def error(kind: str, case: str | None, message: str, remedy: str) -> Problem:
    """A problem that must be solved before training."""
    return Problem(severity="error", kind=kind, case=case, message=message, remedy=remedy)


def warning(kind: str, case: str | None, message: str, remedy: str) -> Problem:
    """A problem that is worth a look."""
    return Problem(severity="warning", kind=kind, case=case, message=message, remedy=remedy)


def note(kind: str, case: str | None, message: str, remedy: str = "Nothing to do.") -> Problem:
    """Something seen or decided, for the record."""
    return Problem(severity="note", kind=kind, case=case, message=message, remedy=remedy)
