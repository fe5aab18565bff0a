"""Back to the hospital: what leaves it and comes back. Names are imported when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.clinic.deidentify import deidentify

__all__ = ["deidentify"]

__getattr__ = lazy(__name__, {"deidentify": ("deidentify",)})
