"""`delineate gate`: is it proven that a model is good enough?"""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "gate"


def command(
    context: typer.Context,
    report: Path = typer.Argument(help="A folder that was evaluated, a run, or a report.json."),
    gate: str = typer.Option("literature", help="Thresholds: a JSON or CSV file, or 'literature'."),
    people: Path | None = typer.Option(
        None, metavar="REPORT", help="One reader evaluated against another, to be seen beside the model."
    ),
    strict: bool = typer.Option(False, "--strict", help="Exit 1 unless everything is proven."),
    as_json: bool = typer.Option(False, "--json", help="The verdict as JSON."),
) -> None:
    """Is every structure proven to be good enough? Exit 1 if one fails."""
    from delineate.evaluation import judge, read_gate, read_report

    show = screen(context)
    verdict = judge(read_report(report), read_gate(gate), people=read_report(people) if people else None)
    if as_json:
        show.json(verdict.model_dump(mode="json") | {"outcome": verdict.outcome})
    else:
        show.result(verdict.to_markdown())
    if verdict.outcome == "FAIL" or (strict and verdict.outcome != "PASS"):
        raise typer.Exit(1)
