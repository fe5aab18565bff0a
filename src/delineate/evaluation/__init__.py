"""How good, and how sure."""

from delineate.evaluation.assessment import evaluate, evaluate_case
from delineate.evaluation.measures import MEASURES, Measure, Rules
from delineate.evaluation.overlap import Confusion, ConfusionTable, EmptyPolicy
from delineate.evaluation.scores import Counts, Overall, Report, Row, Summary, write_report
from delineate.evaluation.statistics import Bootstrap
from delineate.evaluation.surface import SurfaceDistances, area_distances, border_distances
from delineate.evaluation.volume import Volumes

__all__ = [
    "MEASURES",
    "Bootstrap",
    "Confusion",
    "ConfusionTable",
    "Counts",
    "EmptyPolicy",
    "Measure",
    "Overall",
    "Report",
    "Row",
    "Rules",
    "Summary",
    "SurfaceDistances",
    "Volumes",
    "area_distances",
    "border_distances",
    "evaluate",
    "evaluate_case",
    "write_report",
]
