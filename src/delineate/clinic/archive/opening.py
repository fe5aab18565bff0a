"""Opening: the archive at an address, whichever way it is spoken to."""

from __future__ import annotations

import time

from delineate.clinic.archive.access import Access
from delineate.clinic.archive.found import Archive
from delineate.clinic.archive.patience import Sleep
from delineate.clinic.archive.web import WebArchive


def open_archive(access: Access, *, sleep: Sleep = time.sleep) -> Archive:
    """The archive; nothing is asked of it yet."""
    if access.kind == "web":
        return WebArchive(access, sleep=sleep)
    from delineate.clinic import archive  # DIMSE needs a package that may not be there

    return archive.NodeArchive(access, sleep=sleep)
