"""Truth: the objects of one patch, as boxes, kinds and ids, from its maps."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

FEWEST = 4  # voxels; less of an object, cut off at the border of a patch, can be told from nothing


class Truth(NamedTuple):
    """The objects of a patch.

    boxes  (object, 4)
    kinds  (object,) the label index of each, from 1
    ids    (object,) its value in `map`
    map    (i, j) which voxel belongs to which object; 0 is background
    """

    boxes: Tensor
    kinds: Tensor
    ids: Tensor
    map: Tensor


def truth_of(labels: Tensor) -> Truth:
    """The objects of a patch (2, i, j): label indices, and ids."""
    kinds, ids = labels[0], labels[1]
    places = ids.nonzero()
    found, which, voxels = torch.unique(
        ids[places[:, 0], places[:, 1]], return_inverse=True, return_counts=True
    )
    first = _over(places, which, len(found), "amin")
    stop = _over(places, which, len(found), "amax") + 1
    kind = _over(kinds[places[:, 0], places[:, 1]][:, None], which, len(found), "amax")[:, 0]
    large = voxels >= FEWEST
    boxes = torch.cat([first, stop], dim=1).float()
    return Truth(boxes[large], kind[large].long(), found[large], ids)


def _over(values: Tensor, which: Tensor, count: int, how: str) -> Tensor:
    """(object, n) the smallest or largest of the values (voxel, n) of each object."""
    result = values.new_zeros((count, values.shape[1]))
    where = which[:, None].expand_as(values)
    return result.scatter_reduce(0, where, values, how, include_self=False)
