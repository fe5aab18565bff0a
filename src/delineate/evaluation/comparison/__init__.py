"""Which of several models is better, and is that proven?"""

from delineate.evaluation.comparison.paired import Differences, holm, permutation_p, wilcoxon_p
from delineate.evaluation.comparison.ranking import Place, Ranking, rank

__all__ = ["Differences", "Place", "Ranking", "holm", "permutation_p", "rank", "wilcoxon_p"]
