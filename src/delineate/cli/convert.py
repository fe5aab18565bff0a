"""`delineate convert`: any layout becomes nnU-Net raw."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli.options import screen

NAME = "convert"


def command(
    context: typer.Context,
    dataset: Path = typer.Argument(help="Folder of labelled scans, or a manifest (.csv, .json)."),
    out: Path = typer.Argument(help="New folder, best named like Dataset042_Liver."),
    layout: str | None = typer.Option(None, help="Read the folder as this layout instead of recognising it."),
) -> None:
    """Write a dataset as nnU-Net raw (imagesTr, labelsTr, dataset.json)."""
    from delineate import pipeline

    show = screen(context)
    with show.stage("convert") as progress:
        pipeline.convert(dataset, out, layout=layout, progress=progress)
    show.result(str(out))
