"""`delineate evaluate`: how good, on cases that were not learnt from; predictions may be any tool's."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import device

if TYPE_CHECKING:
    from delineate.evaluation import Rules

NAME = "evaluate"


class Empty(enum.Enum):
    """What overlap is where nothing is to be found, as the command line spells it."""

    missing = "missing"
    one = "one"
    reference = "reference"


class Missed(enum.Enum):
    """What a distance is where only one mask is empty."""

    missing = "missing"
    diagonal = "diagonal"


class Without(enum.Enum):
    """What a reference without a prediction file is."""

    refuse = "refuse"
    empty = "empty"
    skip = "skip"


def command(
    context: typer.Context,
    references: Path = typer.Argument(
        metavar="RUN | REFERENCES", help="A run folder; or label files to measure against, or a dataset."
    ),
    predictions: Path | None = typer.Argument(None, help="Label files named as the references."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Where the report goes, with PREDICTIONS."),
    metrics: str | None = typer.Option(None, help="Which: dice,hd95,nsd ... or all."),
    tolerance: float = typer.Option(1.0, min=0.001, help="Millimetres within which surfaces agree (NSD)."),
    empty: Empty = typer.Option(Empty.missing, help="Overlap where both masks, or the reference, is empty."),
    missed: Missed = typer.Option(Missed.missing, help="Distance where only one mask is empty."),
    regrid: bool = typer.Option(False, "--regrid", help="Resample predictions that are on another grid."),
    labels: Path | None = typer.Option(None, help="What values mean (labels.json, dataset.json)."),
    cases: Path | None = typer.Option(None, help="CSV with a line per case: patient, site, ..."),
    scans: Path | None = typer.Option(None, help="Scans named as the cases, for the pictures."),
    without: Without = typer.Option(Without.refuse, help="What a reference without a prediction is."),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda; with RUN."),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Measure: each fold's validation cases of a RUN, or PREDICTIONS of any tool against REFERENCES."""
    from delineate import pipeline

    show = screen(context)
    rules = _rules(metrics, tolerance, empty, missed, regrid=regrid)
    if predictions is None:
        _refuse_with_run(out=out, labels=labels, cases=cases, scans=scans)
        report = pipeline.evaluate(references, show, device=device(device_), rules=rules)
    else:
        if out is None:
            raise typer.BadParameter(
                "say where the report goes, for example  -o measured", param_hint="--out"
            )
        wishes = pipeline.MeasureWishes(rules, labels, cases, scans, without.value)
        report = pipeline.evaluate_folders(references, predictions, out, wishes, show)
    if as_json:
        show.json(report.model_dump(mode="json"))
    else:
        show.result(report.to_markdown())
    if out is not None:
        show.say(f"report: {out / 'report.html'}")


def _rules(metrics: str | None, tolerance: float, empty: Empty, missed: Missed, *, regrid: bool) -> Rules:
    from pydantic import ValidationError

    from delineate.evaluation import MEASURES, Rules

    usual = Rules().metrics
    names = usual if metrics is None else tuple(MEASURES) if metrics == "all" else tuple(metrics.split(","))
    try:
        return Rules(
            metrics=names, tolerance_mm=tolerance, empty=empty.value, missed=missed.value, regrid=regrid
        )
    except ValidationError as error:
        raise typer.BadParameter(str(error.errors()[0]["msg"])) from None


def _refuse_with_run(**given: Path | None) -> None:
    """Options that a run folder has no use for: it knows its own references, and where its report is."""
    for name, value in given.items():
        if value is not None:
            raise typer.BadParameter(
                "goes with PREDICTIONS; a run folder has its own", param_hint=f"--{name}"
            )
