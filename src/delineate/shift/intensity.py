"""Intensity: values that mean something else than in the scans that were learnt from.

Darkest and brightest are those of the channel itself (1 and 99 %), so that a level means the same in any unit
of intensity. What is exactly zero in every channel, as outside a stripped head, stays zero.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from delineate.shift.kind import Example, Rng, float_values, signal, span

Channel = npt.NDArray[np.float32]
BYTE = 255.0  # the brightest value of a picture


def noise(example: Example, share: float, rng: Rng) -> Example:
    """Rician noise: that of the magnitude of a complex signal; `share` in % of the signal.

    Source: Gudbjartsson 1995, doi:10.1002/mrm.1910340618.
    """
    values = float_values(example.scan)
    for channel in values:
        sd = share / 100 * span(channel)
        real, imaginary = rng.standard_normal((2, *channel.shape), dtype=np.float32) * sd
        low = min(0.0, float(channel.min()))
        channel[...] = np.hypot(channel - low + real, imaginary) + low
    return kept_zero(example, values)


def noise_hu(example: Example, sd: float, rng: Rng) -> Example:
    """Gaussian noise of `sd` Hounsfield units, as of a lower dose."""
    values = float_values(example.scan)
    values += rng.standard_normal(values.shape, dtype=np.float32) * np.float32(sd)
    return example.with_values(values)


def noise_picture(example: Example, sd: float, rng: Rng) -> Example:
    """Gaussian noise of `sd` grey levels of 255."""
    values = float_values(example.scan)
    values += rng.standard_normal(values.shape, dtype=np.float32) * np.float32(sd)
    return pictured(example, values)


def gamma(example: Example, power: float, rng: Rng) -> Example:
    """Values between darkest and brightest to a power; a picture keeps its range."""
    values = float_values(example.scan)
    for channel in values:
        low, high = float(channel.min()), float(channel.max())
        width = max(high - low, 1e-6)
        channel[...] = ((channel - low) / width) ** np.float32(power) * width + low
    return kept_zero(example, values)


def contrast(example: Example, factor: float, rng: Rng) -> Example:
    """Distances from the middle between darkest and brightest, times a factor."""
    values = float_values(example.scan)
    for channel in values:
        middle = sum(signal(channel)) / 2
        channel -= middle
        channel *= factor
        channel += middle
    return kept_zero(example, values)


def inversion(example: Example, share: float, rng: Rng) -> Example:
    """The brightest `share` of the range turns back and grows darker (a mixture would only be a gain)."""
    values = float_values(example.scan)
    for channel in values:
        low, high = signal(channel)
        turn = high - share / 100 * (high - low)
        channel[...] = np.where(channel > turn, 2 * turn - channel, channel)
    return kept_zero(example, values)


def scale(example: Example, percent: float, rng: Rng) -> Example:
    """All values times 1 + percent / 100: another gain, or a slope that is calibrated wrongly."""
    return example.with_values(float_values(example.scan) * np.float32(1 + percent / 100))


def offset(example: Example, units: float, rng: Rng) -> Example:
    """All values plus so many units."""
    return example.with_values(float_values(example.scan) + np.float32(units))


def offset_share(example: Example, percent: float, rng: Rng) -> Example:
    """All values plus a share of the distance between darkest and brightest."""
    values = float_values(example.scan)
    for channel in values:
        channel += np.float32(percent / 100 * span(channel))
    return kept_zero(example, values)


def missing(names: tuple[str, ...], example: Example, count: float, rng: Rng) -> Example:
    """So many of these channels were not acquired, and are not there; which ones, the generator says."""
    gone = [names[n] for n in rng.permutation(len(names))[: int(count)]]
    kept = [n for n, name in enumerate(example.scan.channels) if name not in gone]
    channels = tuple(example.scan.channels[n] for n in kept)
    return replace(example, scan=replace(example.scan, array=example.scan.array[kept], channels=channels))


def kept_zero(example: Example, values: npt.NDArray[np.float32]) -> Example:
    """The example with other values, but zero where every channel was exactly zero."""
    values[:, ~np.any(example.scan.array != 0, axis=0)] = 0
    return example.with_values(values)


def pictured(example: Example, values: npt.NDArray[np.float32]) -> Example:
    """The example with other grey levels, whole numbers from 0 to 255 as a file can hold."""
    return example.with_values(np.rint(np.clip(values, 0, BYTE)))


def brightness(example: Example, levels: float, rng: Rng) -> Example:
    """A picture that is so many grey levels of 255 brighter."""
    return pictured(example, float_values(example.scan) + np.float32(levels))


def gamma_picture(example: Example, power: float, rng: Rng) -> Example:
    """Grey levels to a power, black and white kept."""
    return pictured(example, (np.clip(float_values(example.scan), 0, BYTE) / BYTE) ** power * BYTE)


def contrast_picture(example: Example, factor: float, rng: Rng) -> Example:
    """Distances from the mean grey level of a picture, times a factor."""
    values = float_values(example.scan)
    middle = values.mean(axis=(1, 2, 3), keepdims=True)
    return pictured(example, (values - middle) * np.float32(factor) + middle)
