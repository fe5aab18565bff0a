"""`delineate pack`: one folder to give away."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "pack"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder that was evaluated."),
    model: Path | None = typer.Argument(None, help="Where to put the model; default RUN/model."),
) -> None:
    """Write the model folder: plan, labels, weights, card, hashes."""
    from delineate import pipeline

    show = screen(context)
    show.result(str(pipeline.pack(folder, model)))
