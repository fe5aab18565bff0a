"""People disagree: a consensus of several raters, how far apart they are, and a model among them."""

from delineate.evaluation.raters.agreement import Agreement, findings
from delineate.evaluation.raters.crowd import Crowd, GoldRules, Worker, judge_workers
from delineate.evaluation.raters.decisions import MARGIN_MM
from delineate.evaluation.raters.fused import FusedFolder, write_consensus
from delineate.evaluation.raters.fusion import Consensus, FusionRules, Method, Quality, Ties, fuse
from delineate.evaluation.raters.panel import Panel
from delineate.evaluation.raters.showing import agreement_headline, agreement_sections
from delineate.evaluation.raters.standing import Margin, Standing
from delineate.evaluation.raters.style import Following, Trait
from delineate.evaluation.raters.together import Readings, agreement_of, read_together

__all__ = [
    "MARGIN_MM",
    "Agreement",
    "Consensus",
    "Crowd",
    "Following",
    "FusedFolder",
    "FusionRules",
    "GoldRules",
    "Margin",
    "Method",
    "Panel",
    "Quality",
    "Readings",
    "Standing",
    "Ties",
    "Trait",
    "Worker",
    "agreement_headline",
    "agreement_of",
    "agreement_sections",
    "findings",
    "fuse",
    "judge_workers",
    "read_together",
    "write_consensus",
]
