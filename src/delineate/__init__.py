"""From raw scans to reviewed contours: medical image segmentation that configures itself.

The public names, in the order of the work, are those of `HOMES` below. Each is imported when it is first
used: `import delineate` reads no array, no scan and no network library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.dataset import (
        Case,
        CheckReport,
        Dataset,
        Fold,
        Problem,
        Splits,
        check,
        find_leaks,
        make_splits,
        write_nnunet,
    )
    from delineate.errors import Error
    from delineate.evaluation import (
        Report,
        Rules,
        evaluate,
        evaluate_case,
        evaluate_dataset,
        write_report,
    )
    from delineate.inference import Prediction, Segmenter
    from delineate.io import read_geometry, read_label_values, read_volume, write_labels, write_volume
    from delineate.networks import Model, build_network, load_network
    from delineate.planning import Fingerprint, Plan, fingerprint, make_plan, plan_table
    from delineate.preparation import PreparedScan, Store, prepare, prepare_scan
    from delineate.space import Box, Geometry, Label, LabelMap, LabelSchema, Region, Volume
    from delineate.training import train

__version__ = "0.1.0"

__all__ = [
    "Box",
    "Case",
    "CheckReport",
    "Dataset",
    "Error",
    "Fingerprint",
    "Fold",
    "Geometry",
    "Label",
    "LabelMap",
    "LabelSchema",
    "Model",
    "Plan",
    "Prediction",
    "PreparedScan",
    "Problem",
    "Region",
    "Report",
    "Rules",
    "Segmenter",
    "Splits",
    "Store",
    "Volume",
    "__version__",
    "build_network",
    "check",
    "evaluate",
    "evaluate_case",
    "evaluate_dataset",
    "find_leaks",
    "fingerprint",
    "load_network",
    "make_plan",
    "make_splits",
    "plan_table",
    "prepare",
    "prepare_scan",
    "read_geometry",
    "read_label_values",
    "read_volume",
    "train",
    "write_labels",
    "write_nnunet",
    "write_report",
    "write_volume",
]

HOMES = {  # folder -> what of it is public here
    "errors": ("Error",),
    "space": ("Box", "Geometry", "Volume", "Label", "Region", "LabelSchema", "LabelMap"),
    "io": ("read_volume", "read_label_values", "read_geometry", "write_volume", "write_labels"),
    "dataset": (
        *("Case", "Dataset", "Problem", "CheckReport", "check", "find_leaks"),
        *("Fold", "Splits", "make_splits", "write_nnunet"),
    ),
    "planning": ("Fingerprint", "fingerprint", "Plan", "make_plan", "plan_table"),
    "preparation": ("Store", "prepare", "PreparedScan", "prepare_scan"),
    "networks": ("build_network", "load_network", "Model"),
    "training": ("train",),
    "inference": ("Segmenter", "Prediction"),
    "evaluation": ("Rules", "Report", "evaluate", "evaluate_case", "evaluate_dataset", "write_report"),
}


__getattr__ = lazy(__name__, HOMES)


def __dir__() -> list[str]:
    return __all__
