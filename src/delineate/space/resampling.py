"""Resampling: the same tissue, seen on another grid.

Two grids whose axes are parallel (a crop, a turn, a change of spacing, and all of these undone) are
resampled axis by axis: reading a spline at given places along a line is linear in the samples, so each
axis is one small matrix and resampling is three matrix products. Positions that fall on voxels are
copied bit for bit. Only oblique grids need interpolation in three dimensions at once.

Source: Unser 1999, Splines: a perfect fit for signal and image processing, doi:10.1109/79.799930.
Edge rule and range follow skimage.transform.resize(mode="edge", clip=True), which nnU-Net uses.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.space.geometry import Geometry
from delineate.space.triple import Shape, triple

Array = npt.NDArray[Any]
Orders = int | tuple[int, int, int]  # spline order for all axes, or one per axis of the source

ON_VOXEL = 1e-3  # voxels: a position nearer to a voxel centre than this is that voxel
PARALLEL = 0.02  # voxels: drift across the whole grid below which two axes count as parallel


def resample(
    array: Array, source: Geometry, target: Geometry, *, order: Orders, outside: float | None
) -> Array:
    """The values of `array` on `source`, read at the voxel centres of `target`.

    array    (i, j, k) or (channel, i, j, k); integers stay integers when only copied, else float32
    order    spline order, 0 nearest, 1 linear, 3 cubic; a triple is one order per source axis
    outside  value of the centres that lie beyond the outer faces of `source`; None repeats what is there

    Cubic splines never leave the range of the values that they are made from.
    """
    if array.ndim not in (3, 4) or array.shape[-3:] != source.shape:
        raise GeometryError(
            f"an array on {source} has shape (i, j, k) or (channel, i, j, k) = "
            f"(..., {', '.join(map(str, source.shape))}), got {array.shape}"
        )
    reads = parallel_reads(source, target)
    orders = (order, order, order) if isinstance(order, int) else order
    if reads is None:
        return _resampled_obliquely(array, source, target, max(orders), outside)
    turned = _turned(array, [read.axis for read in reads])
    return _resampled_by_axis(turned, reads, triple(orders[read.axis] for read in reads), outside)


def resample_labels(
    labels: Array, source: Geometry, target: Geometry, *, order: Orders = 1, outside: int = 0
) -> Array:
    """Label values (i, j, k) on `target`: at each centre, the label with most weight there.

    Each label's indicator is interpolated on its own, so no value is ever invented between two
    labels. With equal weights the nearest voxel's label wins.
    """
    result = resample(labels, source, target, order=0, outside=outside).astype(labels.dtype)
    reads = parallel_reads(source, target)
    orders = (order, order, order) if isinstance(order, int) else order
    if not any(orders) or (reads is not None and all(read.on_voxels for read in reads)):
        return result
    best = np.zeros(target.shape, np.float32)
    at_nearest, winner = best.copy(), result.copy()
    if reads is not None and max(orders) == 1:
        weights = _weights_by_axis(labels, reads, orders)
    else:
        weights = _weights_everywhere(labels, source, target, orders)
    for value, where, weight in weights:
        better, own = weight > best[where], result[where] == value
        best[where][better] = weight[better]
        winner[where][better] = value
        at_nearest[where][own] = weight[own]
    change = (best > at_nearest + 1e-6) & inside(source, target)
    result[change] = winner[change]
    return result


Weight = tuple[int, tuple[slice, ...], Array]  # a label, where it has weight, and how much


def _weights_everywhere(
    labels: Array, source: Geometry, target: Geometry, orders: Orders
) -> Iterator[Weight]:
    for value in np.unique(labels).tolist():
        indicator = (labels == value).astype(np.float32)
        yield value, (slice(None),), resample(indicator, source, target, order=orders, outside=0)


def _weights_by_axis(labels: Array, reads: tuple[AxisRead, ...], orders: Shape) -> Iterator[Weight]:
    """Each label only about its own bounding box; background has what the others leave."""
    labels = _turned(labels.view(np.uint8) if labels.dtype == bool else labels, [read.axis for read in reads])
    lowest = int(labels.min())
    first = lowest - 1 if lowest < 0 else 0  # the value that find_objects takes for nothing
    from scipy import ndimage  # heavy: only who needs it waits

    boxes = ndimage.find_objects(labels if first == 0 else labels.astype(np.int32) - first)
    lines = [read.weights(0 if read.on_voxels else orders[read.axis]) for read in reads]
    rest = np.ones(tuple(len(line) for line in lines), np.float32)
    for value, box in enumerate(boxes, first + 1):
        if box is None:
            continue
        weight = (labels[box] == value).astype(np.float32)
        where = []
        for axis, (line, part) in enumerate(zip(lines, box, strict=True)):
            touched = np.flatnonzero(line[:, part].any(axis=1))
            where.append(slice(touched[0], touched[-1] + 1) if len(touched) else slice(0))
            weight = _read_lines(weight, line[where[-1], part], axis)
        rest[tuple(where)] -= weight
        yield value, tuple(where), weight
    if first == 0:
        yield 0, (slice(None),), rest


@dataclass(frozen=True)
class AxisRead:
    """How one axis of the target reads the source: axis number and positions in source voxels."""

    axis: int
    positions: npt.NDArray[np.float64]  # (target voxels,)
    size: int  # source voxels along that axis

    @property
    def on_voxels(self) -> bool:
        """Whether every position is a voxel centre."""
        return bool(np.abs(self.positions - np.round(self.positions)).max() < ON_VOXEL)

    @property
    def inside(self) -> npt.NDArray[np.bool_]:
        """Which positions lie within the outer faces of the source."""
        return (self.positions >= -0.5 - 1e-6) & (self.positions <= self.size - 0.5 + 1e-6)

    @property
    def nearest(self) -> npt.NDArray[np.int64]:
        """The source voxel next to each position; of two, the higher."""
        return np.clip(np.floor(self.positions + 0.5).astype(np.int64), 0, self.size - 1)

    def weights(self, order: int) -> npt.NDArray[np.float32]:
        """(target voxels, source voxels): the matrix that reads a line of samples."""
        n = self.size
        places = np.clip(self.positions, -0.5, n - 0.5)
        if order == 0 or n == 1:
            return np.asarray(np.eye(n, dtype=np.float32)[self.nearest])
        grid = np.meshgrid(places, np.arange(n), indexing="ij")
        from scipy import ndimage  # heavy: only who needs it waits

        lines = ndimage.map_coordinates(np.eye(n), grid, order=order, mode="nearest")
        return np.asarray(lines, dtype=np.float32)


def parallel_reads(source: Geometry, target: Geometry) -> tuple[AxisRead, ...] | None:
    """Per target axis what it reads of the source, or None where the grids are oblique."""
    step = np.linalg.inv(source.affine) @ target.affine  # target index -> source index
    linear = step[:3, :3]
    axes = np.abs(linear).argmax(axis=0)
    if sorted(axes.tolist()) != [0, 1, 2]:
        return None
    drift = np.abs(linear) * (np.array(target.shape) - 1)
    drift[axes, range(3)] = 0
    if drift.sum(axis=1).max() > PARALLEL:
        return None
    return tuple(
        AxisRead(
            int(axis),
            linear[axis, t] * np.arange(target.shape[t]) + step[axis, 3],
            source.shape[int(axis)],
        )
        for t, axis in enumerate(axes)
    )


def inside(source: Geometry, target: Geometry) -> npt.NDArray[np.bool_]:
    """Which target centres (i, j, k) fall within the outer faces of the source grid."""
    reads = parallel_reads(source, target)
    if reads is not None:
        along_i, along_j, along_k = (read.inside for read in reads)
        return along_i[:, None, None] & along_j[:, None] & along_k
    step = np.linalg.inv(source.affine) @ target.affine
    i, j, k = np.ogrid[: target.shape[0], : target.shape[1], : target.shape[2]]
    result = np.ones(target.shape, dtype=bool)
    for (a, b, c, shift), n in zip(step[:3], source.shape, strict=True):
        index = a * i + b * j + c * k + shift
        result &= (index >= -0.5 - 1e-6) & (index <= n - 0.5 + 1e-6)
    return result


def _turned(array: Array, axes: Sequence[int]) -> Array:
    """The array with its last three axes in the order that the target reads them."""
    lead = array.ndim - 3
    return array.transpose(*range(lead), *(lead + axis for axis in axes))


def _resampled_by_axis(
    array: Array, reads: tuple[AxisRead, ...], orders: Shape, outside: float | None
) -> Array:
    """Axis by axis, the smooth ones first: their range bounds what they may give."""
    copied = [a for a in range(3) if reads[a].on_voxels or orders[a] == 0]
    repeated = [a for a in copied if len(reads[a].positions) > reads[a].size]
    smooth = [a for a in range(3) if a not in copied and orders[a] > 1]
    others = [a for a in range(3) if a not in copied and orders[a] == 1]
    for axis in copied:  # a crop first, what repeats last: less to interpolate
        if axis not in repeated:
            array = _taken(array, reads[axis].nearest, axis - 3)
    if smooth or others:
        array = array.astype(np.float32, copy=False)
    if smooth:
        span = tuple(axis - 3 for axis in smooth)
        low, high = array.min(axis=span, keepdims=True), array.max(axis=span, keepdims=True)
        for axis in smooth:
            array = _read_lines(array, reads[axis].weights(orders[axis]), axis)
        np.clip(array, low, high, out=array)
    for axis in others:
        array = _read_lines(array, reads[axis].weights(orders[axis]), axis)
    for axis in repeated:
        array = _taken(array, reads[axis].nearest, axis - 3)
    if not smooth and not others:  # perhaps still a view of what came in
        array = np.array(array, order="C")
    for axis, read in enumerate(reads):
        if outside is not None and not read.inside.all():
            beyond = np.flatnonzero(~read.inside)
            np.moveaxis(array, axis - 3, 0)[beyond] = outside
    return np.ascontiguousarray(array)


def _taken(array: Array, index: Array, axis: int) -> Array:
    """`np.take`, as a view where the index runs evenly."""
    steps = np.diff(index)
    if len(index) > 1 and (steps == steps[0]).all() and steps[0] != 0:
        stop = int(index[-1] + np.sign(steps[0]))
        where = [slice(None)] * array.ndim
        where[axis] = slice(int(index[0]), stop if stop >= 0 else None, int(steps[0]))
        return array[tuple(where)]
    return array.take(index, axis=axis)


def _read_lines(array: Array, weights: Array, axis: int) -> Array:
    """One matrix product along one of the last three axes; large ones, as many small ones are slow."""
    lead, (i, j, k), n = array.shape[:-3], array.shape[-3:], len(weights)
    if axis == 1:
        lines = np.ascontiguousarray(np.moveaxis(array, -2, 0))
        flat = np.matmul(weights, lines.reshape(j, -1))
        return np.moveaxis(flat.reshape(n, *lead, i, k), 0, -2)
    array = np.ascontiguousarray(array)
    if axis == 0:
        return np.asarray(np.matmul(weights, array.reshape(*lead, i, j * k)).reshape(*lead, n, j, k))
    return np.asarray(np.matmul(array.reshape(-1, k), weights.T).reshape(*lead, i, j, n))


def _resampled_obliquely(
    array: Array, source: Geometry, target: Geometry, order: int, outside: float | None
) -> Array:
    from scipy import ndimage  # heavy: only who needs it waits

    step = np.linalg.inv(source.affine) @ target.affine
    beyond = ~inside(source, target)
    channels = array.reshape(-1, *source.shape)
    result = np.empty((len(channels), *target.shape), np.float32)
    for channel, values in zip(result, channels, strict=True):
        ndimage.affine_transform(
            values.astype(np.float32),
            step[:3, :3],
            step[:3, 3],
            output_shape=target.shape,
            output=channel,
            order=order,
            mode="nearest",
        )
        np.clip(channel, values.min(), values.max(), out=channel)
        if outside is not None:
            channel[beyond] = outside
    return result.reshape(*array.shape[:-3], *target.shape)
