"""`delineate prepare`: the scans as the network will see them."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen
from delineate.cli.wishes import Keys, OnCluster, cluster_of

NAME = "prepare"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(metavar="RUN", help="A run folder with a plan."),
    workers: int | None = typer.Option(None, min=1, help="Cases prepared at the same time."),
    cluster: OnCluster = None,
    cluster_tls: Keys = None,
) -> None:
    """Crop, normalise and resample every case as the plan says; resumes."""
    from delineate import pipeline

    show = screen(context)
    there = cluster_of(cluster, cluster_tls)
    if there is not None and workers is not None:
        raise typer.BadParameter("a cluster has its own workers: leave out --workers")
    if there is None:
        pipeline.prepare(folder, show, workers=workers)
    else:
        pipeline.prepare_on(there, folder, show)
    show.say(f"Next:  delineate train {folder}")
