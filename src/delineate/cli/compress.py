"""`delineate compress`: a smaller and faster model, and what it costs."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "compress"


def command(
    context: typer.Context,
    model: Path = typer.Argument(metavar="MODEL", help="A model folder."),
    out: Path = typer.Argument(metavar="OUT", help="The model folder to write."),
    on: Path = typer.Option(
        ..., metavar="DATASET", help="Labelled cases on which the change is measured, best unseen ones."
    ),
    calibration: Path | None = typer.Option(
        None, metavar="SCANS", help="Scans, or a run, that int8 is fitted to; those of DATASET unless given."
    ),
    patches: int = typer.Option(40, min=1, help="How many windows int8 is fitted to; 20 to 50 do."),
    accept_loss: bool = typer.Option(
        False, "--accept-loss", help="Write it even if a structure loses more than half a Dice point."
    ),
    as_json: bool = typer.Option(False, "--json", help="The table as JSON."),
) -> None:
    """Put a model's networks into int8, for the engine openvino, and measure what that changes.

    Exit 1, and nothing is written, where a structure loses more than half a Dice point. Needs the extra:
    export.
    """
    from delineate.pipeline import CompressWishes, compress
    from delineate.pipeline.compression import HEADS_OF_CHANGES, HEADS_OF_COSTS

    show = screen(context)
    wishes = CompressWishes(on=on, calibration=calibration, patches=patches, accept_loss=accept_loss)
    table = compress(model, out, wishes, show)
    if as_json:
        show.json(table.model_dump(mode="json"))
        return
    show.table(f"{table.data}: {table.cases} cases", HEADS_OF_COSTS, table.costs())
    show.table("by structure", HEADS_OF_CHANGES, table.rows())
    show.result(str(out))
