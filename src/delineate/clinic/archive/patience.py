"""Patience: asking again what fails for now, with growing waits between."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from delineate.errors import ArchiveError

T = TypeVar("T")
Sleep = Callable[[float], None]

LONGEST_S = 60.0  # between two tries


class Busy(Exception):  # noqa: N818 - it is no error of ours until patience ends
    """The other side fails for now; what it says may be shown."""


def patiently(ask: Callable[[], T], *, tries: int, wait_s: float, sleep: Sleep) -> T:
    """What `ask` returns; where it is `Busy`, it is asked again after 1, 2, 4, ... times `wait_s`."""
    for number in range(tries):
        try:
            return ask()
        except Busy as busy:
            if number + 1 == tries:
                raise ArchiveError(f"{busy}, {tries} times." if tries > 1 else f"{busy}.") from None
        sleep(min(wait_s * 2**number, LONGEST_S))
    raise AssertionError("asked not even once")
