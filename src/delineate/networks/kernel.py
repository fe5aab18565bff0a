"""Kernel: the weights of a convolution, made to fit another one without changing what it says.

A kernel is laid out along three axes, with one voxel across the slices of a 2D network. Then 2D and 3D
differ as any two sizes do, and each axis is fitted by itself:

convolution, to a longer kernel     zeros around it: the same answer on every image, at its border too
convolution, to one voxel           the sum: the same answer wherever the image does not change along it
convolution that tiles the image, from one voxel   spread over many and divided: their mean is seen
transposed (one voxel to many), to more   the same value for each of them: each slice is written again
transposed, to one voxel            the mean

So a 2D network that becomes 3D answers on a stack of equal slices as it did on one. Spreading a kernel over
the new axis and dividing (Carreira 2017, arXiv:1705.07750, "inflation") keeps the sum too, but only inside:
near the first and last slice zeros are averaged in. The zeros here learn like any weight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from delineate.planning.plan import STORED
from delineate.space.orientation import turn

AXES = "ijk"


@dataclass(frozen=True)
class Frame:
    """How the axes of a network lie in the scan.

    orientation  of the scans that it reads ("RAS"), or STORED
    slice_axis   of a 2D network, the axis of the scan that it does not have
    """

    orientation: str
    slice_axis: int | None

    @property
    def dims(self) -> int:
        """2 or 3."""
        return 3 if self.slice_axis is None else 2

    def solid(self, sizes: tuple[int, ...]) -> tuple[int, ...]:
        """Sizes along the network's axes as sizes along three: one across the slices."""
        if self.slice_axis is None:
            return sizes
        return (*sizes[: self.slice_axis], 1, *sizes[self.slice_axis :])

    def turned_from(self, source: Frame) -> tuple[tuple[int, ...], tuple[bool, ...]]:
        """For each of three axes here: the axis there, and whether it runs backwards."""
        if STORED in (self.orientation, source.orientation):
            return (0, 1, 2), (False, False, False)
        return turn(source.orientation, self.orientation)

    def same_plane(self, source: Frame) -> bool:
        """Whether two 2D networks look at slices across the same axis of the patient."""
        order, _ = self.turned_from(source)
        return self.slice_axis is None or order[self.slice_axis] == source.slice_axis


@dataclass(frozen=True)
class Layer:
    """A convolution.

    transposed  whether it is
    tiles       whether its kernel is as long as its stride
    grows       whether a larger kernel begins as a smaller one that is drawn out (`upkern`)
    """

    transposed: bool = False
    tiles: bool = False
    grows: bool = False


@dataclass(frozen=True)
class Fitted:
    """A kernel that fits, and what was done to it, if anything."""

    weight: Tensor
    how: str = ""


def fitted(
    weight: Tensor, source: Frame, target: Frame, sizes: tuple[int, ...], layer: Layer
) -> Fitted | None:
    """The weights (out, in, *kernel) for a kernel of other `sizes`; None where no way keeps their meaning."""
    if layer.transposed and not layer.tiles:
        return Fitted(weight) if tuple(weight.shape[2:]) == sizes else None
    flat = source.dims == target.dims == 2 and not target.same_plane(source)
    order, flips = ((0, 1, 2), (False,) * 3) if flat else target.turned_from(source)
    frame = Frame(STORED, target.slice_axis) if flat else source
    solid = weight.reshape(*weight.shape[:2], *frame.solid(tuple(weight.shape[2:])))
    solid = solid.permute(0, 1, *(2 + axis for axis in order))
    solid = solid.flip([2 + axis for axis, flip in enumerate(flips) if flip])
    words = ["turned"] if (order, any(flips)) != ((0, 1, 2), False) and max(weight.shape[2:]) > 1 else []
    for axis, size in enumerate(target.solid(sizes)):
        along = _along(solid, 2 + axis, size, layer)
        if along is None:
            return None
        solid, word = along
        words += [f"{word} along {AXES[axis]}"] if word else []
    return Fitted(solid.reshape(*weight.shape[:2], *sizes), ", ".join(words))


def _along(weight: Tensor, axis: int, size: int, layer: Layer) -> tuple[Tensor, str] | None:
    before = weight.shape[axis]
    if before == size:
        return weight, ""
    if layer.transposed:
        if size == 1:
            return weight.mean(axis, keepdim=True), "averaged"
        return (weight.repeat_interleave(size, axis), "repeated") if before == 1 else None
    if size == 1:
        return weight.sum(axis, keepdim=True), "summed"
    if layer.tiles and before == 1:
        return weight.repeat_interleave(size, axis) / size, "spread"
    if before > size or (size - before) % 2:
        return None
    rim = (size - before) // 2
    pads = [0] * (2 * (weight.ndim - axis))
    pads[-2:] = [rim, rim]
    return functional.pad(weight, pads), "centred"


def mixed(weight: Tensor, axis: int, rows: list[list[tuple[int, float]]], own: Tensor) -> Tensor:
    """Weights whose entries along `axis` are sums of those of others; an empty sum keeps its `own`.

    rows  for each entry: (entry of `weight`, factor)
    """
    parts = []
    for number, terms in enumerate(rows):
        if terms:
            parts.append(torch.stack([weight.select(axis, n) * by for n, by in terms]).sum(0))
        else:
            parts.append(own.select(axis, number))
    return torch.stack(parts, axis)
