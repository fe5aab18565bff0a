"""Genesis: what is done to a patch that a network learns to restore.

Values are bent by a curve, voxels are shuffled within small boxes, and boxes are painted over, or all but
some boxes. Source: Zhou 2021, doi:10.1016/j.media.2020.101840 (Models Genesis), with its rates. Shuffled
boxes are of one size in a patch, tile it, and a drawn half of them is shuffled: one operation, where 10,000
boxes one after the other would take longer than the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

Edges = tuple[int, ...]

BENT, SHUFFLED, PAINTED = 0.9, 0.5, 0.9  # of the patches; Zhou 2021, "configurations"
OUTWARD = 0.8  # of those painted over, around boxes rather than in them
MOST_BOXES = 5
INNER, OUTER = (1 / 6, 1 / 3), (3 / 7, 4 / 7)  # edges of boxes, of those of the patch
LARGEST_TILE = 0.1  # of the edge of the patch
TILES = 0.5  # share of the tiles that is shuffled
POINTS = 256  # of the curve


@dataclass(frozen=True)
class Bend:
    """A curve over values, from the smallest to the largest of a patch: Bezier's, with two free points."""

    xs: tuple[float, float]
    ys: tuple[float, float]
    falls: bool

    def apply(self, image: Tensor) -> Tensor:
        """The image (channel, *edges) with its values on the curve; each channel keeps its range."""
        t = torch.linspace(0, 1, POINTS, device=image.device, dtype=image.dtype)
        x, y = (
            3 * (1 - t) ** 2 * t * first + 3 * (1 - t) * t**2 * second + t**3
            for first, second in (self.xs, self.ys)
        )
        flat = image.flatten(1)
        low, high = flat.min(1, keepdim=True).values, flat.max(1, keepdim=True).values
        scale = (high - low).clamp(min=1e-6)
        values = _read(x, y, ((flat - low) / scale).clamp(0, 1))
        values = 1 - values if self.falls else values
        return (values * scale + low).reshape(image.shape)


@dataclass(frozen=True)
class Shuffle:
    """Tiles of a patch, some of which are shuffled inside."""

    tile: Edges
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The image with the voxels of some tiles in another order, the same in all channels."""
        edges = tuple(image.shape[1:])
        whole = tuple(edge // size * size for edge, size in zip(edges, self.tile, strict=True))
        inside = (slice(None), *(slice(edge) for edge in whole))
        tiles = _tiled(image[inside], self.tile)  # (channel, tile, voxel)
        rng = np.random.default_rng(self.seed)
        keys = rng.random(tiles.shape[1:], dtype=np.float32)
        keys[rng.random(len(keys)) >= TILES] = np.arange(keys.shape[1])  # in their own order
        order = torch.from_numpy(keys).to(image.device).argsort(1)
        result = image.clone()
        result[inside] = _whole(tiles.gather(2, order.expand_as(tiles)), whole, self.tile)
        return result


@dataclass(frozen=True)
class Paint:
    """Boxes that are painted over with noise, or around which everything is."""

    boxes: tuple[tuple[Edges, Edges], ...]  # lower corner, upper corner
    outward: bool
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The image painted over; of a channel, with noise between its smallest and largest value."""
        mask = torch.zeros(image.shape[1:], dtype=torch.bool, device=image.device)
        for start, stop in self.boxes:
            mask[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))] = True
        flat = image.flatten(1)
        low, high = (
            bound.reshape(-1, *(1,) * mask.ndim) for bound in (flat.min(1).values, flat.max(1).values)
        )
        noise = np.random.default_rng(self.seed).random(tuple(image.shape), dtype=np.float32)
        paint = torch.from_numpy(noise).to(image.device) * (high - low) + low
        return torch.where(~mask if self.outward else mask, paint, image)


@dataclass(frozen=True)
class Changes:
    """What is done to one patch, in this order."""

    changes: tuple[Bend | Shuffle | Paint, ...]

    def apply(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """The image (channel, *edges) to be restored, and where it is compared (*edges): everywhere."""
        changed = image
        for change in self.changes:
            changed = change.apply(changed)
        return changed, torch.ones(image.shape[1:], dtype=torch.bool, device=image.device)


def draw_changes(rng: np.random.Generator, edges: Edges) -> Changes:
    """What is done to a patch; nothing at all now and then."""
    changes: list[Bend | Shuffle | Paint] = []
    if rng.random() < BENT:
        xs, ys = sorted(rng.random(2).tolist()), sorted(rng.random(2).tolist())
        changes.append(Bend((xs[0], xs[1]), (ys[0], ys[1]), bool(rng.random() < 0.5)))
    if rng.random() < SHUFFLED:
        longest = [max(2, int(LARGEST_TILE * edge)) for edge in edges]
        tile = tuple(
            min(edge, int(rng.integers(2, most + 1))) for edge, most in zip(edges, longest, strict=True)
        )
        changes.append(Shuffle(tile, int(rng.integers(2**31))))
    if rng.random() < PAINTED:
        outward = bool(rng.random() < OUTWARD)
        boxes = tuple(
            _box(rng, edges, OUTER if outward else INNER) for _ in range(int(rng.integers(1, MOST_BOXES + 1)))
        )
        changes.append(Paint(boxes, outward, int(rng.integers(2**31))))
    return Changes(tuple(changes))


def _box(rng: np.random.Generator, edges: Edges, sizes: tuple[float, float]) -> tuple[Edges, Edges]:
    longs = [max(1, round(edge * rng.uniform(*sizes))) for edge in edges]
    start = tuple(int(rng.integers(edge - long + 1)) for edge, long in zip(edges, longs, strict=True))
    return start, tuple(first + long for first, long in zip(start, longs, strict=True))


def _read(x: Tensor, y: Tensor, at: Tensor) -> Tensor:
    """A curve through (x, y), x rising from 0 to 1, read at values in [0, 1]."""
    after = torch.searchsorted(x, at.contiguous()).clamp(1, len(x) - 1)
    before = after - 1
    share = (at - x[before]) / (x[after] - x[before]).clamp(min=1e-6)
    return y[before] + share.clamp(0, 1) * (y[after] - y[before])


def _tiled(image: Tensor, tile: Edges) -> Tensor:
    """(channel, tile, voxel) of an image whose edges are multiples of the tile's."""
    dims = len(tile)
    split = [n for edge, size in zip(image.shape[1:], tile, strict=True) for n in (edge // size, size)]
    parts = image.reshape(len(image), *split)
    order = (0, *range(1, 2 * dims, 2), *range(2, 2 * dims + 1, 2))
    return parts.permute(order).flatten(1 + dims).flatten(1, dims)


def _whole(tiles: Tensor, edges: Edges, tile: Edges) -> Tensor:
    """The image that was tiled."""
    dims = len(tile)
    counts = [edge // size for edge, size in zip(edges, tile, strict=True)]
    parts = tiles.reshape(len(tiles), *counts, *tile)
    order = [0, *(n for axis in range(dims) for n in (1 + axis, 1 + dims + axis))]
    return parts.permute(order).reshape(len(tiles), *edges)
