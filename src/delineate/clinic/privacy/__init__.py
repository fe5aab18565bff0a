"""Scans without identity: PS3.15 Annex E, with one key from which every substitute is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.clinic.privacy.faces import defaced
    from delineate.clinic.privacy.folder import DEFAULT, Wishes, deidentify
    from delineate.clinic.privacy.keys import Key, make_key, read_key
    from delineate.clinic.privacy.report import DeidentifyReport
    from delineate.clinic.privacy.table import OPTIONS, Option, Profile

__all__ = [
    "DEFAULT",
    "OPTIONS",
    "DeidentifyReport",
    "Key",
    "Option",
    "Profile",
    "Wishes",
    "defaced",
    "deidentify",
    "make_key",
    "read_key",
]

__getattr__ = lazy(
    __name__,
    {
        "faces": ("defaced",),
        "folder": ("DEFAULT", "Wishes", "deidentify"),
        "keys": ("Key", "make_key", "read_key"),
        "report": ("DeidentifyReport",),
        "table": ("OPTIONS", "Option", "Profile"),
    },
)
