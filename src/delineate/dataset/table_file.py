"""Rows: a CSV or TSV table with a case, or something else that has a name, in every line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from delineate.dataset.case import Case
from delineate.errors import DataError

RESERVED = ("case", "patient", "site", "label")  # columns with a meaning; others are channels or free
RATER = "label:"  # ... and those of several raters, label:ANNA


@dataclass(frozen=True)
class Row:
    """One line: cells by column, stripped; `line` counts from 1 with the header."""

    line: int
    cells: Mapping[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True)
class TableFile:
    """The columns and lines of a file."""

    path: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(path: Path, *, key: str = "case") -> TableFile:
    """The table in a file: comma, semicolon or tab, UTF-8; the column `key` must be there and be filled."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as problem:
        raise DataError(f"{path}: cannot be read: {problem.strerror}.") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8 text. Save the table as CSV UTF-8.") from None
    header = text.partition("\n")[0]
    delimiter = max("\t;,", key=header.count)
    try:
        lines = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as problem:
        raise DataError(f"{path}: is no table: {problem}. Save it as CSV again.") from None
    columns = tuple(cell.strip() for cell in lines[0]) if lines else ()
    if key not in columns or len(set(columns)) != len(columns):
        raise DataError(
            f"{path}: the first line names the columns, each once, one of them {key!r}; "
            f"got {', '.join(columns) or 'nothing'}."
        )
    filled = [(n, line) for n, line in enumerate(lines[1:], 2) if any(cell.strip() for cell in line)]
    return TableFile(path, columns, tuple(_row(path, columns, key, n, line) for n, line in filled))


def read_facts(path: Path) -> dict[str, Case]:
    """What a `cases.csv` says about cases, by id: patient, site and free columns; it names no images."""
    table = read_table(path)
    return {row["case"]: facts(row, table.columns) for row in table.rows}


def facts(row: Row, columns: Iterable[str]) -> Case:
    """A case without files, from the cells that are not about files."""
    free = [name for name in columns if name not in RESERVED and not name.startswith(RATER)]
    extra = {name: row[name] for name in free if row[name]}
    return Case(row["case"], (None,), None, group=row["patient"], site=row["site"] or None, extra=extra)


def _row(path: Path, columns: tuple[str, ...], key: str, line: int, cells: list[str]) -> Row:
    if len(cells) > len(columns):
        raise DataError(
            f"{path}: line {line} has {len(cells)} cells, but there are {len(columns)} columns. "
            'Put cells that hold a comma in "quotes".'
        )
    row = Row(line, dict(zip(columns, (cell.strip() for cell in cells), strict=False)))
    if not row[key]:
        raise DataError(f"{path}: line {line} has no {key}. Give every {key} a name of its own.")
    return row
