"""RoIAlign: the features inside boxes, each read on a grid of one size.

Every cell of the grid is the mean of a few places in it, read bilinearly at exactly where they are: nothing
is rounded to a place of the feature map. Source: He 2017, doi:10.1109/ICCV.2017.322, section 3.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from delineate.networks.mask_rcnn.boxes import edges_of

SAMPLES = 2  # places along each edge of a cell; He 2017: four in all
FINE = 14.0  # an object is read where it covers about so many places; Lin 2017, arXiv:1612.03144: 224 / 16


def roi_align(features: Tensor, boxes: Tensor, images: Tensor, stride: tuple[int, ...], cells: int) -> Tensor:
    """(n, channel, cells, cells) the features (image, channel, i, j) inside boxes (n, 4) of images (n,).

    boxes   in voxels of the image, of which the feature map has one place every `stride`
    Beyond the border the outermost features go on.
    """
    edges = tuple(n * step for n, step in zip(features.shape[2:], stride, strict=True))
    result = features.new_zeros((len(boxes), features.shape[1], cells, cells))
    for number in range(len(features)):
        mine = (images == number).nonzero()[:, 0]
        if len(mine):
            grid = reading_grid(boxes[mine], edges, cells * SAMPLES)
            result = result.index_copy(0, mine, _read(features[number], grid, cells))
    return result


def reading_grid(boxes: Tensor, edges: tuple[int, ...], steps: int) -> Tensor:
    """(n, steps, steps, 2) where boxes (n, 4) are read, in the coordinates of `grid_sample`.

    -1 and 1 are the outer faces of an image with these `edges`; the last axis comes first.
    """
    share = (torch.arange(steps, device=boxes.device, dtype=boxes.dtype) + 0.5) / steps
    lines = boxes[:, :2, None] + share * edges_of(boxes)[..., None]  # (n, axis, step)
    lines = lines * 2 / boxes.new_tensor(edges)[:, None] - 1
    i, j = lines[:, 0, :, None], lines[:, 1, None, :]
    whole = (len(boxes), steps, steps)
    return torch.stack([j.expand(whole), i.expand(whole)], dim=-1)


def level_of(boxes: Tensor, finest: float, levels: int) -> Tensor:
    """(n,) the level of a pyramid at which boxes (n, 4) are read, 0 with places every `finest` voxels."""
    size = edges_of(boxes).clamp(min=1e-3).prod(-1).sqrt()
    return (size / (FINE * finest)).log2().floor().long().clamp(0, levels - 1)


def pyramid_align(
    pyramid: list[Tensor], boxes: Tensor, images: Tensor, strides: list[tuple[int, ...]], cells: int
) -> Tensor:
    """(n, channel, cells, cells) the features inside boxes, each from the level that suits its size."""
    level = level_of(boxes, min(strides[0]), len(pyramid))
    result = pyramid[0].new_zeros((len(boxes), pyramid[0].shape[1], cells, cells), dtype=torch.float32)
    for number, (features, stride) in enumerate(zip(pyramid, strides, strict=True)):
        mine = (level == number).nonzero()[:, 0]
        if len(mine):
            found = roi_align(features.float(), boxes[mine], images[mine], stride, cells)
            result = result.index_copy(0, mine, found)
    return result


def _read(features: Tensor, grid: Tensor, cells: int) -> Tensor:
    """(n, channel, cells, cells) one image's features (channel, i, j) on grids (n, steps, steps, 2)."""
    n, steps = grid.shape[:2]
    flat = grid.reshape(1, n * steps, steps, 2)
    read = functional.grid_sample(features[None], flat, padding_mode="border", align_corners=False)
    return functional.avg_pool2d(read[0].reshape(-1, n, steps, steps), SAMPLES).transpose(0, 1)
