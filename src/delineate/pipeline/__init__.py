"""The whole story: from a folder of labelled scans to a measured model, and from a scan to labels.

Names are imported when they are first used: making phantoms or checking a dataset needs no torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from delineate.pipeline.cohort import phantoms
    from delineate.pipeline.data import check_folder, convert
    from delineate.pipeline.run_folder import Run
    from delineate.pipeline.scans import segment
    from delineate.pipeline.stages import evaluate, pack, plan, prepare, report, run, train
    from delineate.pipeline.watch import Unwatched, Watch
    from delineate.pipeline.wishes import PlanWishes, SegmentWishes, SplitWishes, TrainingWishes

__all__ = [
    "PlanWishes",
    "Run",
    "SegmentWishes",
    "SplitWishes",
    "TrainingWishes",
    "Unwatched",
    "Watch",
    "check_folder",
    "convert",
    "evaluate",
    "pack",
    "phantoms",
    "plan",
    "prepare",
    "report",
    "run",
    "segment",
    "train",
]

HOMES = {
    "Run": "run_folder",
    "Unwatched": "watch",
    "Watch": "watch",
    "check_folder": "data",
    "convert": "data",
    "phantoms": "cohort",
    "segment": "scans",
    **dict.fromkeys(("PlanWishes", "SegmentWishes", "SplitWishes", "TrainingWishes"), "wishes"),
    **dict.fromkeys(("evaluate", "pack", "plan", "prepare", "report", "run", "train"), "stages"),
}


def __getattr__(name: str) -> Any:
    """A public name, from the module that holds it."""
    if name not in HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{HOMES[name]}"), name)


def __dir__() -> list[str]:
    return __all__
