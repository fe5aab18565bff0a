"""Archives: sending files to a PACS, looking for studies there, fetching them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from delineate.clinic.archive import (
    Access,
    Level,
    Receive,
    WebArchive,
    checked_filters,
    instance_uid,
    open_archive,
    shown,
)
from delineate.errors import DataError
from delineate.io.disk import write_bytes
from delineate.io.frames import is_dicom
from delineate.progress import Progress, silent

BATCH = 20  # files that are sent through one association


def send(paths: Sequence[Path], access: Access, *, progress: Progress = silent) -> int:
    """Sends DICOM files, or all that lie in folders, and returns how many; an error says how many went."""
    files = _dicom_files(paths)
    archive = open_archive(access)
    for start in range(0, len(files), BATCH):
        progress(start, len(files), access.address)
        archive.send(files[start : start + BATCH])
    progress(len(files), len(files), access.address)
    return len(files)


def _dicom_files(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if not path.exists():
            raise DataError(f"{path}: no such file or folder.")
        below = sorted(each for each in path.rglob("*") if each.is_file()) if path.is_dir() else [path]
        found = [each for each in below if is_dicom(each)]
        if not found:
            raise DataError(f"{path}: no DICOM here.")
        files += found
    return files


def find(level: Level, filters: tuple[str, ...], access: Access) -> tuple[dict[str, str], ...]:
    """What an archive has, as values by keyword; filters are those that people type: PatientID=7."""
    found = open_archive(access).find(level, checked_filters(filters))
    return tuple(shown(item, level) for item in found)


def fetch(
    study: str, series: str | None, out: Path, access: Access, *, port: int = 0, host: str = "127.0.0.1"
) -> int:
    """Fetches a study or a series into the folder `out`, a file for each image, and returns how many.

    host, port  DIMSE: where the archive sends to (C-MOVE), as it knows our AE title
    """
    from delineate.clinic import archive

    def keep(content: bytes) -> None:
        uid = instance_uid(content)
        write_bytes(out / f"{uid}.dcm", content)

    opened = open_archive(access)
    if isinstance(opened, WebArchive):
        return opened.fetch(study, series, keep)
    if not port:
        raise DataError(
            f"{access.address}: sends what it is asked for to a port of this machine, by C-MOVE.\n"
            f"  Say which (--port), as it is entered there for {access.called}; or use DICOMweb."
        )
    assert isinstance(opened, archive.NodeArchive)
    title, _, _ = access.node
    where = Receive(port=port, host=host, title=access.called, callers=(title,))
    with archive.receiver(where, lambda content, caller: keep(content)):
        return opened.move(study, series, access.called)
