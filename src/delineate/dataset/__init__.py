"""What we learn from: cases, layouts, checks, leakage, splits."""

from delineate.dataset.case import Case
from delineate.dataset.check import CheckReport, check
from delineate.dataset.convert import write_nnunet
from delineate.dataset.dataset import Dataset
from delineate.dataset.label_folder import label_files, open_labels
from delineate.dataset.leakage import find_leaks
from delineate.dataset.problem import Problem
from delineate.dataset.scans import open_scans, without_labels
from delineate.dataset.splits import Fold, Splits, make_splits
from delineate.dataset.values import LabelTable, ValueTable, read_label_table

__all__ = [
    "Case",
    "CheckReport",
    "Dataset",
    "Fold",
    "LabelTable",
    "Problem",
    "Splits",
    "ValueTable",
    "check",
    "find_leaks",
    "label_files",
    "make_splits",
    "open_labels",
    "open_scans",
    "read_label_table",
    "without_labels",
    "write_nnunet",
]
