"""Asked: what the results in a folder were asked for, kept beside them; others are not mixed with these."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from delineate.io.disk import write_text
from delineate.record import Record

R = TypeVar("R", bound=Record)


def asked_otherwise(file: Path, asked: R) -> list[str]:
    """The fields in which `asked` is another than what stands in the file; the first is written down."""
    if file.is_file():
        return type(asked).load(file).differing(asked)
    write_text(file, asked.to_json())
    return []
