"""`delineate pseudo-label`: a dataset whose labels a model made, and which says so."""

from __future__ import annotations

import datetime
from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import device

NAME = "pseudo-label"


def command(
    context: typer.Context,
    model: Path = typer.Argument(help="A model folder."),
    scans: list[Path] = typer.Argument(metavar="SCAN...", help="Scans without labels, as for `segment`."),
    out: Path = typer.Option(..., "--out", "-o", help="New folder for the dataset."),
    threshold: float = typer.Option(
        0.95, min=0, max=1, help="Probability from which a voxel counts as sure; others become 'ignore'."
    ),
    least: float = typer.Option(
        0.0, min=0, max=1, help="Mean probability of what was found, below which a case is left out."
    ),
    people: Path | None = typer.Option(
        None, "--with", metavar="DATASET", help="Labelled by people: its cases are listed beside the others."
    ),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
) -> None:
    """Label scans with a model, as far as it is sure; each case says what made its labels."""
    from delineate import pipeline

    show = screen(context)
    wishes = pipeline.PseudoWishes(
        threshold=threshold,
        least=least,
        people=people,
        date=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        how=pipeline.SegmentWishes(device=device(device_)),
    )
    made = pipeline.pseudo_label(model, scans, out, wishes, show)
    show.result(str(made.root))
    show.say(f"Next:  delineate check {out}   delineate run {out} RUN --pseudo-weight 0.5")
