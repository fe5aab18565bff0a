"""`delineate adapt`: may a model take statistics from the scans that it sees?"""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import Layout, device

NAME = "adapt"


def command(
    context: typer.Context,
    model: Path = typer.Argument(help="A model folder whose networks have batch norms."),
    dataset: Path = typer.Argument(
        help="Labelled cases of the scanners that it learnt from, but not those that it learnt from."
    ),
    share: float | None = typer.Option(
        None, min=0.01, max=1, help="Share of the statistics that is the scan's; default: 0.3."
    ),
    device_: str = typer.Option("auto", "--device", help="auto, cpu or cuda."),
    layout: Layout = None,
    as_json: bool = typer.Option(False, "--json", help="What was measured as JSON."),
) -> None:
    """Measure what adapting to each scan costs at home, and allow or refuse it for this model."""
    from delineate import pipeline

    show = screen(context)
    found = pipeline.measure_adaptation(
        model, dataset, show, share=share, device=device(device_), layout=layout
    )
    if as_json:
        show.json(found.model_dump(mode="json") | {"allowed": found.is_allowed})
    else:
        show.result(found.told)
    if not found.is_allowed:
        raise typer.Exit(1)
    show.say(f"Next:  delineate segment {model} SCAN... -o OUT --adapt")
