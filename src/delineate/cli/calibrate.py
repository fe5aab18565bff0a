"""`delineate calibrate`: is a model as sure as it is right?"""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "calibrate"


class Fit(enum.Enum):
    """Whose voxels a temperature is fitted to, as the command line spells it."""

    everywhere = "everywhere"
    foreground = "foreground"
    boundary = "boundary"


def command(
    context: typer.Context,
    references: Path = typer.Argument(help="A folder of label files, or a dataset."),
    probabilities: Path = typer.Argument(
        help="A folder of probabilities, a channel per label with background first, named as the references."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="A folder for the tables and a page."),
    labels: Path | None = typer.Option(None, help="What values mean, in the order of the channels."),
    cases: Path | None = typer.Option(None, help="CSV with a line per case: patient, site, ..."),
    bins: int = typer.Option(15, min=2, max=100, help="Bins of equal width, and of equal mass."),
    band: float = typer.Option(3.0, min=0.01, help="Millimetres around boundaries that are looked at alone."),
    fit: Fit = typer.Option(Fit.everywhere, help="Where the temperature is fitted."),
    into: Path | None = typer.Option(
        None, metavar="MODEL", help="Write the temperature into this model; its labels never change."
    ),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """Calibration errors by region and case, reliability diagrams, and the temperature that suits."""
    from delineate import pipeline
    from delineate.evaluation import CalibrationRules

    show = screen(context)
    rules = CalibrationRules(bins=bins, band_mm=band, fit=fit.value)
    wishes = pipeline.CalibrateWishes(rules=rules, labels=labels, facts=cases, into=into)
    report = pipeline.calibrate_folders(references, probabilities, out, wishes, show)
    if as_json:
        show.json(report.model_dump(mode="json"))
    else:
        show.result(report.to_markdown())
    if out is not None:
        show.say(f"page: {out / 'calibration.html'}")
    if into is not None:
        show.say(f"{into}: carries temperature {report.temperature.value:.3f}")
