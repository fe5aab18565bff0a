"""`delineate live`: labels for the frames of a stream, each before its deadline."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen, settle, user_cache
from delineate.cli.segment import Engine, Precision
from delineate.cli.wishes import device, number_in

if TYPE_CHECKING:
    from delineate.space import Geometry

NAME = "live"
STDIN = Path("-")


def command(
    context: typer.Context,
    model: Path = typer.Argument(help="A model folder with a 2D configuration."),
    source: Path = typer.Argument(
        help="A folder of pictures, a TIFF of many pages, a DICOM film, or - for raw frames on stdin."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="A new folder for the labels and a line per frame."),
    deadline: float = typer.Option(
        200.0, "--deadline-ms", min=1, help="Milliseconds from the arrival of a frame to its labels."
    ),
    follow: float | None = typer.Option(
        None, min=0.1, metavar="SECONDS", help="The folder grows; so long without a new frame is the end."
    ),
    raw: str | None = typer.Option(
        None, metavar="SIZE", help="What raw frames are: COLUMNSxROWS[xCHANNELS][:KIND], as 640x480x3:uint8."
    ),
    fps: float | None = typer.Option(
        None, min=0.01, help="Play a recorded source at this pace; default: each when the last is done."
    ),
    sizes: str | None = typer.Option(
        None, help="How much smaller frames may be made; default 1,1.5,2,3. Never: 1."
    ),
    repeat: float | None = typer.Option(
        None, "--repeat-ms", min=0, help="How old a result may be that is given again; default 1000."
    ),
    warm_up: str | None = typer.Option(
        None, "--warm-up", metavar="SIZE", help="COLUMNSxROWS to come, or none; default: of the first frame."
    ),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    precision: Precision = typer.Option(
        Precision.auto, help="What networks compute in; auto: bf16 where the machine multiplies it."
    ),
    engine: Engine | None = typer.Option(
        None, help="What computes networks, as of segment. Others than torch cannot make windows smaller."
    ),
) -> None:
    """Segment the frames of a stream in their order; what is late is made smaller, repeated or dropped."""
    from delineate import pipeline
    from delineate.pipeline.frames import Raw

    settle()
    show = screen(context)
    if (source == STDIN) != (raw is not None):
        raise typer.BadParameter("raw frames come from -, and - needs --raw to say what they are")
    how = pipeline.LiveWishes(
        deadline_ms=deadline,
        device=device(device_),
        precision=precision.value,
        engine=None if engine is None else engine.value,
        cache=user_cache(),
        factors=None if sizes is None else tuple(number_in(n, "--sizes", sizes) for n in sizes.split(",")),
        repeat_ms=repeat,
        per_second=fps,
        follow_s=follow,
        warm_up=_grid(warm_up),
    )
    frames = source if raw is None else (sys.stdin.buffer, Raw.of(raw))
    for line in pipeline.live(model, frames, out, how, show).lines():
        show.result(line)
    show.result(f"{out / 'frames.jsonl'}")


def _grid(text: str | None) -> Geometry | bool:
    from delineate.pipeline.frames import Raw

    return text is None or (False if text == "none" else Raw.of(text).grid)
