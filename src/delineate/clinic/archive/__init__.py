"""Archives: speaking with a PACS by DICOMweb and DIMSE, and the queue of what it sends.

Names are imported when they are first used; those of DIMSE need pynetdicom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delineate.errors import MissingPackage
from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.clinic.archive.access import Access, Receive
    from delineate.clinic.archive.found import (
        Archive,
        Level,
        checked_filters,
        image_series,
        instance_uid,
        shown,
        studies_of,
    )
    from delineate.clinic.archive.node import NodeArchive
    from delineate.clinic.archive.opening import open_archive
    from delineate.clinic.archive.queue import Job, Queue, Reason, Visit, look, open_queue
    from delineate.clinic.archive.scp import receiver
    from delineate.clinic.archive.web import WebArchive

__all__ = [
    "Access",
    "Archive",
    "Job",
    "Level",
    "NodeArchive",
    "Queue",
    "Reason",
    "Receive",
    "Visit",
    "WebArchive",
    "checked_filters",
    "image_series",
    "instance_uid",
    "look",
    "open_archive",
    "open_queue",
    "receiver",
    "shown",
    "studies_of",
]

_find = lazy(
    __name__,
    {
        "access": ("Access", "Receive"),
        "found": (
            "Archive",
            "Level",
            "checked_filters",
            "image_series",
            "instance_uid",
            "shown",
            "studies_of",
        ),
        "node": ("NodeArchive",),
        "opening": ("open_archive",),
        "queue": ("Job", "Queue", "Reason", "Visit", "look", "open_queue"),
        "scp": ("receiver",),
        "web": ("WebArchive",),
    },
)


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in ("pydicom", "pynetdicom"):
            raise
        other = "\n  DICOMweb works without it: name the archive by its https:// address."
        raise MissingPackage(
            f"archives are spoken with through {missing}, which is not installed:  "
            f"pip install 'delineate[dicom]'{other if missing == 'pynetdicom' else ''}"
        ) from None


def __dir__() -> list[str]:
    return __all__
