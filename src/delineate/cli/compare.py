"""`delineate compare`: which model is better, and is that proven?"""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "compare"


class Test(enum.Enum):
    """Paired tests, as the command line spells them."""

    permutation = "permutation"
    wilcoxon = "wilcoxon"


class Missing(enum.Enum):
    """What a value is that only one of two models has, as the command line spells it."""

    left_out = "left-out"
    judged = "judged"


def command(
    context: typer.Context,
    reports: list[Path] = typer.Argument(
        metavar="A B [C ...]", help="Folders that were evaluated, runs, or report.json files."
    ),
    out: Path | None = typer.Option(None, "--out", "-o", help="A folder for the tables and a page."),
    names: str | None = typer.Option(None, help="What to call the models: old,new"),
    metrics: str | None = typer.Option(None, help="Which: dice,hd95 ...; the first leads the verdict."),
    margin: list[str] = typer.Option(
        [], metavar="METRIC=GAP", help="The difference that begins to matter: dice=0.02. Repeatable."
    ),
    test: Test = typer.Option(Test.permutation, help="The paired test."),
    missing: Missing = typer.Option(Missing.left_out, help="A value that only one of two has."),
    common: bool = typer.Option(False, "--common", help="Compare on the cases that all of them have."),
    as_json: bool = typer.Option(False, "--json", help="All numbers as JSON."),
) -> None:
    """Which model is better, on the same cases, and is that proven?"""
    from delineate import pipeline
    from delineate.evaluation import Terms

    show = screen(context)
    terms = Terms(
        metrics=tuple(metrics.split(",")) if metrics else None,
        margins=dict(_margin(word) for word in margin),
        test=test.value,
        missing="judged" if missing is Missing.judged else "left out",
        common=common,
    )
    chosen = names.split(",") if names else None
    comparison = pipeline.compare_reports(reports, terms, names=chosen, out=out)
    if as_json:
        show.json(comparison.model_dump(mode="json") | {"verdict": comparison.verdict})
    else:
        show.result(comparison.to_markdown())
    if out is not None:
        show.say(f"page: {out / 'comparison.html'}")


def _margin(word: str) -> tuple[str, float]:
    """A metric and its margin, as in dice=0.02."""
    name, _, text = word.partition("=")
    try:
        gap = float(text)
    except ValueError:
        gap = 0.0
    if not name or not gap > 0:
        raise typer.BadParameter(
            f"expected METRIC=GAP such as dice=0.02, got {word!r}", param_hint="--margin"
        )
    return name, gap
