"""What changed between two visits of a patient, and whether that is more than measurement error."""

from delineate.evaluation.follow_up.change import Change, Size
from delineate.evaluation.follow_up.repeatability import Repeatability
from delineate.evaluation.follow_up.response import Response, Target
from delineate.evaluation.follow_up.visits import (
    FollowUp,
    FollowUpWishes,
    compare_visits,
    measure_repeatability,
    read_days,
)

__all__ = [
    "Change",
    "FollowUp",
    "FollowUpWishes",
    "Repeatability",
    "Response",
    "Size",
    "Target",
    "compare_visits",
    "measure_repeatability",
    "read_days",
]
