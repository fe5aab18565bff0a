"""Suppression: of boxes that cover each other, the one of the highest score stays.

Greedy suppression in the order of scores is one box after the other. The same answer comes from deciding all
boxes at once, again and again: a box stays unless one that stands before it, and stays, covers it. After n
rounds the first n decisions are final, and in practice a handful of rounds is enough.
"""

from __future__ import annotations

import torch
from torch import Tensor

from delineate.networks.mask_rcnn.boxes import overlap


def kept(boxes: Tensor, scores: Tensor, limit: float, kinds: Tensor | None = None) -> Tensor:
    """Numbers of the boxes (n, 4) that stay, the highest score first; of equal scores the first box.

    limit  the IoU with a better box from above which a box goes
    kinds  (n,) only boxes of one kind compete; None: all do
    """
    order = torch.sort(scores, descending=True, stable=True).indices
    covers = overlap(boxes[order], boxes[order]) > limit
    if kinds is not None:
        covers &= kinds[order][:, None] == kinds[order][None]
    covers = covers.triu(diagonal=1)  # (better, worse)
    stays = torch.ones_like(order, dtype=torch.bool)
    while True:
        now = ~(covers & stays[:, None]).any(0)
        if torch.equal(now, stays):
            return order[stays]
        stays = now
