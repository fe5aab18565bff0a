"""`delineate evaluate`: how good, on cases that were not learnt from; predictions may be any tool's."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import CountModels, column_with_edges, device

if TYPE_CHECKING:
    from delineate.cli.screen import Screen
    from delineate.evaluation import Rules
    from delineate.record import Record

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
    tolerance: str = typer.Option(
        "1", help="Millimetres within which surfaces agree (NSD): one number, or liver=3,spleen=2."
    ),
    empty: Empty = typer.Option(Empty.missing, help="Overlap where both masks, or the reference, is empty."),
    missed: Missed = typer.Option(Missed.missing, help="Distance where only one mask is empty."),
    regrid: bool = typer.Option(False, "--regrid", help="Resample predictions that are on another grid."),
    labels: Path | None = typer.Option(None, help="What values mean (labels.json, dataset.json)."),
    cases: Path | None = typer.Option(None, help="CSV with a line per case: patient, site, ..."),
    scans: Path | None = typer.Option(None, help="Scans named as the cases, for the pictures."),
    without: Without = typer.Option(Without.refuse, help="What a reference without a prediction is."),
    by: list[str] = typer.Option(
        [], metavar="COLUMN[=EDGES]", help="Divide every table: site, sex, size, age=40,65. Repeatable."
    ),
    gate: str | None = typer.Option(
        None, help="Thresholds to be held against: a JSON or CSV file, or 'literature'. Exit 1 if one fails."
    ),
    lesions: str | None = typer.Option(
        None, metavar="RULES", help="Lesion by lesion, too: plain, GLI, SSA, PED, MEN, MET (BraTS), LITS."
    ),
    probabilities: Path | None = typer.Option(
        None, help="Probabilities, named as the references: is the model as sure as it is right?"
    ),
    instances: bool = typer.Option(False, "--instances", help="Every value is one object: PQ, AJI, F1, AP."),
    missing_channels: bool = typer.Option(
        False, "--missing-channels", help="What a RUN loses without each channel that scans may lack."
    ),
    count_models: CountModels = False,
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda; with RUN."),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Measure: each fold's validation cases of a RUN, or PREDICTIONS of any tool against REFERENCES."""
    from delineate import pipeline

    show = screen(context)
    rules = _rules(metrics, tolerance, empty, missed, regrid=regrid)
    if predictions is None:
        _refuse_with_run(
            out=out,
            labels=labels,
            cases=cases,
            scans=scans,
            by=by,
            gate=gate,
            instances=instances,
            count_model_labels=count_models,
        )
        if missing_channels:
            lost = pipeline.evaluate_missing(references, show, device=device(device_))
            _show(show, lost, lost.to_markdown(), as_json=as_json)
            return
        report = pipeline.evaluate(references, show, device=device(device_), rules=rules)
        _show(show, report, report.to_markdown(), as_json=as_json)
        return
    if missing_channels:
        raise typer.BadParameter("goes with a RUN alone", param_hint="--missing-channels")
    if out is None:
        raise typer.BadParameter("say where the report goes, for example  -o measured", param_hint="--out")
    divided = dict(column_with_edges(word) for word in by)
    wishes = pipeline.MeasureWishes(
        rules, labels, cases, scans, without.value, divided, gate, lesions, probabilities, count_models
    )
    if instances:
        objects = pipeline.evaluate_objects(references, predictions, out, wishes, show)
        _show(show, objects, objects.to_markdown(), as_json=as_json)
    else:
        measured = pipeline.evaluate_folders(references, predictions, out, wishes, show)
        _show(show, measured.report, measured.to_markdown(), as_json=as_json)
        if measured.verdict is not None and measured.verdict.outcome == "FAIL":
            raise typer.Exit(1)
    show.say(f"report: {out / 'report.html'}")


def _show(show: Screen, record: Record, text: str, *, as_json: bool) -> None:
    if as_json:
        show.json(record.model_dump(mode="json"))
    else:
        show.result(text)


def _rules(metrics: str | None, tolerance: str, empty: Empty, missed: Missed, *, regrid: bool) -> Rules:
    from pydantic import ValidationError

    from delineate.evaluation import MEASURES, Rules

    usual = Rules().metrics
    names = usual if metrics is None else tuple(MEASURES) if metrics == "all" else tuple(metrics.split(","))
    try:
        return Rules(
            metrics=names,
            tolerance_mm=_millimetres(tolerance),
            empty=empty.value,
            missed=missed.value,
            regrid=regrid,
        )
    except ValidationError as error:
        raise typer.BadParameter(str(error.errors()[0]["msg"])) from None


def _millimetres(text: str) -> float | dict[str, float]:
    """One number, or one per structure."""
    try:
        if "=" not in text:
            return float(text)
        return {name.strip(): float(mm) for name, _, mm in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise typer.BadParameter(
            f"expected millimetres, as 2 or liver=3,spleen=2, got {text!r}", param_hint="--tolerance"
        ) from None


def _refuse_with_run(**given: object) -> None:
    """Options that a run folder has no use for: it knows its own references, and where its report is."""
    for name, value in given.items():
        if value:
            raise typer.BadParameter(
                "goes with PREDICTIONS; a run folder has its own", param_hint=f"--{name.replace('_', '-')}"
            )
