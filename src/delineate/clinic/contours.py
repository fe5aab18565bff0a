"""Contours: from a mask to polygons along the edges of its pixels, and from polygons to a mask.

Polygons run along pixel edges, not through pixel centres: a disc drawn through centres loses half a pixel all
around, and a single pixel vanishes. Edge polygons give the same mask back, exactly.

Places are (column, row) in pixels of one slice; whole numbers are pixel centres, as everywhere here.
A polygon's inside is what an odd number of borders separates from the outside (even-odd, XOR), so holes are
polygons inside polygons, in any direction, or are joined to their outline by a channel without width
(keyhole).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Mask2D = npt.NDArray[np.bool_]  # (column, row)
Polygon = npt.NDArray[np.float64]  # (point, 2): column, row
Path = list[tuple[int, int]]  # corners on the lattice of pixel corners

STEPS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # the four directions of an edge, each a turn from the last
ON_CENTRE = 1e-3  # pixels: nearer than this to a pixel centre is on it; numbers in files are rounded


@dataclass(frozen=True)
class Outline:
    """One border of a mask: a closed path of corners, which pixels it is of, and whether it is a hole's."""

    path: Path
    pixel: tuple[int, int]
    is_hole: bool


def outlines(mask: Mask2D) -> tuple[Outline, ...]:
    """The borders of a mask, those of pixels that touch at a corner only kept apart."""
    starts, directions, pixels = _edges(mask)
    following = _following(starts, directions, mask.shape)
    done = bytearray(len(directions))
    found = []
    for first in range(len(directions)):
        if done[first]:
            continue
        order, edge = [], first
        while not done[edge]:
            done[edge] = 1
            order.append(edge)
            edge = following[edge]
        path = _corners(starts[order], directions[order])
        found.append(Outline(path, (int(pixels[first, 0]), int(pixels[first, 1])), _area(path) < 0))
    return tuple(found)


def polygons(mask: Mask2D, *, keyhole: bool) -> tuple[Polygon, ...]:
    """A mask as polygons along pixel edges; holes joined to their outlines, or polygons of their own."""
    found = outlines(mask)
    if not keyhole or not any(outline.is_hole for outline in found):
        return tuple(_places(outline.path) for outline in found)
    parts = ndimage.label(mask)[0]
    paths = {parts[outline.pixel]: outline.path for outline in found if not outline.is_hole}
    holes = [outline for outline in found if outline.is_hole]
    for hole in sorted(holes, key=lambda outline: min(outline.path)):
        paths[parts[hole.pixel]] = _joined(paths[parts[hole.pixel]], hole.path)
    return tuple(_places(path) for path in paths.values())


def fill(shape: tuple[int, int], drawn: Sequence[Polygon]) -> Mask2D:
    """The pixels (column, row) whose centres lie within an odd number of the polygons.

    A centre on a border belongs to the polygon on one side of it: borders at low column and row are in,
    those at high ones are out, so that the area is right on average.
    """
    columns, rows = shape
    crossings = np.zeros((rows, columns + 1), np.int32)
    for polygon in drawn:
        ends = _snapped(polygon)
        at, where = _crossed(ends, np.roll(ends, -1, axis=0), rows)
        np.add.at(crossings, (at, np.clip(np.ceil(where), 0, columns).astype(int)), 1)
    return np.asarray((np.cumsum(crossings, axis=1)[:, :columns] & 1).astype(bool).T)


def _snapped(polygon: Polygon) -> Polygon:
    whole = np.round(polygon)
    return np.where(np.abs(polygon - whole) < ON_CENTRE, whole, polygon)


def _crossed(
    start: Polygon, end: Polygon, rows: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Where the edges cross the lines of pixel centres: the rows, and the places along them."""
    upward = end[:, 1] > start[:, 1]
    low, high = np.where(upward[:, None], start, end), np.where(upward[:, None], end, start)
    first = np.clip(np.ceil(low[:, 1]), 0, rows).astype(int)
    count = np.clip(np.ceil(high[:, 1]), 0, rows).astype(int) - first
    edge = np.repeat(np.arange(len(count)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    run = high[edge, 0] - low[edge, 0]
    share = (row - low[edge, 1]) / (high[edge, 1] - low[edge, 1])
    return row, low[edge, 0] + share * run


# Tracing


def _edges(mask: Mask2D) -> tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]:
    """The edges between inside and outside: start corner, direction, and the pixel inside.

    Around a pixel they run (0, 0), (1, 0), (1, 1), (0, 1): its own side is always on the same hand.
    """
    padded = np.pad(mask, 1)
    inside = padded[1:-1, 1:-1]
    outside = (padded[1:-1, :-2], padded[2:, 1:-1], padded[1:-1, 2:], padded[:-2, 1:-1])
    corner = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    pixels = [np.argwhere(inside & ~beyond) for beyond in outside]
    starts = np.concatenate([found + corner[side] for side, found in enumerate(pixels)])
    directions = np.repeat(np.arange(4), [len(found) for found in pixels])
    return starts, directions, np.concatenate(pixels)


def _following(starts: npt.NDArray[Any], directions: npt.NDArray[Any], shape: tuple[int, ...]) -> list[int]:
    """For each edge the next one of its border; at a corner of two pixels it stays with its own."""
    rows = shape[1] + 1
    table = np.full(((shape[0] + 1) * rows, 4), -1, np.int64)
    table[starts[:, 0] * rows + starts[:, 1], directions] = np.arange(len(directions))
    ends = starts + np.array(STEPS)[directions]
    there = table[ends[:, 0] * rows + ends[:, 1]]
    edge = np.arange(len(directions))
    own, straight, other = (there[edge, (directions + turn) % 4] for turn in (1, 0, 3))
    following: list[int] = np.where(own >= 0, own, np.where(straight >= 0, straight, other)).tolist()
    return following


def _corners(starts: npt.NDArray[Any], directions: npt.NDArray[Any]) -> Path:
    """The corners of a border: the starts of edges that turn."""
    turning = directions != np.roll(directions, 1)
    return [(x, y) for x, y in starts[turning].tolist()]


def _area(path: Path) -> float:
    """Twice the area within a path, negative where it runs around a hole."""
    x, y = np.array(path).T
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _joined(path: Path, hole: Path) -> Path:
    """A path with a hole joined to it by a channel of no width along a line between two rows of pixels.

    The channel leaves the hole's first corner towards lower columns and ends at the nearest upright edge.
    Holes are joined in the order of their first corners, so that edge belongs to what is joined already.
    """
    first = hole.index(min(hole))
    x, y = hole[first]
    around = [*hole[first:], *hole[:first], hole[first]]
    ends = np.array(path)
    nexts = np.roll(ends, -1, axis=0)
    low, high = np.minimum(ends[:, 1], nexts[:, 1]), np.maximum(ends[:, 1], nexts[:, 1])
    meets = (ends[:, 0] == nexts[:, 0]) & (ends[:, 0] <= x) & (low <= y) & (y <= high)
    places = np.where(meets, ends[:, 0], -1)
    at = int(np.argmax(places))
    gate = (int(places[at]), y)
    return [*path[: at + 1], gate, *around, gate, *path[at + 1 :]]


def _places(path: Path) -> Polygon:
    """Corners of the lattice as places in pixels: a pixel reaches half a pixel to each side of its centre."""
    return np.array(path, float) - 0.5
