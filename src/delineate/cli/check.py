"""`delineate check`: every problem of every case."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "check"


def command(
    context: typer.Context,
    dataset: Path = typer.Argument(help="Folder of labelled scans, or a manifest (.csv, .json)."),
    layout: str | None = typer.Option(None, help="Read the folder as this layout instead of recognising it."),
    splits: Path | None = typer.Option(None, help="Own folds (JSON): also look for leaks between them."),
    workers: int | None = typer.Option(None, min=1, help="Cases read at the same time."),
    alignment: bool = typer.Option(
        False,
        "--alignment",
        help="Also whether the sequences of each case lie on each other (a second each).",
    ),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Every problem of every case, leakage included; exit 1 if any stops training."""
    from delineate import pipeline

    show = screen(context)
    with show.stage("check") as progress:
        report = pipeline.check_folder(
            dataset, layout=layout, splits=splits, workers=workers, alignment=alignment, progress=progress
        )
    if as_json:
        show.json(report.model_dump(mode="json"))
    else:
        for line in report.lines():
            show.result(line)
    if not report.ok:
        raise typer.Exit(1)
