"""Hardness: cases that the network does badly on are drawn more often.

Of each sample a share is drawn by how hard its case was when last seen; the rest from all cases alike, so
that none is forgotten, and one with wrong labels, which stays hard, does not take over. Source of the
idea: online hard example mining, Shrivastava 2016, doi:10.1109/CVPR.2016.89.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def chances(ids: Sequence[str], hardness: Mapping[str, float], share: float) -> tuple[float, ...]:
    """How likely each case is drawn; they sum to 1.

    hardness  at least 0, by case; one that is not there counts as the hardest that is
    share     of the samples drawn by hardness
    """
    most = max(hardness.values(), default=1.0)
    hard = [hardness.get(case_id, most) for case_id in ids]
    whole = sum(hard)
    if whole <= 0:
        return (1 / len(ids),) * len(ids)
    return tuple((1 - share) / len(ids) + share * one / whole for one in hard)
