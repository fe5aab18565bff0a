"""`delineate fetch`: a study or a series from a PACS."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli import archives
from delineate.cli.options import screen

NAME = "fetch"


def command(
    context: typer.Context,
    study: str = typer.Argument(help="StudyInstanceUID, as `delineate find` lists it."),
    at: str = typer.Option(..., "--at", help=archives.ADDRESS),
    out: Path = typer.Option(..., "--out", "-o", help="Folder for the files."),
    series: str | None = typer.Option(None, help="SeriesInstanceUID: this series only."),
    port: int = typer.Option(0, help="AETITLE@host:port: the port that the archive sends to (C-MOVE)."),
    host: str = typer.Option("127.0.0.1", help="With --port: the address of this machine to receive at."),
    credentials: Path | None = archives.CREDENTIALS,
    authority: Path | None = archives.AUTHORITY,
    certificate: Path | None = archives.CERTIFICATE,
    tls: bool = archives.TLS,
    called: str = archives.CALLED,
) -> None:
    """Fetch a study or a series from a PACS, by DICOMweb (WADO) or C-MOVE."""
    from delineate.pipeline import fetch

    show = screen(context)
    archive = archives.access(at, credentials, authority, certificate, tls, called)
    with show.stage("fetch"):
        count = fetch(study, series, out, archive, port=port, host=host)
    show.result(f"{out}: {count} files")
