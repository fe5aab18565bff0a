"""Foreign: where other people's parsers meet damaged files.

A parser fed with broken bytes may raise anything at all (struct.error, KeyError, MemoryError, ...).
Here, and nowhere else, that becomes one error of ours that names the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from delineate.errors import DataError, Error, GeometryError

DAMAGED = "The file may be damaged or cut short: copy it again from where it came, or leave it out."

MISPLACED = "Correct the header (its spacing and orientation), or convert the scan anew from its source."


@contextmanager
def reading(path: Path, kind: str, *, private: bool = False) -> Iterator[None]:
    """Turns what a parser of `kind` raises into a DataError; our own errors pass.

    A header that describes an impossible grid is the file's fault too.

    `private` keeps the parser's own words out of the message: they may quote a patient's name.
    """
    try:
        yield
    except GeometryError as error:
        raise DataError(f"{path}: its header places no voxels: {error}.\n  {MISPLACED}") from None
    except Error:
        raise
    except Exception as error:  # noqa: BLE001 - see above
        said = type(error).__name__ if private else _one_line(error)
        raise DataError(f"{path}: cannot be read as {kind}: {said}.\n  {DAMAGED}") from None


def _one_line(error: Exception, most: int = 200) -> str:
    """The last line that says something, with the name of the error where it is a bare one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    line = lines[-1].rstrip(".")
    return line if len(line) <= most else line[: most - 1] + "…"


@contextmanager
def quiet(module: str) -> Iterator[None]:
    """Hides the warnings that a foreign package (a regular expression of its name) raises meanwhile.

    What matters to us we check ourselves. Filters are process-wide: two threads at once may leave
    the one filter set here behind, which hides nothing of ours.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=module)
        yield
