"""People disagree: a consensus of several raters, how far apart they are, and a model among them."""

from delineate.evaluation.raters.agreement import Agreement, findings
from delineate.evaluation.raters.fusion import (
    METHODS,
    TIES,
    Consensus,
    FusionRules,
    Method,
    Quality,
    Ties,
    fuse,
)
from delineate.evaluation.raters.standing import Margin, Standing
from delineate.evaluation.raters.style import Following, Trait
from delineate.evaluation.raters.together import Readings, agreement_of, read_together

__all__ = [
    "METHODS",
    "TIES",
    "Agreement",
    "Consensus",
    "Following",
    "FusionRules",
    "Margin",
    "Method",
    "Quality",
    "Readings",
    "Standing",
    "Ties",
    "Trait",
    "agreement_of",
    "findings",
    "fuse",
    "read_together",
]
