"""`delineate import-nnunet`: a model that nnU-Net trained, as a model of ours."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import numbers

NAME = "import-nnunet"


def command(
    context: typer.Context,
    results: Path = typer.Argument(
        metavar="RESULTS", help="TRAINER__PLANS__CONFIGURATION with plans.json and fold_0, or its parent."
    ),
    model: Path = typer.Argument(metavar="MODEL", help="The model folder to write."),
    configuration: str | None = typer.Option(
        None, help="Which, where RESULTS holds several: 2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres."
    ),
    folds: str | None = typer.Option(None, help="Which folds: 0 or 0,1,2; all that are there unless given."),
    checkpoint: str = typer.Option("checkpoint_final.pth", help="The file in each fold."),
) -> None:
    """Turn a trained nnU-Net (version 2; TotalSegmentator's are such) into a model folder."""
    from delineate.inference.foreign import import_nnunet

    show = screen(context)
    with show.stage("import") as progress:
        made = import_nnunet(
            results,
            model,
            configuration=configuration,
            folds=numbers(folds),
            checkpoint=checkpoint,
            progress=progress,
        )
    show.result(str(made.folder))
