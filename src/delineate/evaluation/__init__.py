"""How good, and how sure."""

from delineate.evaluation.assessment import evaluate, evaluate_case, evaluate_dataset
from delineate.evaluation.averages import DiceAverages
from delineate.evaluation.baselines import METHODS, Baselines, fit_baselines, segment_classically
from delineate.evaluation.calibration import (
    CalibrationReport,
    CalibrationRules,
    Temperature,
    calibrate,
    tempered,
)
from delineate.evaluation.comparison import Comparison, Terms, compare, write_comparison
from delineate.evaluation.concordance import BlandAltman, intraclass, lin
from delineate.evaluation.distances import Directed, SurfaceDistances
from delineate.evaluation.figures import View, best_view, colors, png, slice_figure
from delineate.evaluation.folders import Folders
from delineate.evaluation.follow_up import Change, FollowUp, FollowUpWishes, Repeatability, compare_visits
from delineate.evaluation.forecast import (
    Forecast,
    LearningCurve,
    Needs,
    cases_for,
    cases_to_prove,
    learning_curve,
    needs,
    read_curve,
)
from delineate.evaluation.gate import LITERATURE, Criterion, Gate, Judgement, Verdict, judge, read_gate
from delineate.evaluation.measures import MEASURES, Measure, Rules
from delineate.evaluation.mesh import mesh_distances
from delineate.evaluation.objects.detection import DetectionRules, find_candidates, scored
from delineate.evaluation.objects.detection_plot import froc_plot
from delineate.evaluation.objects.detection_report import DetectionReport, evaluate_detection
from delineate.evaluation.objects.instance_map import InstanceMap, read_instances
from delineate.evaluation.objects.instance_report import InstanceReport, evaluate_instances
from delineate.evaluation.objects.instances import InstanceRules
from delineate.evaluation.objects.lesion_report import LesionReport, evaluate_lesions
from delineate.evaluation.objects.lesions import LESION_RULES, LesionRules, Lesions
from delineate.evaluation.objects.matching import Overlaps
from delineate.evaluation.overlap import Confusion, ConfusionTable, EmptyPolicy
from delineate.evaluation.raters import (
    Agreement,
    Consensus,
    Crowd,
    FusionRules,
    GoldRules,
    Margin,
    Panel,
    Readings,
    agreement_of,
    fuse,
    judge_workers,
    read_together,
)
from delineate.evaluation.scores import Counts, Overall, Report, Row, Summary, read_report, write_report
from delineate.evaluation.shapes import CenterlineOverlap, Diameter, boundary_counts, centerline
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
from delineate.evaluation.surface import area_distances, border_distances
from delineate.evaluation.volume import Volumes
from delineate.evaluation.volume_agreement import VolumeAgreement, VolumePair, volume_agreement

__all__ = [
    "LESION_RULES",
    "LITERATURE",
    "MEASURES",
    "METHODS",
    "Agreement",
    "Baselines",
    "BlandAltman",
    "Bootstrap",
    "CalibrationReport",
    "CalibrationRules",
    "CenterlineOverlap",
    "Change",
    "Comparison",
    "Confusion",
    "ConfusionTable",
    "Consensus",
    "Counts",
    "Criterion",
    "Crowd",
    "DetectionReport",
    "DetectionRules",
    "Diameter",
    "DiceAverages",
    "Directed",
    "EmptyPolicy",
    "Folders",
    "FollowUp",
    "FollowUpWishes",
    "Forecast",
    "FusionRules",
    "Gate",
    "GoldRules",
    "InstanceMap",
    "InstanceReport",
    "InstanceRules",
    "Judgement",
    "LearningCurve",
    "LeftOut",
    "LesionReport",
    "LesionRules",
    "Lesions",
    "Margin",
    "Measure",
    "Needs",
    "Overall",
    "Overlaps",
    "Panel",
    "Readings",
    "Repeatability",
    "Report",
    "Row",
    "Rules",
    "Subgroups",
    "Summary",
    "SurfaceDistances",
    "Temperature",
    "Terms",
    "Verdict",
    "View",
    "VolumeAgreement",
    "VolumePair",
    "Volumes",
    "agreement_of",
    "area_distances",
    "best_view",
    "border_distances",
    "boundary_counts",
    "calibrate",
    "cases_for",
    "cases_to_prove",
    "centerline",
    "colors",
    "columns_of",
    "compare",
    "compare_visits",
    "evaluate",
    "evaluate_case",
    "evaluate_dataset",
    "evaluate_detection",
    "evaluate_instances",
    "evaluate_lesions",
    "find_candidates",
    "fit_baselines",
    "froc_plot",
    "fuse",
    "intraclass",
    "judge",
    "judge_workers",
    "learning_curve",
    "leave_one_site_out",
    "lin",
    "mesh_distances",
    "needs",
    "png",
    "read_columns",
    "read_curve",
    "read_gate",
    "read_instances",
    "read_report",
    "read_together",
    "scored",
    "segment_classically",
    "slice_figure",
    "split",
    "split_by_size",
    "tempered",
    "volume_agreement",
    "write_comparison",
    "write_report",
]
