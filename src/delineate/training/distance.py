"""Distance: how far each voxel is from the border of a structure, for the losses that ask for it.

Exact Euclidean distances, by SciPy on the processor, whatever the network runs on. No gradient flows
through a distance, only through the probabilities that it weighs.

Sources: boundary loss, Kervadec 2019, doi:10.1016/j.media.2020.101851; Hausdorff by distance transforms,
Karimi 2019, doi:10.1109/TMI.2019.2930068.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage
from torch import Tensor

SURE = 0.5  # a probability above it is inside


def signed_distance(values: Tensor, sides: Sequence[float]) -> Tensor:
    """Distances to the other side of the border: outside positive, inside negative.

    `values` (batch, output, *edges) is inside where above one half; `sides` are those of a voxel. A
    structure that is nowhere or everywhere has no border: all 0.
    """
    masks = (values.detach() > SURE).cpu().numpy()
    field = np.zeros(masks.shape, np.float64)
    for sample in np.ndindex(masks.shape[:2]):
        field[sample] = _signed(masks[sample], sides)
    return torch.from_numpy(field).to(values)


def boundary(p: Tensor, g: Tensor, sides: Sequence[float]) -> Tensor:
    """(batch, output, *edges) probability times distance from the target: least when all of it is inside."""
    return p * signed_distance(g, sides)


def hausdorff(p: Tensor, g: Tensor, sides: Sequence[float]) -> Tensor:
    """(batch, output, *edges) squared error times squared distances from both borders."""
    return (p - g) ** 2 * (signed_distance(p, sides) ** 2 + signed_distance(g, sides) ** 2)


def _signed(mask: npt.NDArray[np.bool_], sides: Sequence[float]) -> npt.NDArray[Any]:
    if not mask.any() or mask.all():
        return np.zeros(mask.shape)
    outside = ndimage.distance_transform_edt(~mask, sampling=sides)
    return np.asarray(outside - ndimage.distance_transform_edt(mask, sampling=sides))
