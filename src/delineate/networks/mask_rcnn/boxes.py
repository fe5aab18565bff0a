"""Boxes: where objects are, and how one box is written as a change of another.

A box is (first i, first j, stop i, stop j) in voxels, as `space.Box`: the voxel n reaches from n to n + 1, so
a box of one voxel has edges of 1. Source of the change: Girshick 2014, doi:10.1109/CVPR.2014.81, Appendix C.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

LARGEST_CHANGE = math.log(1000 / 16)  # of the logarithm of an edge: keeps the first steps finite; He 2017


def edges_of(boxes: Tensor) -> Tensor:
    """(..., 2) edges of boxes (..., 4) along i and j."""
    return boxes[..., 2:] - boxes[..., :2]


def area(boxes: Tensor) -> Tensor:
    """(...) areas of boxes (..., 4)."""
    return edges_of(boxes).clamp(min=0).prod(-1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """(n, m) intersection over union of boxes (n, 4) and (m, 4); 0 where both are empty.

    Axis by axis and in place: there may be millions of pairs.
    """
    joint = _shared(a, b, 0).mul_(_shared(a, b, 1))
    whole = (area(a)[:, None] + area(b)[None]).sub_(joint)
    return joint.div_(whole.clamp_(min=1e-12))


def _shared(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """(n, m) how much boxes share of an axis."""
    stop = torch.minimum(a[:, None, axis + 2], b[None, :, axis + 2])
    return stop.sub_(torch.maximum(a[:, None, axis], b[None, :, axis])).clamp_(min=0)


def change(anchors: Tensor, boxes: Tensor) -> Tensor:
    """(..., 4) what makes anchors (..., 4) boxes: shifts in edges of the anchor, logarithms of its growth."""
    sizes, wanted = edges_of(anchors), edges_of(boxes)
    shift = (boxes[..., :2] + wanted / 2 - anchors[..., :2] - sizes / 2) / sizes
    return torch.cat([shift, (wanted / sizes).log()], dim=-1)


def changed(anchors: Tensor, changes: Tensor) -> Tensor:
    """(..., 4) the boxes that anchors become by changes (..., 4)."""
    sizes = edges_of(anchors)
    middle = anchors[..., :2] + sizes / 2 + changes[..., :2] * sizes
    half = sizes * changes[..., 2:].clamp(max=LARGEST_CHANGE).exp() / 2
    return torch.cat([middle - half, middle + half], dim=-1)


def clipped(boxes: Tensor, edges: tuple[int, ...]) -> Tensor:
    """Boxes (..., 4) cut to an image with these edges."""
    limit = boxes.new_tensor([*edges, *edges])
    return torch.minimum(boxes.clamp(min=0), limit)
