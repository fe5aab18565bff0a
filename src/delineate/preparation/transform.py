"""Transform: a random change of a patch, drawn first and applied afterwards.

`draw_...(rng, ...)` returns the parameters, a frozen value; its `apply(values)` is plain arithmetic on
tensors, on their device, and never changes its input. Whoever holds the draw can repeat the change:
fields of random numbers, such as noise, are grown from a seed in the draw.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from delineate.planning.plan import Interval

SEEDS = 2**31  # seeds of random fields are drawn below this


class Change(Protocol):
    """What was drawn for the intensities of one patch."""

    def apply(self, image: Tensor) -> Tensor:
        """The image (channel, *edges), changed; the input stays as it is."""
        ...


@dataclass(frozen=True)
class Mirror:
    """Which spatial axes run backwards, one boolean per axis."""

    flips: tuple[bool, ...]

    def apply(self, values: Tensor) -> Tensor:
        """The values (..., *edges), mirrored; applying it twice gives them back, bit for bit."""
        axes = [axis - len(self.flips) for axis, flip in enumerate(self.flips) if flip]
        return values.flip(axes) if axes else values


def draw_mirror(rng: np.random.Generator, dims: int, axes: tuple[int, ...], probability: float) -> Mirror:
    """Each of the allowed `axes` is mirrored with `probability`, independently of the others."""
    return Mirror(tuple(axis in axes and happens(rng, probability) for axis in range(dims)))


def happens(rng: np.random.Generator, probability: float) -> bool:
    """True with `probability`."""
    return bool(rng.random() < probability)


def uniform(rng: np.random.Generator, interval: Interval) -> float:
    """A number from the interval, all equally likely."""
    return float(rng.uniform(*interval))


def about_one(rng: np.random.Generator, interval: Interval) -> float:
    """A factor from the interval, below and above 1 equally often where it reaches to both sides.

    So (0.7, 1.5) weakens as often as it strengthens. Source: the intensity factors of nnU-Net.
    """
    low, high = interval
    if low < 1 < high:
        return uniform(rng, (low, 1.0) if happens(rng, 0.5) else (1.0, high))
    return uniform(rng, interval)


def draw_seed(rng: np.random.Generator) -> int:
    """The seed of a random field."""
    return int(rng.integers(SEEDS))


def random_field(shape: tuple[int, ...], seed: int, device: torch.device) -> Tensor:
    """Standard normal numbers, the same for the same seed and kind of device."""
    generator = torch.Generator(device).manual_seed(seed)
    return torch.randn(shape, generator=generator, device=device)


def mean_over_space(image: Tensor) -> Tensor:
    """The mean of each channel of (channel, *edges), with ones for the edges.

    Axis by axis: torch then adds up in the same order whatever its number of threads, so that a
    sample made again elsewhere is the same to the last bit.
    """
    for axis in range(image.ndim - 1, 0, -1):
        image = image.mean(axis, keepdim=True)
    return image
