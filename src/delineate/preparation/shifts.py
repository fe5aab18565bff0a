"""Shifts: random changes of intensity as between scanners and protocols, for the preset heavy.

Each channel of a sample that is chosen is changed with probability one half, by a draw of its own. A bump is
a Gaussian somewhere in or near the patch, 1 at its highest point. Source of kinds and numbers: nnU-Net's
trainer DA5, which `planning.generalize` holds; blank rectangles, transposed axes and median filters of it are
left out, being no shifts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delineate.planning.plan import Interval, Shifts
from delineate.preparation.transform import Change, happens, uniform

T = TypeVar("T")

CHANNEL_PROBABILITY = 0.5  # of each channel of a chosen sample; DA5
SHARPEN_OVER = 3  # voxels along each axis that a value is held against
TINY = 1e-7  # of a range: flatter than this is flat


@dataclass(frozen=True)
class Bump:
    """A Gaussian: centre and width (sd) along each axis, in shares of the patch."""

    centre: tuple[float, ...]
    width: tuple[float, ...]

    def over(self, edges: tuple[int, ...], device: torch.device) -> Tensor:
        """Its values (*edges), the highest of them 1."""
        found = torch.ones((1,) * len(edges), device=device)
        for axis, (n, centre, width) in enumerate(zip(edges, self.centre, self.width, strict=True)):
            places = (torch.arange(n, device=device) + 0.5) / n
            powers = -0.5 * ((places - centre) / width).square()
            shape = [-1 if a == axis else 1 for a in range(len(edges))]
            found = found * (powers - powers.max()).exp().reshape(shape)
        return found


@dataclass(frozen=True)
class Offset:
    """A number per channel that is added, 0 where it stays."""

    amounts: tuple[float, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image, brighter or darker."""
        amounts = torch.tensor(self.amounts, dtype=image.dtype, device=image.device)
        return image + amounts.reshape(-1, *(1 for _ in image.shape[1:]))


@dataclass(frozen=True)
class Gradient:
    """Per channel a bump that is added, so high; or None."""

    bumps: tuple[tuple[Bump, float] | None, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image, brighter or darker on one side."""
        result = image.clone()
        for channel, drawn in zip(result, self.bumps, strict=True):
            if drawn is not None:
                bump, height = drawn
                channel.add_(bump.over(tuple(channel.shape), image.device), alpha=height)
        return result


@dataclass(frozen=True)
class LocalGamma:
    """Per channel a bump inside which values between minimum and maximum are bent by a power; or None."""

    bumps: tuple[tuple[Bump, float] | None, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image with another contrast at one place."""
        result = image.clone()
        for channel, drawn in zip(result, self.bumps, strict=True):
            if drawn is not None:
                bump, power = drawn
                low = channel.amin()
                width = (channel.amax() - low).clamp(min=TINY)
                unit = ((channel - low) / width).clamp(0, 1)
                share = bump.over(tuple(channel.shape), image.device)
                channel.copy_(torch.lerp(unit, unit.pow(power), share) * width + low)
        return result


@dataclass(frozen=True)
class Sharpen:
    """Per channel how much of the difference from the mean of the neighbours is added; or None."""

    strengths: tuple[float | None, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image with harder edges; nothing leaves the range it had."""
        result = image.clone()
        pool = functional.avg_pool3d if image.ndim == 4 else functional.avg_pool2d
        rim = SHARPEN_OVER // 2
        for channel, strength in zip(result, self.strengths, strict=True):
            if strength is not None:
                held = functional.pad(channel[None, None], [rim] * 2 * channel.ndim, mode="replicate")
                smooth = pool(held, SHARPEN_OVER, 1)[0, 0]
                sharp = channel + strength * (channel - smooth)
                channel.copy_(torch.minimum(torch.maximum(sharp, channel.amin()), channel.amax()))
        return result


def draw_shifts(rng: np.random.Generator, shifts: Shifts, channels: int, dims: int) -> list[Change]:
    """What happens to one sample, in the order in which it is applied."""
    s = shifts
    changes: list[Change] = []
    if happens(rng, s.offset_probability):
        amounts = _each(rng, channels, lambda: float(rng.normal(0, s.offset_sd)))
        changes.append(Offset(tuple(amount or 0.0 for amount in amounts)))
    if happens(rng, s.gradient_probability):
        changes.append(
            Gradient(_each(rng, channels, lambda: (_bump(rng, s, dims), _signed(rng, s.gradient))))
        )
    if happens(rng, s.local_gamma_probability):
        powers = (s.local_gamma_down, s.local_gamma_up)
        drawn = _each(
            rng, channels, lambda: (_bump(rng, s, dims), uniform(rng, powers[int(happens(rng, 0.5))]))
        )
        changes.append(LocalGamma(drawn))
    if happens(rng, s.sharpen_probability):
        changes.append(Sharpen(_each(rng, channels, lambda: uniform(rng, s.sharpen))))
    return changes


def _each(rng: np.random.Generator, channels: int, draw: Callable[[], T]) -> tuple[T | None, ...]:
    return tuple(draw() if happens(rng, CHANNEL_PROBABILITY) else None for _ in range(channels))


def _signed(rng: np.random.Generator, interval: Interval) -> float:
    return uniform(rng, interval) * (1 if happens(rng, 0.5) else -1)


def _bump(rng: np.random.Generator, shifts: Shifts, dims: int) -> Bump:
    low, high = (math.log(end) for end in shifts.bump_width)
    centre = tuple(uniform(rng, shifts.bump_centre) for _ in range(dims))
    return Bump(centre, tuple(math.exp(uniform(rng, (low, high))) for _ in range(dims)))
