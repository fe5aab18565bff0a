"""What can be said about one structure of one case, and under which rules."""

from delineate.evaluation.measures.pair import Measure, Pair, Value
from delineate.evaluation.measures.rules import MEASURES, Rules, measured

__all__ = ["MEASURES", "Measure", "Pair", "Rules", "Value", "measured"]
