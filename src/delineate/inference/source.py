"""Source: what windows are cut from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from delineate.preparation.cascade import one_hot
from delineate.space import Shape, triple


@dataclass(frozen=True, eq=False)
class Source:
    """A prepared scan, padded where it is smaller than the patch.

    image     (channel, i, j, k)
    previous  (i, j, k) label indices of the previous stage of a cascade, or None
    labels    how many channels `previous` becomes, once a window is cut
    before    voxels that padding put before the scan, along (i, j, k)
    shape     of the scan without padding
    """

    image: Tensor
    previous: Tensor | None
    labels: int
    before: Shape
    shape: Shape

    @classmethod
    def of(
        cls, image: npt.NDArray[np.float32], previous: npt.NDArray[np.int16] | None, labels: int, patch: Shape
    ) -> Source:
        """Padded with 0 on both sides, as in training: the scan lies in the middle of the patch."""
        shape = triple(image.shape[1:])
        missing = [max(0, edge - size) for edge, size in zip(patch, shape, strict=True)]
        sides = [(n // 2, n - n // 2) for n in missing]
        return cls(
            _padded(image, [(0, 0), *sides]),
            None if previous is None else _padded(previous, sides),
            labels,
            triple(low for low, _ in sides),
            shape,
        )

    @property
    def padded(self) -> Shape:
        """Voxels along (i, j, k), padding included."""
        return triple(self.image.shape[1:])

    def window(self, corner: Shape, patch: Shape) -> Tensor:
        """The network's input (channel, i, j, k) for the window whose first voxel is `corner`."""
        where = tuple(slice(a, a + n) for a, n in zip(corner, patch, strict=True))
        image = self.image[:, *where]
        if self.previous is None:
            return image
        return torch.cat((image, one_hot(self.previous[where], self.labels)))


def _padded(array: npt.NDArray[np.generic], sides: list[tuple[int, int]]) -> Tensor:
    if any(low or high for low, high in sides):
        array = np.pad(array, sides)
    return torch.from_numpy(array if array.flags.writeable else array.copy())
