"""What is asked of a model, and whether it is proven that it clears it."""

from delineate.evaluation.gate.criteria import LITERATURE, Criterion, Gate, read_gate
from delineate.evaluation.gate.verdict import Judgement, Verdict, judge

__all__ = ["LITERATURE", "Criterion", "Gate", "Judgement", "Verdict", "judge", "read_gate"]
