"""`delineate plan`: measure, decide, and say why."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import Preset, SplitBy, by_hand, device, names, numbers

NAME = "plan"


def command(
    context: typer.Context,
    dataset: Path = typer.Argument(help="Folder of labelled scans, or a manifest (.csv, .json)."),
    folder: Path = typer.Argument(metavar="RUN", help="Where the work is kept; made if need be."),
    memory: float | None = typer.Option(None, min=1, help="GB for training, of the GPU or machine; else 8."),
    minutes: float | None = typer.Option(None, min=0.1, help="Minutes of training, all folds together."),
    steps: int | None = typer.Option(None, min=1, help="Steps of each training, instead of minutes."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    preset: Preset = typer.Option(Preset.default, help="Residual encoders of size M, L, XL, or plain."),
    folds: str | None = typer.Option(None, help="Which folds to train: 0 or 0,1,2,3,4."),
    use: str | None = typer.Option(None, help="Which configurations to train: 2d,3d_fullres."),
    splits: Path | None = typer.Option(None, help="Own folds (JSON)."),
    split_by: SplitBy = typer.Option(SplitBy.kfold, help="How cases are divided."),
    stratify: str | None = typer.Option(
        None, help="Column or 'site', 'labels', 'volume' to balance folds by."
    ),
    settings: list[str] = typer.Option(
        [], "--set", help="FIELD=VALUE in the plan, remembered as set by hand."
    ),
    layout: str | None = typer.Option(None, help="Read the folder as this layout instead of recognising it."),
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
        folds=numbers(folds),
        use=names(use),
        splits=pipeline.SplitWishes(file=splits, mode=split_by.value, stratify=stratify),
        by_hand=by_hand(settings),
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
    show.table(f"Plan for {plan.dataset}", ("what", "value", "why"), plan_table(plan))
