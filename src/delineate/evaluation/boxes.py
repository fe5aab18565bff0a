"""Boxes: where each value of a label map is, found in one look at the map.

Rows of voxels are read as runs of one value: there are as many runs as rows and boundaries, a hundredth of
the voxels. The map is read in the order in which it lies in memory, a slab at a time, so that neither its
orientation nor its size makes a difference to speed per voxel or to memory.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from delineate.space import Box, triple
from delineate.space.labels import Values

Table = npt.NDArray[np.int64]  # (run or value, column)

SLAB = 2**20  # voxels: their runs fit in the cache, and there are few slabs even in a large scan
VALUE, START, STOP = 0, slice(1, 4), slice(4, 7)  # columns


def value_boxes(array: Values) -> dict[int, Box]:
    """Label value -> the tightest box that holds it, for every value above 0 in (i, j, k)."""
    order = sorted(range(3), key=lambda axis: -abs(array.strides[axis]))
    stored = array.transpose(order)
    around = Box.around(stored)
    if around is None:
        return {}
    tables = [_joined(_runs(slab, first)) for first, slab in _slabs(stored[around.slices])]
    back = np.argsort(order)
    found = {}
    for row in _joined(np.concatenate(tables)):
        start, stop = row[START] + around.start, row[STOP] + around.start
        found[int(row[VALUE])] = Box(triple(map(int, start[back])), triple(map(int, stop[back])))
    return found


def _slabs(array: Values) -> Iterator[tuple[int, Values]]:
    thick = max(1, SLAB // max(1, array[0].size))
    for first in range(0, len(array), thick):
        yield first, np.ascontiguousarray(array[first : first + thick])


def _runs(slab: Values, first: int) -> Table:
    """Value, start and stop of every run along the last axis of what is above 0."""
    begins = np.empty(slab.shape, bool)
    begins[..., 0] = True
    np.not_equal(slab[..., 1:], slab[..., :-1], out=begins[..., 1:])
    places = np.flatnonzero(begins)
    values = slab.reshape(-1)[places]
    there = np.flatnonzero(values > 0)
    lengths = np.diff(places, append=slab.size)[there]
    rows, k = np.divmod(places[there], slab.shape[2])
    i, j = np.divmod(rows, slab.shape[1])
    i += first
    return np.stack([values[there], i, j, k, i + 1, j + 1, k + lengths], axis=1)


def _joined(table: Table) -> Table:
    """One row per value: the first start and the last stop along each axis."""
    if not len(table):
        return table
    table = table[np.argsort(table[:, VALUE], kind="stable")]
    heads = np.flatnonzero(np.diff(table[:, VALUE], prepend=-1))
    starts = np.minimum.reduceat(table[:, START], heads, axis=0)
    stops = np.maximum.reduceat(table[:, STOP], heads, axis=0)
    return np.concatenate([table[heads, :1], starts, stops], axis=1)
