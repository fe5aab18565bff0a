"""`delineate evaluate`: how good, on cases that were not learnt from."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import device

NAME = "evaluate"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder with trained folds."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Segment each fold's validation cases, measure them, choose the best configuration."""
    from delineate import pipeline

    show = screen(context)
    report = pipeline.evaluate(folder, show, device=device(device_))
    if as_json:
        show.json(report.model_dump(mode="json"))
    else:
        show.result(report.to_markdown())
