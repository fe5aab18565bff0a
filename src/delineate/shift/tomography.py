"""Tomography: CT values that were cut off, and metal."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve

from delineate.shift.kind import Example, Rng, float_values, plane_axes

Plane = npt.NDArray[np.float64]  # (a, b)

LEVEL_HU = 40.0  # middle of a window for soft tissue
BODY_HU = -300.0  # above: not air
METAL_HU = 3000.0  # steel and titanium: at the end of what is stored
WATER_PER_MM = 0.02  # attenuation of water at about 70 keV
PHOTONS = 1e5  # per ray where nothing is in the way
HARDENING = 5e-6  # share by which a ray through metal seems weaker, per HU mm: 30 % behind 20 mm
ANGLES = 180  # views over half a turn
APART = 0.35  # of the body's width: how far two rods are from each other


def window(example: Example, width: float, rng: Rng) -> Example:
    """Values clipped to a window of so many HU about 40, as exports for the eye are."""
    values = float_values(example.scan)
    return example.with_values(np.clip(values, LEVEL_HU - width / 2, LEVEL_HU + width / 2))


def metal(example: Example, diameter: float, rng: Rng) -> Example:
    """Two metal rods of so many millimetres across the slices, with the streaks that they cast.

    Backprojection is linear: streaks are the filtered backprojection of what is wrong with the projections,
    here beam hardening (a ray's loss grows with the square of the metal that it crosses) and the noise of
    few photons. Source: De Man 1999, doi:10.1109/23.775600.
    """
    scan = example.scan
    plane = plane_axes(scan)
    values = float_values(scan)
    turned = np.moveaxis(values[0], plane, (0, 1))  # (a, b, slice), a view
    a, b = (
        (np.arange(n) - (n - 1) / 2) * scan.geometry.spacing[axis]
        for n, axis in zip(turned.shape[:2], plane, strict=True)
    )
    rods = _rods(turned, a, b)
    streaks = _streaks(a, b, rods, diameter / 2, rng)
    inside = np.min([np.hypot(a[:, None] - x, b[None] - y) for x, y in rods], axis=0) <= diameter / 2
    turned += streaks[..., None].astype(np.float32)
    turned[inside] = METAL_HU
    np.clip(values, -1024, METAL_HU, out=values)
    return example.with_values(values)


def _rods(slices: npt.NDArray[np.float32], a: Plane, b: Plane) -> list[tuple[float, float]]:
    """Two places in the body, in mm, side by side along the first axis."""
    body = np.asarray((slices > BODY_HU).any(axis=2))
    where = np.argwhere(body if body.any() else np.ones_like(body))
    middle = where.mean(axis=0)
    width = float(np.ptp(a[where[:, 0]]))
    x, y = (float(np.interp(m, np.arange(len(line)), line)) for m, line in zip(middle, (a, b), strict=True))
    return [(x + side * APART / 2 * width, y) for side in (-1, 1)]


def _streaks(a: Plane, b: Plane, rods: list[tuple[float, float]], radius: float, rng: Rng) -> Plane:
    """(a, b) HU that metal adds beside itself."""
    step = float(min(np.diff(a).min(initial=1.0), np.diff(b).min(initial=1.0)))
    reach = math.hypot(np.abs(a).max(), np.abs(b).max()) + step
    t = np.arange(-math.ceil(reach / step), math.ceil(reach / step) + 1) * step
    kernel = _ramp(len(t), step)
    found = np.zeros((len(a), len(b)))
    for angle in np.arange(ANGLES) * math.pi / ANGLES:
        cos, sin = math.cos(angle), math.sin(angle)
        away = [t - x * cos - y * sin for x, y in rods]
        crossed = np.sum([2 * np.sqrt(np.clip(radius**2 - d**2, 0, None)) for d in away], axis=0)
        filtered = fftconvolve(_wrong(crossed, rng), kernel, mode="same") * step
        found += np.interp(a[:, None] * cos + b[None] * sin, t, filtered)
    return found * math.pi / ANGLES


def _wrong(crossed: Plane, rng: Rng) -> Plane:
    """What is wrong with a projection, in HU mm, by the millimetres of metal that each ray crosses."""
    line = crossed * METAL_HU
    starved = np.exp(line / 1000 * WATER_PER_MM) / PHOTONS
    noise = rng.standard_normal(len(line)) * np.sqrt(starved) / WATER_PER_MM * 1000
    return np.asarray(np.where(crossed > 0, noise - HARDENING * line**2, 0.0))


def _ramp(count: int, step: float) -> Plane:
    """The kernel of Ramachandran and Lakshminarayanan (1971), for samples `step` mm apart."""
    n = np.arange(-(count - 1), count)
    kernel = np.zeros(len(n))
    odd = n % 2 == 1
    kernel[odd] = -1 / (np.pi * n[odd] * step) ** 2
    kernel[n == 0] = 1 / (4 * step**2)
    return kernel
