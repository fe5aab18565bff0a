"""`delineate plan`: measure, decide, and say why."""

from __future__ import annotations

import typer

from delineate.cli.options import screen
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

NAME = "plan"


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
    again: bool = typer.Option(False, "--again", help="Decide anew, even where there is a plan."),
    as_json: bool = typer.Option(False, "--json", help="The plan as JSON."),
) -> None:
    """Measure, decide; prints the plan, each number with its reason."""
    from delineate import pipeline

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
    made = pipeline.plan(dataset, folder, wishes, show, layout=layout, again=again)
    if as_json:
        show.json(made.model_dump(mode="json"))
    else:
        show_plan(show, made)
        show.say(f"The plan is {folder / 'plan.json'}; it may be edited. Next:  delineate prepare {folder}")


def show_plan(show: object, plan: object) -> None:
    """Prints a plan as a table of fields, values and reasons."""
    from delineate.cli.screen import Screen
    from delineate.planning import Plan, plan_table

    assert isinstance(show, Screen)
    assert isinstance(plan, Plan)
    rows = [(field.removeprefix("configurations."), *rest) for field, *rest in plan_table(plan)]
    show.table(f"Plan for {plan.dataset}", ("what", "value", "why"), rows)
