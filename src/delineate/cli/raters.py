"""`delineate raters`: how far people are apart, and where a model stands among them."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.people import Method, Ties, fusion_rules, split_names

NAME = "raters"


def command(
    context: typer.Context,
    folders: list[Path] = typer.Argument(
        metavar="FOLDER", help="A folder of label files per rater, named as their cases."
    ),
    out: Path = typer.Option(Path("agreement"), "--out", "-o", help="Where tables and page go."),
    model: Path | None = typer.Option(None, metavar="PREDICTIONS", help="A model's label files."),
    names: str | None = typer.Option(None, metavar="A,B,C", help="Raters' names, else their folders'."),
    labels: Path | None = typer.Option(None, help="What values mean (labels.json, dataset.json)."),
    cases: Path | None = typer.Option(None, help="CSV with a line per case: patient, site, ..."),
    margin: float = typer.Option(0.02, min=0.0001, max=0.9, help="Dice that a model may be below people."),
    patients: int = typer.Option(30, min=2, help="With fewer, nothing is proven."),
    method: Method = typer.Option(Method.staple, help="How the consensus is made."),
    field: float | None = typer.Option(None, min=0, help="Field of view: mm around what is drawn [0]."),
    whole: bool = typer.Option(False, "--whole-scan", help="Field of view: the whole scan."),
    as_json: bool = typer.Option(False, "--json", help="The agreement as JSON."),
) -> None:
    """Compare two or more raters' labels of the same cases, and a model with them."""
    from delineate import pipeline
    from delineate.evaluation.raters import Margin

    show = screen(context)
    wishes = pipeline.RaterWishes(
        split_names(names),
        model,
        labels,
        cases,
        fusion_rules(method, Ties.lowest, field, whole=whole),
        Margin(dice=margin, patients=patients),
    )
    agreement = pipeline.compare_raters(folders, out, wishes, show)
    if as_json:
        show.json(agreement.model_dump(mode="json"))
    else:
        show.result(agreement.to_markdown())
    show.say(f"page: {out / 'agreement.html'}")
