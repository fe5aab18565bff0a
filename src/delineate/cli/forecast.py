"""`delineate forecast`: how many cases would it take?"""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "forecast"


def command(
    context: typer.Context,
    source: Path = typer.Argument(
        metavar="CURVE.csv | REPORT",
        help="Scores of trainings by size (columns size, score); or a folder that was evaluated.",
    ),
    target: list[float] = typer.Option([], help="What is to be reached: 0.9. Repeatable."),
    metric: str = typer.Option("dice", help="By which metric; with REPORT."),
    out: Path | None = typer.Option(None, "--out", "-o", help="A folder for the tables and a page."),
    as_json: bool = typer.Option(False, "--json", help="All numbers as JSON."),
) -> None:
    """How many cases to train with for a score, or to measure until it is proven?"""
    from delineate import pipeline

    show = screen(context)
    found = pipeline.forecast(source, target, metric=metric, out=out)
    many = found if isinstance(found, tuple) else (found,)
    if as_json:
        plain = [each.model_dump(mode="json") for each in many]
        show.json(plain if isinstance(found, tuple) else plain[0])
    else:
        show.result("\n".join(each.to_markdown() for each in many))
    if out is not None:
        show.say(f"written: {out}")
