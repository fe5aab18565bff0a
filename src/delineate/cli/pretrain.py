"""`delineate pretrain`: learn what scans look like, without labels."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen, settle
from delineate.cli.wishes import (
    Device,
    Layout,
    Memory,
    Minutes,
    Other,
    Preset,
    Size,
    Steps,
    Use,
    device,
    names,
    planned,
    share_in,
)

NAME = "pretrain"


class Puzzle(enum.Enum):
    """Tasks, as the command line spells them."""

    mae = "mae"
    genesis = "genesis"


def command(
    context: typer.Context,
    scans: Path = typer.Argument(help="Scans, labelled or not: a dataset, or a folder of files."),
    folder: Path = typer.Argument(metavar="ENCODER", help="The folder to write."),
    task: Puzzle = typer.Option(Puzzle.mae, help="Fill in hidden blocks, or restore changed patches."),
    hidden: str = typer.Option("75%", help="Of a patch, how much is hidden (mae)."),
    minutes: Minutes = None,
    steps: Steps = None,
    memory: Memory = None,
    device_: Device = "auto",
    preset: Size = Preset.default,
    network: Other = None,
    use: Use = None,
    channels: str | None = typer.Option(None, help="Names of the channels, where files only number them."),
    layout: Layout = None,
) -> None:
    """Learn from unlabelled scans what scans look like; resumes. Train from it with  --from ENCODER."""
    from delineate import pipeline

    settle()
    show = screen(context)
    wanted = names(use)
    if wanted is not None and len(wanted) != 1:
        raise typer.BadParameter(f"one configuration is pretrained, got {use!r}", param_hint="--use")
    wishes = pipeline.PretrainWishes(
        task=task.value,
        hidden=share_in(hidden, "--hidden"),
        minutes=minutes,
        steps=steps,
        memory_gb=memory,
        device=device(device_),
        preset=preset.value,
        network=planned(network),
        use=None if wanted is None else wanted[0],
        channels=None if channels is None else tuple(part.strip() for part in channels.split(",")),
    )
    encoder = pipeline.pretrain(scans, folder, wishes, show, layout=layout)
    done = encoder.pretraining
    show.result(
        f"mean squared error {done.error:.3f}, of the mean instead {done.baseline:.3f}\n"
        f"encoder  {folder}\nNext:  delineate run DATASET RUN --from {folder}"
    )
