"""Proposals: the boxes that are looked at closer, and the objects that are found among them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from delineate.networks.mask_rcnn.boxes import area, changed, clipped, edges_of
from delineate.networks.mask_rcnn.nms import kept

SAME_PROPOSAL = 0.7  # IoU above which two proposals are one; Ren 2015, section 3.3
SAME_OBJECT = 0.5  # IoU of boxes above which two objects are one; He 2017, section 3.1
FAINTEST = 0.05  # score below which nothing is an object; He 2017
SMALLEST = 1.0  # voxels: boxes with a shorter edge hold nothing
BOX_WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # by which the second changes are divided; Girshick 2015


class Found(NamedTuple):
    """The objects of a window, the surest first.

    boxes   (object, 4)
    scores  (object,)
    kinds   (object,) label indices, from 1
    masks   (object, 2 cells, 2 cells) probabilities on a grid over the box
    """

    boxes: Tensor
    scores: Tensor
    kinds: Tensor
    masks: Tensor


def proposed(
    logits: Tensor, changes: Tensor, anchors: Tensor, levels: list[int], edges: tuple[int, ...], count: int
) -> Tensor:
    """(n, 4) the `count` likeliest boxes at most of one image, from what is said of its anchors.

    levels  how many anchors each level has; boxes of different levels do not compete
    """
    boxes, scores, level = [], [], []
    for number, (part, start) in enumerate(zip(levels, _starts(levels), strict=True)):
        here = slice(start, start + part)
        best = logits[here].topk(min(count, part))
        boxes.append(changed(anchors[here][best.indices], changes[here][best.indices]))
        scores.append(best.values)
        level.append(torch.full_like(best.indices, number))
    every, score, where = clipped(torch.cat(boxes), edges), torch.cat(scores), torch.cat(level)
    large = (edges_of(every) >= SMALLEST).all(-1)
    every, score, where = every[large], score[large], where[large]
    return every[kept(every, score, SAME_PROPOSAL, where)[:count]]


def refined(proposals: Tensor, changes: Tensor, edges: tuple[int, ...]) -> Tensor:
    """(n, 4) the boxes that proposals become by the second changes."""
    return clipped(changed(proposals, changes / changes.new_tensor(BOX_WEIGHTS)), edges)


def told_apart(boxes: Tensor, logits: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Boxes, scores and kinds of the objects, the surest first, from all boxes (n, 4) and logits (n, output).

    One box may be said to be of several kinds; of boxes of one kind that cover each other one stays.
    """
    scores = logits.softmax(1)[:, 1:]
    number, kind = (scores > FAINTEST).nonzero(as_tuple=True)
    large = area(boxes[number]) > 0
    number, kind = number[large], kind[large]
    score = scores[number, kind]
    stays = kept(boxes[number], score, SAME_OBJECT, kind)[:count]
    return boxes[number[stays]], score[stays], kind[stays] + 1


def _starts(levels: list[int]) -> list[int]:
    return [sum(levels[:n]) for n in range(len(levels))]
