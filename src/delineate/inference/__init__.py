"""A new scan: windows, blending, ensembles, clean-up."""

from delineate.inference.blend import importance
from delineate.inference.cleanup import cleaned, learn_cleanup
from delineate.inference.finder import Finder, FoundObject
from delineate.inference.live import Frame, Live, LiveResult, LiveSummary
from delineate.inference.prediction import Prediction
from delineate.inference.segmenter import Segmenter
from delineate.inference.windows import Windows, steps

__all__ = [
    "Finder",
    "FoundObject",
    "Frame",
    "Live",
    "LiveResult",
    "LiveSummary",
    "Prediction",
    "Segmenter",
    "Windows",
    "cleaned",
    "importance",
    "learn_cleanup",
    "steps",
]
