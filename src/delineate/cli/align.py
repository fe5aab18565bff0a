"""`delineate align`: the sequences of every case of a dataset put onto each other."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.register import Begin, Kind, Seed, Start, Transform
from delineate.cli.wishes import Layout

NAME = "align"


def command(
    context: typer.Context,
    dataset: Path = typer.Argument(help="A dataset with a file per sequence."),
    out: Path = typer.Argument(help="New folder for the aligned dataset."),
    onto: str | None = typer.Option(
        None, help="The sequence that the others are put onto, on which the labels lie; default: the first."
    ),
    kind: Transform = Kind.rigid,
    start: Begin = Start.header,
    seed: Seed = 12345,
    layout: Layout = None,
) -> None:
    """Put the sequences of every case onto each other; what lies within half a voxel stays as it is."""
    from delineate import pipeline
    from delineate.space import RegistrationRules

    show = screen(context)
    rules = RegistrationRules(kind=kind.value, start=start.value, seed=seed)
    made = pipeline.align(dataset, out, pipeline.AlignWishes(rules=rules, onto=onto, layout=layout), show)
    show.result(str(made.root))
    show.say(f"Next:  delineate check {out} --alignment")
