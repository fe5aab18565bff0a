"""Is a model as good for everybody, and what to expect of it elsewhere?"""

from delineate.evaluation.subgroups.columns import columns_of, read_columns
from delineate.evaluation.subgroups.sites import LeftOut, leave_one_site_out
from delineate.evaluation.subgroups.split import Group, SplitTable, Subgroups, split, split_by_size

__all__ = [
    "Group",
    "LeftOut",
    "SplitTable",
    "Subgroups",
    "columns_of",
    "leave_one_site_out",
    "read_columns",
    "split",
    "split_by_size",
]
