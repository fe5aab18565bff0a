"""Crop: the part of a scan where anything was measured.

Brain-extracted MR and padded exports are zero outside the patient. Zero in every channel means "nothing
here": planning, preparation and inference all cut such borders away by the same rule.
Source: Isensee 2021, doi:10.1038/s41592-020-01008-z, Methods ("cropped to the region of nonzero values").
"""

from __future__ import annotations

import fill_voids
import numpy as np
import numpy.typing as npt

from delineate.space.box import Box
from delineate.space.volume import Volume

Mask = npt.NDArray[np.bool_]  # (i, j, k)


def nonzero_box(volume: Volume) -> Box:
    """The tightest box that holds every voxel that is not zero in some channel.

    A scan that is zero everywhere keeps its whole grid. Filling holes would not change the box.
    """
    return Box.around(_touched(volume)) or Box((0, 0, 0), volume.geometry.shape)


def nonzero_mask(volume: Volume) -> Mask:
    """Which voxels (i, j, k) are not zero in some channel, or are enclosed by such voxels.

    Equal to `scipy.ndimage.binary_fill_holes` of "not zero in some channel", and ten times as fast.
    """
    mask = _touched(volume)
    box = Box.around(mask)
    if box is not None and not mask[box.slices].all():
        # The rim joins everything outside: without it fill_voids 2.1.2 fills some voxels on edges.
        filled = fill_voids.fill(np.pad(mask[box.slices], 1), in_place=True)
        mask[box.slices] = filled[1:-1, 1:-1, 1:-1]
    return mask


def _touched(volume: Volume) -> Mask:
    """Which voxels (i, j, k) are not zero in some channel."""
    mask: Mask = volume.array[0] != 0
    for channel in volume.array[1:]:
        mask |= channel != 0
    return mask
