"""`delineate find`: what a PACS has."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from delineate.cli import archives
from delineate.cli.options import screen

if TYPE_CHECKING:
    from delineate.clinic.archive import Level

NAME = "find"


class Levels(enum.Enum):
    """What is looked for, as the command line spells it."""

    studies = "studies"
    series = "series"
    images = "images"


def command(
    context: typer.Context,
    filters: list[str] = typer.Argument(
        None, help="KEYWORD=VALUE: PatientID=7, StudyDate=20260101-20260131, StudyInstanceUID=..."
    ),
    at: str = typer.Option(..., "--at", help=archives.ADDRESS),
    level: Levels = typer.Option(Levels.studies, help="What is looked for."),
    as_json: bool = typer.Option(False, "--json", help="As JSON."),
    credentials: Path | None = archives.CREDENTIALS,
    authority: Path | None = archives.AUTHORITY,
    certificate: Path | None = archives.CERTIFICATE,
    tls: bool = archives.TLS,
    called: str = archives.CALLED,
) -> None:
    """Look for studies, series or images in a PACS, by DICOMweb (QIDO) or C-FIND."""
    from delineate.pipeline import find

    show = screen(context)
    archive = archives.access(at, credentials, authority, certificate, tls, called)
    wanted: Level = {"studies": "STUDY", "series": "SERIES", "images": "IMAGE"}[level.value]  # type: ignore[assignment]
    found = find(wanted, tuple(filters or ()), archive)
    if as_json:
        show.json(list(found))
        return
    names = tuple(found[0]) if found else ()
    show.table(f"{at}: {len(found)} {level.value}", names, [tuple(each.values()) for each in found])
