"""`delineate bench`: which network, loss or optimizer is better under equal compute?"""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen, settle
from delineate.cli.wishes import (
    Changes,
    DatasetFolder,
    Device,
    Divided,
    Layout,
    Memory,
    Network,
    OwnSplits,
    Settings,
    SplitBy,
    Stratify,
    by_hand,
    device,
    names,
)

NAME = "bench"
ALL = "all"


def command(
    context: typer.Context,
    dataset: DatasetFolder,
    out: Path = typer.Argument(help="Where trainings and results are kept; the same command goes on there."),
    networks: str = typer.Option(
        "planned",
        help="planned (the U-Net), M, L, XL, names of `plan --network`, or all; commas between.",
    ),
    losses: str = typer.Option("planned", help="Losses, as dice_ce,dice_focal."),
    optimizers: str = typer.Option("planned", help="Rules, as sgd,adamw,muon."),
    seeds: str = typer.Option("0,1", help="Each method is trained once with each."),
    minutes: float | None = typer.Option(None, min=0.05, help="Minutes of each training."),
    steps: int | None = typer.Option(None, min=1, help="Steps of each training: not equal work."),
    teraflops: float | None = typer.Option(
        None, min=0.001, help="Operations of each training, counted from its network: equal work."
    ),
    memory: Memory = None,
    device_: Device = "auto",
    use: str | None = typer.Option(None, help="The configuration that is trained: 2d, 3d_fullres ..."),
    fold: int = typer.Option(0, min=0, help="The fold that is trained and measured."),
    splits: OwnSplits = None,
    split_by: Divided = SplitBy.kfold,
    stratify: Stratify = None,
    metrics: str = typer.Option("dice,hd95", help="What is compared; the first leads."),
    margin: float | None = typer.Option(None, min=0, help="A difference of it that does not matter."),
    augment: Changes = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    layout: Layout = None,
    as_json: bool = typer.Option(False, "--json", help="All numbers as JSON."),
) -> None:
    """Train networks, losses and optimizers with equal compute, on one split, and compare them."""
    from delineate import pipeline

    settle()
    show = screen(context)
    chosen = names(use)
    wishes = pipeline.BenchWishes(
        networks=_every() if networks == ALL else tuple(networks.split(",")),
        losses=tuple(losses.split(",")),
        optimizers=tuple(optimizers.split(",")),
        seeds=_whole(seeds),
        minutes=minutes,
        steps=steps,
        teraflops=teraflops,
        memory_gb=memory,
        device=device(device_),
        use=None if chosen is None else chosen[0],
        fold=fold,
        splits=pipeline.SplitWishes(file=splits, mode=split_by.value, stratify=stratify),
        metrics=tuple(metrics.split(",")),
        margin=margin,
        by_hand=by_hand(settings),
        augment=None if augment is None else augment.value,
    )
    found = pipeline.bench(dataset, out, wishes, show, layout=layout)
    if as_json:
        show.json(found.model_dump(mode="json") | {"verdict": found.verdict})
    else:
        show.result(found.to_markdown())
    show.say(f"page: {out / 'bench.html'}")


def _every() -> tuple[str, ...]:
    """The planner's U-Net and every network that segments, but for the two of fixed layout."""
    others = ("seed_unet2d", "seed_unet3d", "mask_rcnn")  # that one finds objects
    return ("planned", *(each.value for each in Network if each.value not in others))


def _whole(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected numbers like 0,1, got {text!r}", param_hint="--seeds") from None
