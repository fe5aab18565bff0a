"""`delineate deliver`: labels as DICOM, on the original slices."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.pipeline.delivery import MakerKind, SegKind

NAME = "deliver"


class SegKinds(enum.Enum):
    """The kinds of SEG, as the command line spells them."""

    binary = "binary"
    labelmap = "labelmap"
    fractional = "fractional"


class HoleKinds(enum.Enum):
    """How holes are written."""

    keyhole = "keyhole"
    xor = "xor"


class Makers(enum.Enum):
    """Who drew."""

    automatic = "automatic"
    semiautomatic = "semiautomatic"
    manual = "manual"


def command(
    context: typer.Context,
    labels: Path = typer.Argument(
        help="A label file (NIfTI, NRRD, ...), on the grid of the series or another."
    ),
    series: Path = typer.Option(..., "--series", help="Folder with the original images."),
    out: Path = typer.Option(..., "--out", "-o", help="New folder for what is delivered."),
    seg: bool = typer.Option(False, "--seg", help="Write a DICOM SEG (seg.dcm)."),
    rtstruct: bool = typer.Option(False, "--rtstruct", help="Write an RTSTRUCT (rtstruct.dcm)."),
    table: Path | None = typer.Option(
        None,
        "--labels",
        help="What the values mean (JSON). Default: labels.json beside LABELS, or the model's.",
    ),
    model: Path | None = typer.Option(
        None, help="The model that made the labels: its names, version and digest."
    ),
    codes: Path | None = typer.Option(None, help="A table of codes (CSV) beside the shipped one."),
    seg_kind: SegKinds = typer.Option(
        SegKinds.binary, help="binary: read everywhere. labelmap: small, new. fractional: 0 to 255."
    ),
    empty_frames: bool = typer.Option(False, help="SEG: write frames without a voxel too."),
    holes: HoleKinds = typer.Option(
        HoleKinds.keyhole,
        help="RTSTRUCT: holes joined by a channel without width, or contours of their own (XOR).",
    ),
    made_by: str | None = typer.Option(
        None, help="Name of the model or person. Default: the model's folder."
    ),
    maker: Makers = typer.Option(Makers.automatic, help="How the labels were made."),
    approved_by: str | None = typer.Option(
        None, help="Who signed for the labels (Family^Given). Without a name they are UNAPPROVED."
    ),
    series_uid: str | None = typer.Option(None, help="Which series, where the folder holds several."),
) -> None:
    """Labels as DICOM SEG and RTSTRUCT on the original slices; nothing is left unless it reads back right."""
    from delineate import pipeline

    show = screen(context)
    kind: SegKind = {"binary": "BINARY", "labelmap": "LABELMAP", "fractional": "FRACTIONAL"}[seg_kind.value]  # type: ignore[assignment]
    how_made: MakerKind = maker.value.upper()  # type: ignore[assignment]
    how = pipeline.DeliveryWishes(
        seg=kind if seg else None,
        rtstruct=holes.value if rtstruct else None,
        labels=table,
        model=model,
        codes=codes,
        kind=how_made,
        made_by=made_by,
        approved_by=approved_by,
        series_uid=series_uid,
        empty_frames=empty_frames,
    )
    delivery = pipeline.deliver(labels, series, out, how, show, datetime.now().astimezone())
    show.table(
        f"{out}: read back, voxel by voxel",
        ("structure", "code", "voxels", "ml"),
        [(s.name, s.code, str(s.voxels), f"{s.volume_ml:.2f}") for s in delivery.structures],
    )
    for made in delivery.objects:
        show.result(str(out / made.file))
