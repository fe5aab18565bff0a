"""`delineate import-dicom`: a DICOM download as a training set."""

from __future__ import annotations

import enum
from pathlib import Path

import typer

from delineate.cli.options import Pet, screen
from delineate.cli.studies import PICK

NAME = "import-dicom"


class Overlaps(enum.Enum):
    """What becomes of voxels of two structures."""

    smaller = "smaller"
    refuse = "refuse"


def command(
    context: typer.Context,
    folder: Path = typer.Argument(help="The download: series with their SEG and RTSTRUCT, in any folders."),
    out: Path = typer.Argument(help="New folder for the training set."),
    structure: list[str] = typer.Option(
        [], help="Take this structure; repeat for several. Default: all, by their names in the files."
    ),
    rename: list[str] = typer.Option(
        [], metavar="PATTERN=NAME", help="Call structures that match NAME ('GTV*=GTV'); repeat for several."
    ),
    overlap: Overlaps = typer.Option(
        Overlaps.smaller,
        help="Voxels of two structures: give them to the smaller one, or leave the case out.",
    ),
    pick: list[str] = typer.Option([], "--pick", metavar="KEY=VALUE", help=PICK),
    straighten: bool = typer.Option(
        False,
        "--straighten",
        help="Slices that lean, are unevenly spaced or lack one: interpolate them onto an even grid, and say "
        "so. Without it such cases are left out.",
    ),
    pet: Pet = typer.Option(Pet.suv, help="Values of PET: SUV by body weight, or as stored (Bq/ml, counts)."),
    as_json: bool = typer.Option(False, "--json", help="The report as JSON."),
) -> None:
    """A DICOM download with SEG or RTSTRUCT as a training set, and what was left out of it."""
    from delineate import pipeline
    from delineate.clinic import Picking
    from delineate.io import Manner

    show = screen(context)
    with show.stage("import") as progress:
        report = pipeline.import_dicom(
            folder,
            out,
            structures=tuple(structure),
            rename=tuple(rename),
            overlap=overlap.value,
            picking=Picking.of(pick) if pick else None,
            reading=Manner(straighten=straighten, pet=pet.value),
            progress=progress,
        )
    if as_json:
        show.json(report.model_dump(mode="json"))
        return
    for line in report.lines():
        show.result(line)
    show.result(str(out))
