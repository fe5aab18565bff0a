"""How many cases it takes, before they are there."""

from delineate.evaluation.forecast.needed import Forecast, cases_for, cases_to_prove

__all__ = ["Forecast", "cases_for", "cases_to_prove"]
