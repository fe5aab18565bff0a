"""Dividing: a report that was made, by what is known of its cases, written down for people and machines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delineate.dataset import Splits
from delineate.errors import DataError
from delineate.evaluation import (
    LeftOut,
    Report,
    Subgroups,
    columns_of,
    leave_one_site_out,
    read_columns,
    read_report,
    split,
    split_by_size,
)
from delineate.evaluation.subgroups.columns import divided
from delineate.evaluation.subgroups.plot import interval_plot
from delineate.evaluation.subgroups.split import SIZE
from delineate.io.disk import write_json, write_text
from delineate.page import Section, Table, render_page
from delineate.pipeline.run_folder import Run

MOST_GROUPS = 12  # of a column that nobody asked for by name: more are names or remarks


@dataclass(frozen=True)
class DivideWishes:
    """How a report is divided.

    by        columns, and the edges at which numbers are cut; empty: every column that makes 2 to 12 groups,
              and the size of the structures
    metrics   which tables; None: all but the volumes
    margins   metric -> the gap that begins to matter
    left_out  the column of sites, where each was judged by networks that have never seen it
    """

    by: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    metrics: tuple[str, ...] | None = None
    margins: Mapping[str, float] = field(default_factory=dict)
    left_out: str | None = None


@dataclass(frozen=True)
class Divided:
    """A report in groups, column by column; and what to expect at another site, if that was asked."""

    title: str
    columns: tuple[Subgroups, ...]
    left_out: LeftOut | None = None

    def to_markdown(self) -> str:
        """All tables."""
        parts = [self.left_out.to_markdown()] if self.left_out else []
        return "\n".join([*parts, *(each.to_markdown() for each in self.columns)])

    def to_json(self) -> dict[str, object]:
        """All numbers, as plain values."""
        return {
            "title": self.title,
            "columns": [each.model_dump(mode="json") for each in self.columns],
            "left_out": self.left_out.model_dump(mode="json") if self.left_out else None,
        }


def divide(report: Path, table: Path | None, wishes: DivideWishes, out: Path | None = None) -> Divided:
    """A report in groups; `out` gets subgroups.json, subgroups.md and a page.

    report  what `read_report` reads; a run knows the columns of its dataset, and its splits
    table   a CSV with a column `case`; its columns win over those of the dataset

    Raises:
        DataError: a column does not exist, or nothing divides the cases.
    """
    found = read_report(report)
    known, splits = _of_run(report)
    columns = known | (read_columns(table) if table else {})
    result = divided_by(found, columns, wishes, splits=splits, where=str(report))
    if out is not None:
        write_divided(result, out)
    return result


def divided_by(
    report: Report,
    columns: Mapping[str, Mapping[str, str]],
    wishes: DivideWishes,
    *,
    splits: Splits | None = None,
    where: str,
) -> Divided:
    """A report in groups by what is known of its cases: column -> case -> value.

    Raises:
        DataError: a column does not exist, or nothing divides the cases; `where` opens the message.
    """
    asked = [*wishes.by, *([wishes.left_out] if wishes.left_out else [])]
    _refuse_unknown(asked, columns, where)
    by = wishes.by or _telling(report, columns)
    return Divided(
        title=report.title,
        columns=tuple(_split(report, columns, name, edges, wishes) for name, edges in by.items()),
        left_out=_left_out(report, columns, splits, wishes),
    )


def _of_run(path: Path) -> tuple[dict[str, dict[str, str]], Splits | None]:
    run = Run(path)
    if not run.record_file.is_file():
        return {}, None
    return columns_of(run.dataset()), run.splits()


def _refuse_unknown(asked: Sequence[str], columns: Mapping[str, object], where: str) -> None:
    unknown = [name for name in asked if name not in columns and name != SIZE]
    if unknown:
        there = ", ".join([*columns, SIZE])
        raise DataError(
            f"{where}: nobody knows {unknown[0]!r} of its cases; known are {there}. "
            "Give a CSV with a column 'case' and one of that name."
        )


def _telling(report: Report, columns: Mapping[str, Mapping[str, str]]) -> dict[str, tuple[float, ...]]:
    """Columns that make a few groups, and the size."""
    few = {}
    for name, column in columns.items():
        if set(column) & set(report.cases):
            groups = divided(column, report.cases, name).names
            if 2 <= len(groups) <= MOST_GROUPS:
                few[name] = ()
    return {**few, SIZE: ()}


def _split(
    report: Report,
    columns: Mapping[str, Mapping[str, str]],
    name: str,
    edges: tuple[float, ...],
    wishes: DivideWishes,
) -> Subgroups:
    if name == SIZE and SIZE not in columns:
        return split_by_size(report, edges=edges, metrics=wishes.metrics, margins=wishes.margins)
    return split(
        report, columns[name], column=name, edges=edges, metrics=wishes.metrics, margins=wishes.margins
    )


def _left_out(
    report: Report,
    columns: Mapping[str, Mapping[str, str]],
    splits: Splits | None,
    wishes: DivideWishes,
) -> LeftOut | None:
    """Asked for by name, or known from the run."""
    of_run = splits is not None and splits.mode == "leave_one_site_out"
    name = wishes.left_out or ("site" if of_run else None)
    if name is None:
        return None
    return leave_one_site_out(
        report, columns[name], splits=splits, metrics=wishes.metrics, margins=wishes.margins
    )


def write_divided(result: Divided, out: Path) -> None:
    """Writes subgroups.json, subgroups.md and a page into a folder."""
    write_json(out / "subgroups.json", result.to_json())
    write_text(out / "subgroups.md", f"# {result.title}\n\n{result.to_markdown()}")
    told = "Numbers and p values: subgroups.md beside this page."
    sections = [group_section(result)]
    if result.left_out is not None:
        heads, rows = result.left_out.table()
        sections.append(Section("What to expect elsewhere", (Table(heads, rows, result.left_out.trust),)))
    write_text(out / "subgroups.html", render_page(result.title, told, sections))


def group_section(result: Divided) -> Section:
    """Every column that divides the cases, as intervals side by side."""
    return Section("Is it as good for everybody?", tuple(interval_plot(each) for each in result.columns))
