"""`delineate send`: files to a PACS."""

from __future__ import annotations

from pathlib import Path

import typer

from delineate.cli import archives
from delineate.cli.options import screen

NAME = "send"


def command(
    context: typer.Context,
    files: list[Path] = typer.Argument(help="Files, or folders with them."),
    to: str = typer.Option(..., "--to", help=archives.ADDRESS),
    credentials: Path | None = archives.CREDENTIALS,
    authority: Path | None = archives.AUTHORITY,
    certificate: Path | None = archives.CERTIFICATE,
    tls: bool = archives.TLS,
    called: str = archives.CALLED,
) -> None:
    """Send DICOM files to a PACS, by DICOMweb (STOW) or C-STORE; done when it has all of them."""
    from delineate.pipeline import send

    show = screen(context)
    archive = archives.access(to, credentials, authority, certificate, tls, called)
    with show.stage("send") as progress:
        count = send(files, archive, progress=progress)
    show.result(f"{to}: {count} files stored")
