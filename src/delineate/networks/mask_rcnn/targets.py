"""Targets: which anchors and which regions a training step compares with the objects that are there.

Few are objects, so a fixed number of both kinds is drawn, from numbers that belong to the sample alone.
Source: Ren 2015, arXiv:1506.01497, sections 3.1.2 and 3.1.3; Girshick 2015, arXiv:1504.08083, section 2.3.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from delineate.networks.mask_rcnn.boxes import overlap
from delineate.networks.mask_rcnn.roi_align import reading_grid
from delineate.networks.mask_rcnn.truth import Truth

ANCHOR_IS, ANCHOR_IS_NOT = 0.7, 0.3  # IoU from which an anchor is an object, and below which it is none
REGION_IS = 0.5  # IoU from which a region is an object
ANCHORS_THAT_ARE, REGIONS_THAT_ARE = 0.5, 0.25  # share of objects among those compared, at most


class Match(NamedTuple):
    """What boxes are: `which` (n,) object is nearest to each, and whether it is that one, or surely none."""

    which: Tensor
    is_object: Tensor
    is_none: Tensor


class Drawn(NamedTuple):
    """Those that are compared: their numbers, objects first, and how many of them are objects."""

    numbers: Tensor
    objects: int


def matched_anchors(anchors: Tensor, truth: Truth) -> Match:
    """What anchors (n, 4) are; of every object at least the best anchor is it."""
    n, m = len(anchors), len(truth.boxes)
    if not m:
        nobody = torch.zeros(n, dtype=torch.bool, device=anchors.device)
        return Match(nobody.long(), nobody, ~nobody)
    best, which, top = _nearest(anchors, truth.boxes)
    is_object = best >= ANCHOR_IS
    is_none = best < ANCHOR_IS_NOT
    mine = top[1][top[0] > 0]
    is_object[mine], is_none[mine] = True, False
    which[mine] = torch.arange(m, device=anchors.device)[top[0] > 0]
    return Match(which, is_object, is_none)


def matched_regions(regions: Tensor, truth: Truth) -> Match:
    """What regions (n, 4) are."""
    if not len(truth.boxes) or not len(regions):
        nobody = torch.zeros(len(regions), dtype=torch.bool, device=regions.device)
        return Match(nobody.long(), nobody, ~nobody)
    best, which = overlap(regions, truth.boxes).max(1)
    return Match(which, best >= REGION_IS, best < REGION_IS)


def drawn(match: Match, count: int, share: float, noise: Tensor) -> Drawn:
    """`count` of those that are sure at most, no more than a `share` of them objects.

    noise  (n,) the smallest are taken
    """
    objects = _smallest(noise, match.is_object, round(count * share))
    others = _smallest(noise, match.is_none, count - len(objects))
    return Drawn(torch.cat([objects, others]), len(objects))


def noise(count: int, seed: int, device: torch.device) -> Tensor:
    """(count,) numbers in [0, 1) that the seed alone decides, whatever the device."""
    return torch.rand(count, generator=torch.Generator().manual_seed(seed)).to(device)


def outlines(truth: Truth, which: Tensor, regions: Tensor, cells: int) -> Tensor:
    """(n, cells, cells) where in regions (n, 4) their objects (n,) are: 1 in voxels of it, 0 elsewhere."""
    edges = tuple(truth.map.shape)
    places = (reading_grid(regions, edges, cells) + 1) / 2  # shares of the image, j first
    i = (places[..., 1] * edges[0]).long().clamp(0, edges[0] - 1)
    j = (places[..., 0] * edges[1]).long().clamp(0, edges[1] - 1)
    return (truth.map[i, j] == truth.ids[which][:, None, None]).float()


def _nearest(anchors: Tensor, boxes: Tensor) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """IoU and number of the box nearest to each anchor; IoU and number of the anchor nearest to each box."""
    table = overlap(boxes, anchors)
    best, which = table.max(0)
    top, mine = table.max(1)
    return best, which, (top, mine)


def _smallest(noise: Tensor, among: Tensor, count: int) -> Tensor:
    """Numbers of the `count` smallest, in their order."""
    numbers = among.nonzero()[:, 0]
    return numbers[noise[numbers].topk(min(count, len(numbers)), largest=False).indices]
