"""What shifts cost a model, and which of them breaks it first."""

from delineate.evaluation.stress.measured import Cell, KindResult, Stress, stress_of, write_stress
from delineate.evaluation.stress.showing import stress_page

__all__ = ["Cell", "KindResult", "Stress", "stress_of", "stress_page", "write_stress"]
