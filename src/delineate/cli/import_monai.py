"""`delineate import-monai`: a MONAI bundle's U-Net as a model of ours."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "import-monai"


def command(
    context: typer.Context,
    bundle: Path = typer.Argument(metavar="BUNDLE", help="Folder with configs/inference.json and models/."),
    model: Path = typer.Argument(metavar="MODEL", help="The model folder to write."),
    weights: str = typer.Option("models/model.pt", help="The file of the weights in BUNDLE."),
) -> None:
    """Turn a MONAI bundle (UNet, DynUNet or SegResNet) into a model folder."""
    from delineate.inference.foreign import import_monai

    made = import_monai(bundle, model, weights=weights)
    screen(context).result(str(made.folder))
