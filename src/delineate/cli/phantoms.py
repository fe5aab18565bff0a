"""`delineate phantoms`: a small cohort to try everything on."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "phantoms"


def command(
    context: typer.Context,
    out: Path = typer.Argument(help="New folder for the cohort."),
    cases: int = typer.Option(30, min=2, help="How many heads."),
    seed: int = typer.Option(7, help="The same seed makes the same heads."),
) -> None:
    """Make synthetic heads: T1, T1c, T2 and FLAIR with a tumour of three nested regions."""
    from delineate import pipeline

    show = screen(context)
    with show.stage("phantoms") as progress:
        pipeline.phantoms(out, cases=cases, seed=seed, progress=progress)
    show.result(str(out))
