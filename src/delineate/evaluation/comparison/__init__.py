"""Which of several models is better, and is that proven?"""

from delineate.evaluation.comparison.aligned import Aligned, Judged
from delineate.evaluation.comparison.comparison import Comparison, Terms, write_comparison
from delineate.evaluation.comparison.contrast import Contrast
from delineate.evaluation.comparison.paired import Differences, holm, permutation_p, wilcoxon_p
from delineate.evaluation.comparison.ranking import Place, Ranking, rank
from delineate.evaluation.comparison.trial import compare

__all__ = [
    "Aligned",
    "Comparison",
    "Contrast",
    "Differences",
    "Judged",
    "Place",
    "Ranking",
    "Terms",
    "compare",
    "holm",
    "permutation_p",
    "rank",
    "wilcoxon_p",
    "write_comparison",
]
