"""From a case to a batch.

Names are imported when they are first used: preparing cases and new scans needs no torch, batches do.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.preparation.batches import Batches
    from delineate.preparation.cases import prepare, store_name
    from delineate.preparation.patches import Batch, Sampler
    from delineate.preparation.prepared import PreparedScan, prepare_scan
    from delineate.preparation.recipe import Draw, Recipe
    from delineate.preparation.store import Store, StoredCase

__all__ = [
    "Batch",
    "Batches",
    "Draw",
    "PreparedScan",
    "Recipe",
    "Sampler",
    "Store",
    "StoredCase",
    "prepare",
    "prepare_scan",
    "store_name",
]

__getattr__ = lazy(
    __name__,
    {
        "batches": ("Batches",),
        "cases": ("prepare", "store_name"),
        "patches": ("Batch", "Sampler"),
        "prepared": ("PreparedScan", "prepare_scan"),
        "recipe": ("Draw", "Recipe"),
        "store": ("Store", "StoredCase"),
    },
)


def __dir__() -> list[str]:
    return __all__
