"""`delineate prepare`: the scans as the network will see them."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "prepare"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder with a plan."),
    workers: int | None = typer.Option(None, min=1, help="Cases prepared at the same time."),
) -> None:
    """Crop, normalise and resample every case as the plan says; resumes."""
    from delineate import pipeline

    show = screen(context)
    pipeline.prepare(folder, show, workers=workers)
    show.say(f"Next:  delineate train {folder}")
