"""`delineate stress`: which shift breaks a model first?"""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import Layout, device

NAME = "stress"


class Modality(enum.Enum):
    """Kinds of scans, as the command line spells them."""

    mr = "mr"
    ct = "ct"
    picture = "picture"


def command(
    context: typer.Context,
    model: Path = typer.Argument(help="A model folder."),
    dataset: Path = typer.Argument(help="Labelled cases that the model did not learn from."),
    out: Path = typer.Option(..., "--out", "-o", help="A folder for the tables and a page; resumes there."),
    modality: Modality | None = typer.Option(
        None, help="What may go wrong: as with mr, ct or pictures; default: by the model's channels."
    ),
    only: str | None = typer.Option(None, help="Kinds of shift: noise,blur ...; default: all."),
    cases: str | None = typer.Option(None, help="Cases by id: a,b; default: all."),
    metrics: str = typer.Option("dice", help="What is measured; dice must be among it."),
    breaks: float = typer.Option(0.1, min=0.001, max=1, help="Dice lost at which a model is broken."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    layout: Layout = None,
    as_json: bool = typer.Option(False, "--json", help="All numbers as JSON."),
) -> None:
    """Which shift of scanner, protocol or patient breaks a model first, and what does each cost?"""
    from delineate import pipeline

    show = screen(context)
    wishes = pipeline.StressWishes(
        device=device(device_),
        modality=None if modality is None else modality.value,
        only=None if only is None else tuple(only.split(",")),
        cases=None if cases is None else tuple(cases.split(",")),
        metrics=tuple(metrics.split(",")),
        breaks=breaks,
    )
    found = pipeline.stress(model, dataset, out, wishes, show, layout=layout)
    if as_json:
        show.json(found.model_dump(mode="json") | {"verdict": found.verdict})
    else:
        show.result(found.to_markdown())
    show.say(f"page: {out / 'stress.html'}")
