"""The whole story: from a folder of labelled scans to a measured model, and from a scan to labels.

Names are imported when they are first used: making phantoms or checking a dataset needs no torch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.pipeline.adapting import measure_adaptation
    from delineate.pipeline.aligning import AlignWishes, align, register_scans
    from delineate.pipeline.archives import fetch, find, send
    from delineate.pipeline.benching import BenchWishes, bench
    from delineate.pipeline.calibrating import CalibrateWishes, calibrate_folders
    from delineate.pipeline.cluster import Cluster, prepare_on, segment_on
    from delineate.pipeline.cohort import phantoms
    from delineate.pipeline.comparing import compare_reports
    from delineate.pipeline.compressing import CompressWishes, compress
    from delineate.pipeline.data import check_folder, convert
    from delineate.pipeline.delivery import DeliveryWishes, deliver, import_dicom
    from delineate.pipeline.dividing import Divided, DivideWishes, divide
    from delineate.pipeline.forecasting import forecast
    from delineate.pipeline.listening import listen
    from delineate.pipeline.measuring import MeasureWishes, evaluate_folders, evaluate_objects
    from delineate.pipeline.people import ConsensusWishes, RaterWishes, compare_raters, fuse_raters
    from delineate.pipeline.pretraining import PretrainWishes, pretrain
    from delineate.pipeline.pseudo import PseudoWishes, pseudo_label
    from delineate.pipeline.run_folder import Run
    from delineate.pipeline.scans import segment
    from delineate.pipeline.slimming import Slimming
    from delineate.pipeline.stages import evaluate, evaluate_missing, pack, plan, prepare, report, run, train
    from delineate.pipeline.streaming import LiveWishes, live
    from delineate.pipeline.stressing import StressWishes, stress
    from delineate.pipeline.watch import Unwatched, Watch
    from delineate.pipeline.wishes import (
        LabelWishes,
        PlanWishes,
        SegmentWishes,
        SplitWishes,
        StartWishes,
        TrainingWishes,
    )

__all__ = [
    "AlignWishes",
    "BenchWishes",
    "CalibrateWishes",
    "Cluster",
    "CompressWishes",
    "ConsensusWishes",
    "DeliveryWishes",
    "DivideWishes",
    "Divided",
    "LabelWishes",
    "LiveWishes",
    "MeasureWishes",
    "PlanWishes",
    "PretrainWishes",
    "PseudoWishes",
    "RaterWishes",
    "Run",
    "SegmentWishes",
    "Slimming",
    "SplitWishes",
    "StartWishes",
    "StressWishes",
    "TrainingWishes",
    "Unwatched",
    "Watch",
    "align",
    "bench",
    "calibrate_folders",
    "check_folder",
    "compare_raters",
    "compare_reports",
    "compress",
    "convert",
    "deliver",
    "divide",
    "evaluate",
    "evaluate_folders",
    "evaluate_missing",
    "evaluate_objects",
    "fetch",
    "find",
    "forecast",
    "fuse_raters",
    "import_dicom",
    "listen",
    "live",
    "measure_adaptation",
    "pack",
    "phantoms",
    "plan",
    "prepare",
    "prepare_on",
    "pretrain",
    "pseudo_label",
    "register_scans",
    "report",
    "run",
    "segment",
    "segment_on",
    "send",
    "stress",
    "train",
]

__getattr__ = lazy(
    __name__,
    {
        "aligning": ("AlignWishes", "align", "register_scans"),
        "adapting": ("measure_adaptation",),
        "archives": ("fetch", "find", "send"),
        "benching": ("BenchWishes", "bench"),
        "calibrating": ("CalibrateWishes", "calibrate_folders"),
        "cluster": ("Cluster", "prepare_on", "segment_on"),
        "cohort": ("phantoms",),
        "comparing": ("compare_reports",),
        "compressing": ("CompressWishes", "compress"),
        "data": ("check_folder", "convert"),
        "dividing": ("DivideWishes", "Divided", "divide"),
        "forecasting": ("forecast",),
        "listening": ("listen",),
        "measuring": ("MeasureWishes", "evaluate_folders", "evaluate_objects"),
        "delivery": ("DeliveryWishes", "deliver", "import_dicom"),
        "people": ("ConsensusWishes", "RaterWishes", "compare_raters", "fuse_raters"),
        "pretraining": ("PretrainWishes", "pretrain"),
        "pseudo": ("PseudoWishes", "pseudo_label"),
        "run_folder": ("Run",),
        "scans": ("segment",),
        "slimming": ("Slimming",),
        "stages": ("evaluate", "evaluate_missing", "pack", "plan", "prepare", "report", "run", "train"),
        "stressing": ("StressWishes", "stress"),
        "streaming": ("LiveWishes", "live"),
        "watch": ("Unwatched", "Watch"),
        "wishes": (
            "LabelWishes",
            "PlanWishes",
            "SegmentWishes",
            "SplitWishes",
            "StartWishes",
            "TrainingWishes",
        ),
    },
)


def __dir__() -> list[str]:
    return __all__
