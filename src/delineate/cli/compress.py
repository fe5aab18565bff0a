"""`delineate compress`: a smaller and faster model, and what it costs."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import device

NAME = "compress"


class Method(enum.Enum):
    """Ways to make a model smaller, as the command line spells them."""

    int8 = "int8"
    prune = "prune"
    distil = "distil"


def command(
    context: typer.Context,
    model: Path = typer.Argument(metavar="MODEL", help="A model folder."),
    out: Path = typer.Argument(metavar="OUT", help="The model folder to write."),
    on: Path = typer.Option(
        ..., metavar="DATASET", help="Labelled cases on which the change is measured, best unseen ones."
    ),
    method: Method = typer.Option(
        Method.int8,
        help="int8, for the engine openvino; prune: fewer channels, trained on; distil: a narrower network "
        "that learns from the model.",
    ),
    calibration: Path | None = typer.Option(
        None,
        metavar="SCANS",
        help="int8: scans, or a run, that it is fitted to; those of DATASET unless given.",
    ),
    patches: int = typer.Option(40, min=1, help="int8: how many windows it is fitted to; 20 to 50 do."),
    run: Path | None = typer.Option(
        None, metavar="RUN", help="prune, distil: the run of the model, whose cases are learnt from again."
    ),
    keep: float = typer.Option(0.7, help="prune, distil: the share of channels of every stage."),
    minutes: float | None = typer.Option(
        None, min=0.1, help="prune, distil: of training, all networks together."
    ),
    steps: int | None = typer.Option(
        None, min=1, help="prune, distil: of each training, instead of minutes."
    ),
    temperature: float = typer.Option(
        3.0, min=1.0, help="distil: how soft the model's answers are made; 2 to 4 are usual."
    ),
    device_: str = typer.Option("auto", "--device", help="prune, distil: auto, cpu or cuda."),
    accept_loss: bool = typer.Option(
        False, "--accept-loss", help="Write it even if a structure loses more than half a Dice point."
    ),
    as_json: bool = typer.Option(False, "--json", help="The table as JSON."),
) -> None:
    """Make a model smaller and faster, and measure what that changes in every structure.

    Exit 1, and nothing is written, where a structure loses more than half a Dice point. int8 needs the extra:
    export.
    """
    from delineate.pipeline import CompressWishes, Slimming, compress
    from delineate.pipeline.compression import HEADS_OF_CHANGES, HEADS_OF_COSTS

    show = screen(context)
    slimming = None
    if method is not Method.int8:
        if run is None or (minutes is None) == (steps is None):
            raise typer.BadParameter(f"{method.value} needs --run RUN, and either --minutes or --steps")
        heat = temperature if method is Method.distil else None
        slimming = Slimming(run, keep, minutes, steps, heat, device(device_))
    wishes = CompressWishes(
        on=on, slimming=slimming, calibration=calibration, patches=patches, accept_loss=accept_loss
    )
    table = compress(model, out, wishes, show)
    if as_json:
        show.json(table.model_dump(mode="json"))
        return
    show.table(f"{table.data}: {table.cases} cases", HEADS_OF_COSTS, table.costs())
    show.table("by structure", HEADS_OF_CHANGES, table.rows())
    show.result(str(out))
