"""How many cases it takes, before they are there."""

from delineate.evaluation.forecast.learning import LearningCurve, learning_curve, read_curve
from delineate.evaluation.forecast.needed import Forecast, Needs, cases_for, cases_to_prove, needs

__all__ = [
    "Forecast",
    "LearningCurve",
    "Needs",
    "cases_for",
    "cases_to_prove",
    "learning_curve",
    "needs",
    "read_curve",
]
