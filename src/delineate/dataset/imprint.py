"""Imprint: what is kept of a scan to recognise it again, without keeping the scan.

A digest of the decoded voxels finds copies in any file format. A thumbnail, averaged over boxes that
together cover the scan, finds copies that were resaved, resampled, mirrored, turned, or changed in
brightness; its ranks find those changed by any increasing curve (gamma, window).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations, product
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.space import Shape, Volume, triple
from delineate.space.orientation import turn

Array = npt.NDArray[np.float32]

SIZE = 16  # voxels along each edge of the thumbnail of a volume: 220 hippocampi stay apart by 0.15
FLAT_SIZE = 32  # pixels along each edge of that of a picture


@dataclass(frozen=True, eq=False)
class Imprint:
    """A scan, to be recognised.

    digest     of the voxels as float32, turned to RAS, all channels
    thumbnail  (i, j, k), the mean of the channels, each with mean 0 and norm 1; None for a constant scan
    """

    case: str
    digest: str
    thumbnail: Array | None

    @property
    def is_flat(self) -> bool:
        """Whether the scan is a picture."""
        return self.thumbnail is not None and self.thumbnail.shape[2] == 1


@dataclass(frozen=True, eq=False)
class Mark:
    """What is kept of one file of a scan: a digest and a thumbnail (channel, i, j, k) of each channel."""

    digests: tuple[str, ...]
    thumbnails: Array


def mark(volume: Volume) -> Mark:
    """The mark of one file, so that the next can be read when this one is let go; nothing large is copied."""
    order, flips = turn(volume.geometry.orientation, "RAS")
    upright = Turn(triple(order), triple(-1 if flip else 1 for flip in flips)).applied(volume.array)
    return Mark(
        tuple(digest_of(channel) for channel in upright),
        np.stack([standardised(shrunk(channel)) for channel in upright]),
    )


def digest_of(values: npt.NDArray[Any]) -> str:
    """A digest of (i, j, k) values as float32, whatever their type and their order in memory."""
    digest = hashlib.blake2b(repr(values.shape).encode(), digest_size=16)
    for k in range(values.shape[2]):
        plane = np.ascontiguousarray(values[:, :, k].T, np.float32)
        digest.update((plane + np.float32(0)).data)  # minus zero becomes zero
    return digest.hexdigest()


def imprint(case: str, marks: Sequence[Mark]) -> Imprint:
    """The imprint of a scan whose channels lie in these files."""
    digests = [digest for one in marks for digest in one.digests]
    mean = np.concatenate([one.thumbnails for one in marks]).mean(axis=0, dtype=np.float32)
    return Imprint(case, " ".join(digests), mean if mean.any() else None)


def shrunk(values: npt.NDArray[Any]) -> Array:
    """The means of (i, j, k) values over boxes, SIZE of them along each edge; what is not finite counts 0."""
    flat = values.shape[2] == 1
    shape: Shape = (FLAT_SIZE, FLAT_SIZE, 1) if flat else (SIZE, SIZE, SIZE)
    means = values
    with np.errstate(invalid="ignore", over="ignore"):
        for axis in (2, 1, 0):  # files mostly store i first: k is the cheapest to begin with
            means = averaged(means, axis, shape[axis])
    if not np.isfinite(means).all():
        return shrunk(np.nan_to_num(values, posinf=0, neginf=0))
    return means


def averaged(values: npt.NDArray[Any], axis: int, count: int) -> Array:
    """The means over `count` equal stretches along an axis; a voxel on a border counts in part to both."""
    size = values.shape[axis]
    if size < count:
        weights = box_means(size, count)
        return np.moveaxis(np.tensordot(weights, values.astype(np.float32), axes=(1, axis)), 0, axis)
    edges = np.linspace(0, size, count + 1)
    first = np.floor(edges).astype(int)
    before = np.asarray(edges - first, np.float32)  # share of a border voxel that belongs to the box before
    last = np.moveaxis(values, axis, -1)  # a view; `take` would copy what is not in C order
    at_border = last[..., np.minimum(first, size - 1)] * before
    sums = np.moveaxis(np.add.reduceat(values, first[:-1], axis=axis, dtype=np.float32), axis, -1)
    means = (sums - at_border[..., :-1] + at_border[..., 1:]) * np.float32(count / size)
    return np.asarray(np.moveaxis(means, -1, axis), np.float32)


def box_means(size: int, count: int) -> Array:
    """(count, size) weights: row n averages the n-th of `count` equal stretches of `size` voxels."""
    edges = np.linspace(0, size, count + 1)
    voxel = np.arange(size)
    overlap = np.minimum(edges[1:, None], voxel + 1) - np.maximum(edges[:-1, None], voxel)
    weights = np.clip(overlap, 0, None)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


def standardised(values: npt.NDArray[Any]) -> Array:
    """The values with mean 0 and norm 1 (all zero where they are constant)."""
    centred = np.asarray(values, np.float64) - values.mean()
    norm = np.linalg.norm(centred)
    tiny = 1e-6 * max(1e-30, float(np.abs(values).max())) * np.sqrt(values.size)
    return np.asarray(centred / norm if norm > tiny else np.zeros_like(centred), np.float32)


def ranked(thumbnail: Array) -> Array:
    """The ranks of the values, equal ones sharing theirs, with mean 0 and norm 1."""
    _, place, counts = np.unique(np.round(thumbnail, 6), return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    return standardised(ranks[place].reshape(thumbnail.shape))


@dataclass(frozen=True)
class Turn:
    """One of the ways in which a cube (or square) can be laid over itself, mirrored or not."""

    axes: tuple[int, int, int]
    signs: tuple[int, int, int]

    @property
    def is_identity(self) -> bool:
        """Whether nothing is turned."""
        return self.axes == (0, 1, 2) and self.signs == (1, 1, 1)

    def applied(self, thumbnails: Array) -> Array:
        """Thumbnails (..., i, j, k), turned."""
        lead = thumbnails.ndim - 3
        turned = thumbnails.transpose(*range(lead), *(lead + axis for axis in self.axes))
        i, j, k = (slice(None, None, sign) for sign in self.signs)
        return turned[..., i, j, k]


def turns(*, flat: bool) -> tuple[Turn, ...]:
    """All turns of a thumbnail: 48 of a cube, 8 of a square."""
    every = (
        Turn(triple(axes), triple(signs))
        for axes in permutations(range(3))
        for signs in product((1, -1), repeat=3)
    )
    return tuple(t for t in every if not flat or (t.axes[2] == 2 and t.signs[2] == 1))
