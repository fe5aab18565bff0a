"""Archives: the options with which `send`, `find` and `fetch` reach a PACS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from delineate.clinic.archive import Access

ADDRESS = "https://host/dicom-web, or AETITLE@host:port."
CREDENTIALS = typer.Option(
    None, help='A file that only you may read: "Basic USER:PASSWORD" or "Bearer TOKEN".'
)
AUTHORITY = typer.Option(None, help="PEM: who signed the archive's certificate. Default: the system's.")
CERTIFICATE = typer.Option(None, help="PEM: our certificate and key, where the archive asks for one.")
TLS = typer.Option(False, "--tls", help="AETITLE@host:port: speak through TLS.")
CALLED = typer.Option("DELINEATE", "--called", help="Our AE title.")


def access(
    address: str,
    credentials: Path | None,
    authority: Path | None,
    certificate: Path | None,
    tls: bool,
    called: str,
) -> Access:
    """The archive that was named; what is wrong about it is wrong usage."""
    from pydantic import ValidationError

    from delineate.clinic.archive import Access

    try:
        return Access(
            address=address,
            credentials=credentials,
            authority=authority,
            certificate=certificate,
            tls=tls,
            called=called,
        )
    except ValidationError as error:
        said = "; ".join(str(problem["msg"]).removeprefix("Value error, ") for problem in error.errors())
        raise typer.BadParameter(said) from None
