"""Back to the hospital: what leaves it and comes back. Names are imported when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.clinic.privacy import Key, Wishes, deidentify, make_key, read_key

__all__ = ["Key", "Wishes", "deidentify", "make_key", "read_key"]

__getattr__ = lazy(__name__, {"privacy": ("Key", "Wishes", "deidentify", "make_key", "read_key")})
