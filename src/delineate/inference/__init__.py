"""A new scan: windows, blending, ensembles, clean-up.

Names are imported when they are first used: who segments needs nothing of what finds objects or reads films.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.inference.blend import importance
    from delineate.inference.cleanup import cleaned, learn_cleanup
    from delineate.inference.finder import Finder, FoundObject, object_table
    from delineate.inference.live import Frame, Live, LiveResult, LiveSummary
    from delineate.inference.memory import MemoryPlan
    from delineate.inference.prediction import Prediction
    from delineate.inference.ready import Ready
    from delineate.inference.segmenter import Segmenter
    from delineate.inference.windows import Windows, steps

__all__ = [
    "Finder",
    "FoundObject",
    "Frame",
    "Live",
    "LiveResult",
    "LiveSummary",
    "MemoryPlan",
    "Prediction",
    "Ready",
    "Segmenter",
    "Windows",
    "cleaned",
    "importance",
    "learn_cleanup",
    "object_table",
    "steps",
]

__getattr__ = lazy(
    __name__,
    {
        "blend": ("importance",),
        "cleanup": ("cleaned", "learn_cleanup"),
        "finder": ("Finder", "FoundObject", "object_table"),
        "live": ("Frame", "Live", "LiveResult", "LiveSummary"),
        "memory": ("MemoryPlan",),
        "prediction": ("Prediction",),
        "ready": ("Ready",),
        "segmenter": ("Segmenter",),
        "windows": ("Windows", "steps"),
    },
)
