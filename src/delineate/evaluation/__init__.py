"""How good, and how sure."""

from delineate.evaluation.assessment import evaluate, evaluate_case, evaluate_dataset
from delineate.evaluation.baselines import METHODS, Baselines, fit_baselines, segment_classically
from delineate.evaluation.figures import View, best_view, colors, png, slice_figure
from delineate.evaluation.folders import Folders
from delineate.evaluation.gate import LITERATURE, Criterion, Gate, Judgement, Verdict, judge, read_gate
from delineate.evaluation.measures import MEASURES, Measure, Rules
from delineate.evaluation.overlap import Confusion, ConfusionTable, EmptyPolicy
from delineate.evaluation.scores import Counts, Overall, Report, Row, Summary, read_report, write_report
from delineate.evaluation.statistics import Bootstrap
from delineate.evaluation.subgroups import (
    LeftOut,
    Subgroups,
    columns_of,
    leave_one_site_out,
    read_columns,
    split,
    split_by_size,
)
from delineate.evaluation.surface import SurfaceDistances, area_distances, border_distances
from delineate.evaluation.volume import Volumes

__all__ = [
    "LITERATURE",
    "MEASURES",
    "METHODS",
    "Baselines",
    "Bootstrap",
    "Confusion",
    "ConfusionTable",
    "Counts",
    "Criterion",
    "EmptyPolicy",
    "Folders",
    "Gate",
    "Judgement",
    "LeftOut",
    "Measure",
    "Overall",
    "Report",
    "Row",
    "Rules",
    "Subgroups",
    "Summary",
    "SurfaceDistances",
    "Verdict",
    "View",
    "Volumes",
    "area_distances",
    "best_view",
    "border_distances",
    "colors",
    "columns_of",
    "evaluate",
    "evaluate_case",
    "evaluate_dataset",
    "fit_baselines",
    "judge",
    "leave_one_site_out",
    "png",
    "read_columns",
    "read_gate",
    "read_report",
    "segment_classically",
    "slice_figure",
    "split",
    "split_by_size",
    "write_report",
]
