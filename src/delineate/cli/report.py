"""`delineate report`: one page to look at."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "report"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder that was evaluated."),
) -> None:
    """Write RUN/report.html: plan with reasons, curves, tables, cases as pictures."""
    from delineate import pipeline

    show = screen(context)
    page = pipeline.report(folder, show)
    show.result(str(page))
