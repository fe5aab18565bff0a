"""`delineate register`: scans of one patient put onto each other."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated

import typer

from delineate.cli.options import screen

NAME = "register"


class Kind(enum.Enum):
    """Transforms, as the command line spells them."""

    rigid = "rigid"
    affine = "affine"


class Start(enum.Enum):
    """Where the search begins, as the command line spells it."""

    header = "header"
    centres = "centres"


Transform = Annotated[Kind, typer.Option(help="rigid: moved and turned; affine: also stretched and skewed.")]
Begin = Annotated[
    Start,
    typer.Option(
        help="header: where the files say they lie; centres: the middles of what they show on each other."
    ),
]
Seed = Annotated[int, typer.Option(min=1, help="Of the sampling: the same seed, the same answer.")]


def command(
    context: typer.Context,
    fixed: Path = typer.Argument(metavar="FIXED", help="The scan that stays where it is."),
    moving: list[Path] = typer.Argument(metavar="MOVING...", help="Scans of the same patient, put onto it."),
    out: Path = typer.Option(..., "--out", "-o", help="Folder: NAME.nii.gz on the grid of FIXED, NAME.json."),
    kind: Transform = Kind.rigid,
    start: Begin = Start.header,
    seed: Seed = 12345,
    as_json: bool = typer.Option(False, "--json", help="The transforms as JSON."),
) -> None:
    """Register scans of a patient (Mattes mutual information); each is interpolated once, its matrix kept."""
    from delineate import pipeline
    from delineate.space import RegistrationRules

    show = screen(context)
    rules = RegistrationRules(kind=kind.value, start=start.value, seed=seed)
    found = pipeline.register_scans(fixed, moving, out, rules, show)
    if as_json:
        show.json({name: one.model_dump(mode="json") for name, one in found.items()})
        return
    for name, one in found.items():
        show.result(f"{out / name}.nii.gz  {one.to_line()}")
