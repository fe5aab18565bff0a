"""`delineate change`: what became of the structures of a patient between two visits."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.evaluation.follow_up import FollowUp, Repeatability
    from delineate.progress import Progress

NAME = "change"


def command(
    context: typer.Context,
    before: Path = typer.Argument(help="Labels of the first visit: a file, or a folder of files."),
    after: Path = typer.Argument(help="Labels of the second visit: a file, or files of the same names."),
    labels: Path | None = typer.Option(None, help="What values mean (labels.json, dataset.json)."),
    days: float | None = typer.Option(None, help="Days between the visits, for rates per year."),
    dates: Path | None = typer.Option(None, help="CSV with the columns case, before, after (2024-01-31)."),
    repeatability: str | None = typer.Option(
        None, help="Changes up to this are within the error of measurement: 25% or 0.8ml."
    ),
    retest: tuple[Path, Path] | None = typer.Option(
        None,
        metavar="FIRST SECOND",
        help="Label folders of the same state twice (a second scan, a second rater): how repeatable it is.",
    ),
    targets: str | None = typer.Option(None, help="Labels that are target lesions (RECIST 1.1): a,b,c."),
    nodes: str | None = typer.Option(None, help="Labels that are target lymph nodes: short axis."),
    nadir: float | None = typer.Option(None, min=0, help="Smallest sum of diameters so far, in mm."),
    out: Path | None = typer.Option(None, "--out", "-o", help="Also write the changes to this CSV file."),
    as_json: bool = typer.Option(False, "--json", help="Everything as JSON."),
) -> None:
    """What changed between two visits, and whether it is more than measurement error."""
    from delineate.evaluation.follow_up import FollowUpWishes, compare_visits, read_days

    if days is not None and dates is not None:
        raise typer.BadParameter("says what --dates says; give one of the two", param_hint="--days")
    if repeatability is not None and retest is not None:
        raise typer.BadParameter("says what --retest says; give one of the two", param_hint="--repeatability")
    if out is not None and out.suffix.lower() != ".csv":
        raise typer.BadParameter(f"{out}: changes are written as .csv", param_hint="--out")
    show = screen(context)
    with show.stage("change") as progress:
        wishes = FollowUpWishes(
            labels=labels,
            days=days if dates is None else read_days(dates),
            repeatability=_errors(repeatability, retest, labels, progress),
            targets=_names(targets),
            nodes=_names(nodes),
            nadir_mm=nadir,
        )
        found = compare_visits(before, after, wishes, progress=progress)
    if as_json:
        show.json(found.model_dump(mode="json"))
    else:
        show.result(found.to_markdown())
    if out is not None:
        _write(found, out, dates)
        show.say(f"changes: {out}")


def _errors(
    text: str | None, retest: tuple[Path, Path] | None, labels: Path | None, progress: Progress
) -> dict[str, Repeatability]:
    from delineate.evaluation.follow_up import Repeatability, measure_repeatability

    if text is not None:
        return {"*": Repeatability.given(text)}
    return {} if retest is None else measure_repeatability(*retest, labels=labels, progress=progress)


def _write(found: FollowUp, out: Path, dates: Path | None) -> None:
    from delineate.errors import DataError
    from delineate.io.disk import write_text

    if dates is not None and out.resolve() == dates.resolve():
        raise DataError(f"{out}: holds the dates that were read. Write the changes to another file.")
    write_text(out, found.to_csv())


def _names(text: str | None) -> tuple[str, ...]:
    return () if text is None else tuple(name.strip() for name in text.split(",") if name.strip())
