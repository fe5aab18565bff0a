"""`delineate deliver`: labels as DICOM, on the original slices; as numbers, meshes and a page."""

from __future__ import annotations

import enum
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.clinic import FhirVersion
    from delineate.pipeline.delivery import MakerKind, SegKind

NAME = "deliver"
FHIR: dict[str, FhirVersion] = {"r4": "R4", "r5": "R5"}


class SegKinds(enum.Enum):
    """The kinds of SEG, as the command line spells them."""

    binary = "binary"
    labelmap = "labelmap"
    fractional = "fractional"


class HoleKinds(enum.Enum):
    """How holes are written."""

    keyhole = "keyhole"
    xor = "xor"


class FhirVersions(enum.Enum):
    """The versions of FHIR."""

    r4 = "r4"
    r5 = "r5"


class Compressions(enum.Enum):
    """How a SEG is compressed, as the command line spells it."""

    none = "none"
    deflate = "deflate"
    rle = "rle"


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
    sr: bool = typer.Option(
        False, "--sr", help="Write volumes and diameters as a DICOM SR (sr.dcm); needs --seg."
    ),
    fhir: list[FhirVersions] = typer.Option(
        [], "--fhir", help="Write a FHIR bundle (fhir_r4.json, fhir_r5.json); may be given twice."
    ),
    stl: bool = typer.Option(False, "--stl", help="Write surfaces as STL (stl/), patient mm, LPS."),
    glb: bool = typer.Option(False, "--glb", help="Write surfaces as one glTF file (surfaces.glb)."),
    summary: bool = typer.Option(
        False, "--summary", help="Write a page to look at (summary.pdf, summary.png); it names no patient."
    ),
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
    compress: Compressions = typer.Option(
        Compressions.none,
        help="SEG: none: read everywhere. deflate: the whole file. rle: labelmap and fractional only.",
    ),
    probabilities: Path | None = typer.Option(
        None,
        help="A file with a channel for each structure, as `segment --probabilities` writes it: what a "
        "fractional SEG holds.",
    ),
    regions: bool = typer.Option(
        False,
        "--regions",
        help="Deliver the regions of the labels, which may overlap, in their place.",
    ),
    empty_frames: bool = typer.Option(False, help="SEG: write frames without a voxel too."),
    holes: HoleKinds = typer.Option(
        HoleKinds.keyhole,
        help="RTSTRUCT: holes joined by a channel without width, or contours of their own (XOR).",
    ),
    mesh_smoothing: int = typer.Option(
        10, min=0, max=200, help="STL, GLB: pairs of smoothing steps; volumes stay. 0: none."
    ),
    summary_dicom: bool = typer.Option(
        False, help="Write the page as a DICOM object of the study too (summary.dcm)."
    ),
    name_patient: bool = typer.Option(False, help="The page names patient and date."),
    made_by: str | None = typer.Option(
        None, help="Name of the model or person. Default: the model's folder."
    ),
    maker: Makers = typer.Option(Makers.automatic, help="How the labels were made."),
    approved_by: str | None = typer.Option(
        None, help="Who signed for the labels (Family^Given). Without a name they are UNAPPROVED."
    ),
    series_uid: str | None = typer.Option(None, help="Which series, where the folder holds several."),
) -> None:
    """Labels as DICOM, FHIR, meshes and a page; nothing is left unless all of it reads back right."""
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
        compress=compress.value,
        probabilities=probabilities,
        regions=regions,
        sr=sr,
        fhir=tuple(dict.fromkeys(FHIR[version.value] for version in fhir)),
        stl=stl,
        glb=glb,
        mesh_smoothing=mesh_smoothing,
        summary=summary,
        summary_dicom=summary_dicom,
        names_patient=name_patient,
    )
    delivery = pipeline.deliver(labels, series, out, how, show, datetime.now().astimezone())
    show.table(
        f"{out}: read back",
        ("structure", "code", "voxels", "ml"),
        [(s.name, s.code, str(s.voxels), f"{s.volume_ml:.4g}") for s in delivery.structures],
    )
    for made in delivery.objects:
        show.result(str(out / made.file))
