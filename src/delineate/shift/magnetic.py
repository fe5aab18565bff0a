"""Magnetic: what goes wrong in k-space, and coils that are brighter on one side.

Lines of k-space run along the second axis of the slices (phase encoding), one after the other in time. Every
channel is acquired by itself; the patient moves in each of them, by draws of its own.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from delineate.shift.intensity import kept_zero
from delineate.shift.kind import Example, Rng, along, float_values, plane_axes, span

Channel = npt.NDArray[np.float32]  # (i, j, k)
Frequencies = npt.NDArray[np.complex64]

EVENTS = 3  # times that the patient moves during a scan
GHOSTS = 3  # every third line is weak: ghosts at thirds of the field of view
CENTRE = 0.04  # share of lines about the middle of k-space that stay as they are
BIAS_MM = 150.0  # length of the waves of a coil's sensitivity; Sled 1998, doi:10.1109/42.668698


def motion(example: Example, millimetres: float, rng: Rng) -> Example:
    """Jumps of so many millimetres while lines are acquired; the middle of k-space is where labels are.

    Source of the model (lines of several positions put together): Shaw 2019, arXiv:1810.01246.
    """
    plane, spacing = plane_axes(example.scan), example.scan.geometry.spacing
    values = float_values(example.scan)
    for channel in values:
        lines = channel.shape[plane[1]]
        moved = _positions(lines, millimetres, rng)
        k = _transformed(channel, plane)
        for axis, shift in zip(plane, moved, strict=True):
            steps = np.fft.fftfreq(channel.shape[axis])
            phase = along(steps, axis) * along(shift / spacing[axis], plane[1])
            k *= np.exp(-2j * np.pi * phase).astype(np.complex64)
        channel[...] = _back(k, plane)
    return kept_zero(example, values)


def ghosting(example: Example, percent: float, rng: Rng) -> Example:
    """Every third line is so many per cent weaker, as when something pulsates: ghosts of the patient."""
    plane = plane_axes(example.scan)
    values = float_values(example.scan)
    for channel in values:
        lines = np.fft.fftfreq(channel.shape[plane[1]]) * channel.shape[plane[1]]
        weak = np.abs(lines) > CENTRE / 2 * len(lines)
        factor = np.where(weak & (np.round(lines) % GHOSTS == 0), 1 - percent / 100, 1.0)
        channel[...] = _back(_transformed(channel, plane) * along(factor, plane[1]), plane)
    return kept_zero(example, values)


def bias(example: Example, percent: float, rng: Rng) -> Example:
    """A smooth field: the brightest place is so many per cent brighter than the darkest."""
    grid = example.scan.geometry
    i, j, k = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    field = np.zeros(grid.shape)
    for _ in range(4):
        direction = rng.standard_normal(3)
        direction *= 2 * np.pi / BIAS_MM / np.linalg.norm(direction)
        a, b, c = direction @ grid.affine[:3, :3]
        field += np.cos(a * i + b * j + c * k + rng.uniform(0, 2 * np.pi))
    field -= field.mean()
    width = float(np.ptp(field)) or 1.0
    factor = np.exp(field / width * math.log1p(percent / 100))
    return kept_zero(example, (float_values(example.scan) * factor).astype(np.float32))


def spike(example: Example, percent: float, rng: Rng) -> Example:
    """One sample of k-space is far too large: stripes of so many per cent of the signal."""
    plane = plane_axes(example.scan)
    values = float_values(example.scan)
    for channel in values:
        shape = [channel.shape[axis] for axis in plane]
        cycles = [int(rng.integers(n // 8 + 1, max(n // 3, n // 8 + 2))) for n in shape]
        start = rng.uniform(0, 2 * np.pi)
        angle = sum(
            along(np.arange(n) * (2 * np.pi * c / n), axis)
            for n, c, axis in zip(shape, cycles, plane, strict=True)
        )
        channel += (percent / 100 * span(channel) * np.cos(angle + start)).astype(np.float32)
    return kept_zero(example, values)


def truncation(example: Example, percent: float, rng: Rng) -> Example:
    """So many per cent of k-space were not acquired, on either side: blur, and ringing at edges (Gibbs)."""
    plane = plane_axes(example.scan)
    values = float_values(example.scan)
    for channel in values:
        k = _transformed(channel, plane)
        for axis in plane:
            steps = np.abs(np.fft.fftfreq(channel.shape[axis]))
            k *= along((steps <= (1 - percent / 100) / 2).astype(np.float32), axis)
        channel[...] = _back(k, plane)
    return kept_zero(example, values)


def _positions(lines: int, millimetres: float, rng: Rng) -> npt.NDArray[np.float64]:
    """(2, line) where the patient is, in mm along both axes, in the order of `fftfreq`."""
    times = np.sort(rng.random(EVENTS))
    angles = rng.uniform(0, 2 * np.pi, EVENTS)
    acquired = np.argsort(np.argsort(np.fft.fftfreq(lines))) / lines  # lowest frequency first
    place = np.zeros((2, lines))
    for time, angle in zip(times, angles, strict=True):
        later = acquired >= time
        place[:, later] = millimetres * np.array([[math.cos(angle)], [math.sin(angle)]])
    return np.asarray(place - place[:, :1])  # line 0 is the middle of k-space


def _transformed(channel: Channel, plane: tuple[int, int]) -> Frequencies:
    return np.fft.fftn(channel, axes=plane).astype(np.complex64)


def _back(k: Frequencies, plane: tuple[int, int]) -> Channel:
    """The magnitude, as a scanner gives it."""
    return np.abs(np.fft.ifftn(k, axes=plane)).astype(np.float32)
