"""`delineate run`: everything, in one go."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen, settle
from delineate.cli.wishes import Preset, SplitBy, by_hand, device, names, numbers

NAME = "run"


def command(
    context: typer.Context,
    dataset: Path = typer.Argument(help="Folder of labelled scans, or a manifest (.csv, .json)."),
    folder: Path = typer.Argument(metavar="RUN", help="Where the work is kept; made if need be."),
    minutes: float | None = typer.Option(None, min=0.1, help="Minutes of training, all folds together."),
    steps: int | None = typer.Option(None, min=1, help="Steps of each training, instead of minutes."),
    memory: float | None = typer.Option(None, min=1, help="GB for training, of the GPU or machine; else 8."),
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
        folds=numbers(folds),
        use=names(use),
        splits=pipeline.SplitWishes(file=splits, mode=split_by.value, stratify=stratify),
        by_hand=by_hand(settings),
    )
    report = pipeline.run(dataset, folder, wishes, show, layout=layout, tensorboard=tensorboard)
    show.result(report.to_markdown())
    show.result(f"\nreport  {folder / 'report.html'}\nmodel   {folder / 'model'}")
