"""`delineate subgroups`: is a model as good for everybody?"""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import column_with_edges, number_in

NAME = "subgroups"


def command(
    context: typer.Context,
    report: Path = typer.Argument(help="A folder that was evaluated, a run, or a report.json."),
    table: Path | None = typer.Argument(None, help="CSV with a line per case: site, sex, age, ..."),
    by: list[str] = typer.Option(
        [], metavar="COLUMN[=EDGES]", help="A column, 'size', or bands of numbers: age=40,65. Repeatable."
    ),
    margin: list[str] = typer.Option(
        [], metavar="METRIC=GAP", help="The gap that begins to matter: dice=0.02. Repeatable."
    ),
    metrics: str | None = typer.Option(None, help="Which tables: dice,hd95 ...; default: all measured."),
    left_out: str | None = typer.Option(
        None,
        metavar="COLUMN",
        help="Sites, each judged by networks that never saw it: what to expect elsewhere.",
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="A folder for the tables and a page."),
    as_json: bool = typer.Option(False, "--json", help="All numbers as JSON."),
) -> None:
    """Every table by site, sex, age, size ...: gaps with intervals, and which are proven."""
    from delineate import pipeline

    show = screen(context)
    wishes = pipeline.DivideWishes(
        by=dict(column_with_edges(word) for word in by),
        metrics=tuple(metrics.split(",")) if metrics else None,
        margins=dict(_margin(word) for word in margin),
        left_out=left_out,
    )
    divided = pipeline.divide(report, table, wishes, out)
    if as_json:
        show.json(divided.to_json())
    else:
        show.result(divided.to_markdown())
    if out is not None:
        show.say(f"page: {out / 'subgroups.html'}")


def _margin(word: str) -> tuple[str, float]:
    name, _, gap = word.partition("=")
    return name, number_in(gap, "--margin", word)
