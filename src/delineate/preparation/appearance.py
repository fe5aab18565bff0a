"""Appearance: random changes of the intensities, as scanners and protocols differ.

Images are (channel, *edges), normalised. Every change is drawn with its own parameters per channel and
takes a few passes over the patch. Source of kinds, order and numbers: nnU-Net 2.8 (Isensee 2021,
doi:10.1038/s41592-020-01008-z), which `planning.plan.Augmentation` holds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from delineate.planning.plan import Augmentation
from delineate.preparation.shifts import draw_shifts
from delineate.preparation.transform import (
    Change,
    about_one,
    draw_seed,
    happens,
    mean_over_space,
    random_field,
    uniform,
)

CHANNEL_PROBABILITY = 0.5  # of each channel, once blur or low resolution happens; nnU-Net
TAILS = 4.0  # standard deviations at which a Gaussian is cut; scipy.ndimage.gaussian_filter
TINY = 1e-7  # of a range or standard deviation: flatter than this is flat


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of one standard deviation, independent in every voxel and channel."""

    sd: float
    seed: int

    def apply(self, image: Tensor) -> Tensor:
        """The noisy image."""
        return image.add(random_field(tuple(image.shape), self.seed, image.device), alpha=self.sd)


@dataclass(frozen=True)
class Blur:
    """Gaussian blur: standard deviations in voxels per spatial axis, or None, for each channel."""

    sigmas: tuple[tuple[float, ...] | None, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The blurred image; beyond the border the outermost voxel repeats."""
        result = image.clone()
        for channel, sigmas in zip(result, self.sigmas, strict=True):
            if sigmas is not None:
                smooth = channel
                for axis, sigma in enumerate(sigmas):
                    smooth = _smoothed(smooth, sigma, axis)
                channel.copy_(smooth)
        return result


@dataclass(frozen=True)
class Brightness:
    """A factor per channel."""

    factors: tuple[float, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image times the factors."""
        return image * _per_channel(self.factors, image)


@dataclass(frozen=True)
class Contrast:
    """A factor per channel for the distance from the channel's mean."""

    factors: tuple[float, ...]

    def apply(self, image: Tensor) -> Tensor:
        """The image, spread or narrowed about its means; nothing leaves the range it had."""
        low, high = _range(image)
        mean = mean_over_space(image)
        spread = (image - mean).mul_(_per_channel(self.factors, image)).add_(mean)
        return spread.clamp_(low, high)


@dataclass(frozen=True)
class LowResolution:
    """A scan of fewer voxels: for each channel the share of voxels kept along each axis, or None.

    The axis `flat_axis`, whose resolution is low already, keeps its voxels.
    """

    zooms: tuple[float | None, ...]
    flat_axis: int | None = None

    def apply(self, image: Tensor) -> Tensor:
        """The image, taken to fewer voxels (nearest) and back (linear)."""
        result = image.clone()
        for channel, zoom in zip(result, self.zooms, strict=True):
            if zoom is not None:
                channel.copy_(self._coarse_and_back(channel, zoom))
        return result

    def _coarse_and_back(self, channel: Tensor, zoom: float) -> Tensor:
        edges = tuple(channel.shape)
        coarse = tuple(
            n if axis == self.flat_axis else max(1, round(n * zoom)) for axis, n in enumerate(edges)
        )
        mode = "trilinear" if len(edges) == 3 else "bilinear"
        few = functional.interpolate(channel[None, None], size=coarse, mode="nearest-exact")
        return functional.interpolate(few, size=edges, mode=mode, align_corners=False)[0, 0]


@dataclass(frozen=True)
class Gamma:
    """A power per channel of the values between its minimum and maximum, from the top if `inverted`."""

    powers: tuple[float, ...]
    inverted: bool = False

    def apply(self, image: Tensor) -> Tensor:
        """The image with its values bent; mean and standard deviation of each channel are kept."""
        sign = -1.0 if self.inverted else 1.0
        values = image * sign
        low, high = _range(values)
        width = (high - low).clamp_(min=TINY)
        bent = (values - low).div_(width).pow_(_per_channel(self.powers, image))
        return _with_moments_of(bent, values).mul_(sign)


def draw_changes(
    rng: np.random.Generator, augmentation: Augmentation, channels: int, dims: int
) -> tuple[Change, ...]:
    """What happens to the intensities of one sample, in the order in which it is applied."""
    a = augmentation
    changes: list[Change] = []
    if happens(rng, a.noise_probability):
        changes.append(Noise(uniform(rng, a.noise_sd), draw_seed(rng)))
    if happens(rng, a.blur_probability):
        changes.append(_draw_blur(rng, a, channels, dims))
    if happens(rng, a.brightness_probability):
        changes.append(Brightness(tuple(about_one(rng, a.brightness) for _ in range(channels))))
    if happens(rng, a.contrast_probability):
        changes.append(Contrast(tuple(about_one(rng, a.contrast) for _ in range(channels))))
    if happens(rng, a.low_resolution_probability):
        changes.append(_draw_low_resolution(rng, a, channels))
    for inverted, probability in ((True, a.gamma_inverted_probability), (False, a.gamma_probability)):
        if happens(rng, probability):
            changes.append(Gamma(tuple(about_one(rng, a.gamma) for _ in range(channels)), inverted))
    if a.shifts is not None:
        changes += draw_shifts(rng, a.shifts, channels, dims)
    return tuple(changes)


def _draw_blur(rng: np.random.Generator, a: Augmentation, channels: int, dims: int) -> Blur:
    return Blur(
        tuple(
            tuple(uniform(rng, a.blur_sigma) for _ in range(dims))
            if happens(rng, CHANNEL_PROBABILITY)
            else None
            for _ in range(channels)
        )
    )


def _draw_low_resolution(rng: np.random.Generator, a: Augmentation, channels: int) -> LowResolution:
    zooms = tuple(
        uniform(rng, a.low_resolution) if happens(rng, CHANNEL_PROBABILITY) else None for _ in range(channels)
    )
    return LowResolution(zooms, a.flat_axis)


def _smoothed(channel: Tensor, sigma: float, axis: int) -> Tensor:
    """A channel (*edges) convolved with a Gaussian along one axis, as a sum of shifted copies."""
    radius = int(TAILS * sigma + 0.5)
    if radius == 0:
        return channel
    weights = [math.exp(-0.5 * (step / sigma) ** 2) for step in range(radius + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    n = channel.shape[axis]
    first, last = channel.narrow(axis, 0, 1), channel.narrow(axis, n - 1, 1)
    shape = list(channel.shape)
    shape[axis] = radius
    padded = torch.cat([first.expand(shape), channel, last.expand(shape)], axis)
    result = channel * (weights[0] / total)
    for step, weight in enumerate(weights[1:], 1):
        result.add_(padded.narrow(axis, radius - step, n), alpha=weight / total)
        result.add_(padded.narrow(axis, radius + step, n), alpha=weight / total)
    return result


def _with_moments_of(values: Tensor, original: Tensor) -> Tensor:
    """`values`, moved and stretched in place to the mean and standard deviation of `original`."""
    mean, sd = _moments(values)
    wanted_mean, wanted_sd = _moments(original)
    return values.sub_(mean).mul_(wanted_sd / sd.clamp(min=TINY)).add_(wanted_mean)


def _moments(image: Tensor) -> tuple[Tensor, Tensor]:
    mean = mean_over_space(image)
    return mean, mean_over_space((image - mean).square_()).sqrt_()


def _range(image: Tensor) -> tuple[Tensor, Tensor]:
    space = tuple(range(1, image.ndim))
    return image.amin(space, keepdim=True), image.amax(space, keepdim=True)


def _per_channel(factors: tuple[float, ...], image: Tensor) -> Tensor:
    shape = (len(factors), *(1 for _ in image.shape[1:]))
    return torch.tensor(factors, dtype=image.dtype, device=image.device).reshape(shape)
