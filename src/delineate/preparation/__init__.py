"""From a case to a batch.

Names are imported when they are first used: preparing cases and new scans needs no torch, batches do.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

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

HOMES = {
    "Batch": "patches",
    "Batches": "batches",
    "Draw": "recipe",
    "PreparedScan": "prepared",
    "Recipe": "recipe",
    "Sampler": "patches",
    "Store": "store",
    "StoredCase": "store",
    "prepare": "cases",
    "prepare_scan": "prepared",
    "store_name": "cases",
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that holds it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
