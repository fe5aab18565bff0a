"""`delineate consensus`: several people's labels become one."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.people import Method, Ties, fusion_rules, split_names

NAME = "consensus"


def command(
    context: typer.Context,
    folders: list[Path] = typer.Argument(
        metavar="FOLDER", help="A folder of label files per rater, named as their cases."
    ),
    out: Path = typer.Option(..., "--out", "-o", help="New folder for the fused labels."),
    method: Method = typer.Option(Method.staple, help="How it is made."),
    ties: Ties = typer.Option(Ties.lowest, help="What equally many votes become."),
    names: str | None = typer.Option(None, metavar="A,B,C", help="Raters' names, else their folders'."),
    labels: Path | None = typer.Option(None, help="What values mean (labels.json, dataset.json)."),
    field: float | None = typer.Option(None, min=0, help="Field of view: mm around what is drawn [0]."),
    whole: bool = typer.Option(False, "--whole-scan", help="Field of view: the whole scan."),
    gold: Path | None = typer.Option(None, help="Known answers to some cases: these judge the raters."),
    least: float = typer.Option(0.7, min=0, max=1, help="Mean Dice on them, below which one is left out."),
    as_json: bool = typer.Option(False, "--json", help="Who made it, how and with what weights, as JSON."),
) -> None:
    """Fuse raters' labels into one file per case; probabilities too, with staple and soft."""
    from delineate import pipeline
    from delineate.evaluation.raters import GoldRules

    show = screen(context)
    rules = fusion_rules(method, ties, field, whole=whole)
    gate = GoldRules(least=least)
    wishes = pipeline.ConsensusWishes(split_names(names), labels, rules, gold, gate)
    record = pipeline.fuse_raters(folders, out, wishes, show)
    if record.skipped:
        show.say(f"{len(record.skipped)} cases were labelled by fewer than two raters and left out.")
    if as_json:
        show.json(record.model_dump(mode="json"))
    else:
        show.result(f"{out}: {len(record.cases)} cases by {rules.method}")
