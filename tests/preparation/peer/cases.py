"""Small scans with every property that preparation treats apart. Numpy only: the peer reads it too."""

from dataclasses import dataclass
from typing import Any

import numpy as np

CT = {"low": -150.0, "high": 240.0, "mean": 40.0, "sd": 75.0}


@dataclass(frozen=True)
class PeerCase:
    """A scan, the rule for its channels, and the spacing to reach; arrays (channel, i, j, k)."""

    name: str
    image: Any
    labels: Any
    spacing: tuple[float, float, float]
    target: tuple[float, float, float]
    rules: tuple[str, ...]
    masked: bool = False
    slice_axis: int | None = None


def _texture(rng, shape):
    """Smooth and rough at once, so that interpolation has something to get wrong."""
    grids = np.meshgrid(*(np.linspace(0, 1, n) for n in shape), indexing="ij")
    phases = zip(grids, (2.0, 1.5, 1.0), rng.random(3), strict=True)
    waves = sum(np.sin(2 * np.pi * (f * g + p)) for g, f, p in phases)
    return (waves + 0.3 * rng.normal(size=shape)).astype(np.float32)


def _blobs(shape):
    """Two touching balls, labels 1 and 2, and one voxel of label 2 alone."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) / np.array(shape)
    labels = np.zeros(shape, np.uint8)
    for value, centre in ((1, (0.4, 0.45, 0.5)), (2, (0.65, 0.5, 0.5))):
        labels[np.linalg.norm(index - centre, axis=-1) < 0.2] = value
    labels[3, 3, 2] = 2
    return labels


def _head(shape):
    """Zero outside an ellipsoid, with a hole of zeros inside it."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1) / np.array(shape) - 0.5
    distance = np.linalg.norm(index / (0.4, 0.42, 0.45), axis=-1)
    return (distance < 1) & (distance > 0.2)


def peer_cases():
    rng = np.random.default_rng(1)
    shape = (18, 20, 16)
    ct = 200 * _texture(rng, shape)[None]
    yield PeerCase("ct", ct, _blobs(shape), (1.0, 1.0, 1.2), (1.3, 1.25, 1.5), ("ct",))
    shape = (24, 22, 7)
    head = _head(shape)
    mr = np.stack([900 + 100 * _texture(rng, shape), 5 + _texture(rng, shape)]) * head
    labels = _blobs(shape) * head  # the peer's statistics would include labelled voxels outside
    spacing, target = (0.8, 0.8, 4.0), (1.0, 1.05, 3.4)
    rules = ("zscore", "zscore")
    yield PeerCase("masked", mr, labels, spacing, target, rules, masked=True)
    shape = (9, 20, 22)
    image = 50 * _texture(rng, shape)[None]
    labels = _blobs(shape)
    spacing, target = (2.0, 0.9, 1.1), (3.0, 1.25, 1.2)
    yield PeerCase("slices", image, labels, spacing, target, ("zscore",), slice_axis=0)


def arrays():
    """Five arrays (i, j, k), as scanners and cameras give them."""
    rng = np.random.default_rng(2)
    shape = (7, 6, 5)
    yield "ct", rng.normal(0, 400, shape).astype(np.float32)
    yield "mr", rng.gamma(2.0, 90.0, shape).astype(np.float32)
    yield "bytes", rng.integers(0, 256, shape).astype(np.uint8)
    yield "tiny", rng.normal(0.002, 0.0005, shape).clip(0, None).astype(np.float32)
    yield "constant", np.full(shape, 17, np.int16)


def a_mask():
    """Where the patient is in `arrays`, for the rule that asks."""
    return np.random.default_rng(3).random((7, 6, 5)) < 0.6
