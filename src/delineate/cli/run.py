"""`delineate run`: everything, in one go."""

from __future__ import annotations

import typer

from delineate.cli.options import screen, settle
from delineate.cli.wishes import (
    Changes,
    ChannelDropout,
    CountModels,
    DatasetFolder,
    Device,
    Divided,
    EncoderRate,
    Folds,
    Freeze,
    From,
    Kernel,
    Layout,
    Memory,
    Minutes,
    OfRaters,
    OfScribbles,
    Optimizer,
    Other,
    OwnSplits,
    Preset,
    PseudoWeight,
    RunFolder,
    Scaled,
    Settings,
    Size,
    SplitBy,
    Steps,
    Stratify,
    ThawAfter,
    Use,
    beginning,
    by_hand,
    device,
    names,
    numbers,
)

NAME = "run"


def command(
    context: typer.Context,
    dataset: DatasetFolder,
    folder: RunFolder,
    minutes: Minutes = None,
    steps: Steps = None,
    memory: Memory = None,
    device_: Device = "auto",
    preset: Size = Preset.default,
    network: Other = None,
    folds: Folds = None,
    use: Use = None,
    splits: OwnSplits = None,
    split_by: Divided = SplitBy.kfold,
    stratify: Stratify = None,
    channel_dropout: ChannelDropout = None,
    raters: OfRaters = False,
    scribbles: OfScribbles = False,
    pseudo_weight: PseudoWeight = None,
    count_models: CountModels = False,
    begin: From = None,
    freeze: Freeze = None,
    thaw_after: ThawAfter = None,
    encoder_rate: EncoderRate = None,
    kernel: Kernel = None,
    optimizer: Optimizer = None,
    augment: Changes = None,
    normalize: Scaled = None,
    settings: Settings = [],  # noqa: B006 - typer copies it
    layout: Layout = None,
    tensorboard: bool = typer.Option(False, help="Also write the curves for TensorBoard (extra: track)."),
) -> None:
    """Check, plan, prepare, train, evaluate, report and pack; resumes where it was left."""
    from delineate import pipeline

    settle()
    show = screen(context)
    wishes = pipeline.PlanWishes(
        minutes=minutes,
        steps=steps,
        memory_gb=memory,
        device=device(device_),
        preset=preset.value,
        network=None if network is None else network.value,
        folds=numbers(folds),
        use=names(use),
        splits=pipeline.SplitWishes(
            file=splits, mode=split_by.value, stratify=stratify, count_models=count_models
        ),
        by_hand=by_hand(settings),
        start=beginning(begin, freeze, thaw_after, encoder_rate),
        channel_dropout=channel_dropout,
        labels=pipeline.LabelWishes(raters=raters, scribbles=scribbles, pseudo_weight=pseudo_weight),
        kernel=kernel,
        optimizer=None if optimizer is None else optimizer.value,
        augment=None if augment is None else augment.value,
        normalize=None if normalize is None else normalize.value,
    )
    report = pipeline.run(dataset, folder, wishes, show, layout=layout, tensorboard=tensorboard)
    show.result(report.to_markdown())
    show.result(f"\nreport  {folder / 'report.html'}\nmodel   {folder / 'model'}")
