"""`delineate train`: find the weights."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen, settle
from delineate.cli.wishes import (
    EncoderRate,
    Freeze,
    From,
    ThawAfter,
    beginning,
    device,
    names,
    numbers,
)

if TYPE_CHECKING:
    from delineate.training.processes import Place

NAME = "train"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder with a plan; prepared if need be."),
    fold: str | None = typer.Option(None, "--fold", help="Which folds: 0 or 0,1,2; default: as planned."),
    use: str | None = typer.Option(None, help="Which configurations; default: as planned."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    devices: int = typer.Option(
        1, min=1, help="Processes that train together (DDP); torchrun starts its own, on several machines."
    ),
    begin: From = None,
    freeze: Freeze = None,
    thaw_after: ThawAfter = None,
    encoder_rate: EncoderRate = None,
    tensorboard: bool = typer.Option(False, help="Also write the curves for TensorBoard (extra: track)."),
) -> None:
    """Train as planned; resumes by itself, and a finished fold is left alone."""
    from delineate import pipeline

    settle()
    place = launched(devices)
    show = screen(context, quiet=place is not None and not place.leads)
    how = pipeline.TrainingWishes(
        device=device(device_), devices=devices, tensorboard=tensorboard, place=place
    )
    start = beginning(begin, freeze, thaw_after, encoder_rate)
    pipeline.train(folder, how, show, folds=numbers(fold), use=names(use), start=start)
    show.say(f"Next:  delineate evaluate {folder}")


def launched(devices: int) -> Place | None:
    """This process among those that torchrun has started, if it has."""
    from delineate.training.processes import Place

    place = Place.of(os.environ)
    if place is not None and devices != 1:
        raise typer.BadParameter("torchrun has started the processes already: leave out --devices")
    return place
