"""Columns: what is known of cases besides their scores, and how it divides them.

Words divide by themselves. Numbers are cut into bands at stated edges, a number at an edge belonging to the
band above it; without stated edges into thirds, and the edges are stated in the result.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from delineate.dataset import Dataset
from delineate.dataset.table_file import read_table
from delineate.errors import DataError

Column = Mapping[str, str | float]  # case -> value; a case that is not named is unknown

FEW_NUMBERS = 6  # different ones stand for themselves (a grade, the number of a scanner); more are cut


@dataclass(frozen=True)
class Division:
    """Cases in groups.

    names  of the groups, in the order in which they are shown
    group  case -> group, for the cases of which it is known
    edges  in between, where the column is one of numbers; empty for words
    """

    column: str
    names: tuple[str, ...]
    group: Mapping[str, str]
    edges: tuple[float, ...] = ()


def read_columns(path: Path | str) -> dict[str, dict[str, str]]:
    """Column -> case -> cell, of a table with a column `case`; empty cells and patients are left out."""
    table = read_table(Path(path))
    names = [name for name in table.columns if name not in ("case", "patient")]
    return {name: {row["case"]: row[name] for row in table.rows if row[name]} for name in names}


def columns_of(dataset: Dataset) -> dict[str, dict[str, str]]:
    """Column -> case -> cell, of what a dataset knows: sites, and the free columns of its manifest."""
    cases = dataset.cases
    names = dict.fromkeys(name for case in cases for name in case.extra)
    found = {"site": {case.id: case.site for case in cases if case.site is not None}}
    found |= {name: {c.id: c.extra[name] for c in cases if c.extra.get(name)} for name in names}
    return {name: column for name, column in found.items() if column}


def divided(column: Column, cases: Sequence[str], name: str, edges: Sequence[float] = ()) -> Division:
    """The cases in the groups of a column.

    Raises:
        DataError: it is known of no case, or words were to be cut at edges, or edges do not ascend.
    """
    known = {case: column[case] for case in cases if case in column and str(column[case]).strip()}
    if not known:
        raise DataError(
            f"{name!r} is known of none of the {len(cases)} cases "
            f"({', '.join(list(cases)[:3])}, ...). Name them in the column 'case' as the report does."
        )
    numbers = _numbers(known)
    if numbers is None:
        if len(edges):
            word = next(str(value) for value in known.values() if _number(value) is None)
            raise DataError(f"{name!r} cannot be cut at {_listed(edges)}: {word!r} is no number.")
        words = {case: str(value).strip() for case, value in known.items()}
        return Division(name, tuple(sorted(set(words.values()))), words)
    different = sorted(set(numbers.values()))
    if not len(edges) and len(different) <= FEW_NUMBERS:
        names = {value: f"{value:g}" for value in different}
        return Division(name, tuple(names.values()), {case: names[value] for case, value in numbers.items()})
    return _banded(name, numbers, edges if len(edges) else thirds(list(numbers.values())))


def thirds(values: Sequence[float]) -> tuple[float, ...]:
    """Two edges that cut numbers into thirds, as far as equal ones allow; the lowest are always a band."""
    above = [value for value in values if value > min(values)]
    if not above:
        return ()
    edges = np.quantile(values, [1 / 3, 2 / 3], method="higher")
    return tuple(sorted({max(float(edge), min(above)) for edge in edges}))


def _banded(name: str, numbers: Mapping[str, float], edges: Sequence[float]) -> Division:
    if list(edges) != sorted(set(edges)) or not all(map(math.isfinite, edges)):
        raise DataError(f"{name!r}: edges of bands ascend, got {_listed(edges)}.")
    names = _bands(edges)
    places = np.searchsorted(edges, list(numbers.values()), side="right")
    group = {case: names[place] for case, place in zip(numbers, places, strict=True)}
    return Division(name, names, group, tuple(map(float, edges)))


def _bands(edges: Sequence[float]) -> tuple[str, ...]:
    said = _told_apart(edges)
    between = [f"{low} to under {high}" for low, high in pairwise(said)]
    return (f"under {said[0]}", *between, f"{said[-1]} and over")


def _told_apart(edges: Sequence[float]) -> list[str]:
    """Numbers in as few digits as tell them apart, four at least."""
    spellings = ([f"{edge:.{digits}g}" for edge in edges] for digits in range(4, 18))
    return next(words for words in spellings if len(set(words)) == len(edges))


def _numbers(column: Column) -> dict[str, float] | None:
    """The column as numbers; None where any value is none."""
    numbers = {case: _number(value) for case, value in column.items()}
    there = {case: value for case, value in numbers.items() if value is not None}
    return there if len(there) == len(numbers) else None


def _number(value: str | float) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _listed(edges: Sequence[float]) -> str:
    return ", ".join(f"{edge:g}" for edge in edges)
