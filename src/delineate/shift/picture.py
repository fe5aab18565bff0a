"""Picture: other cameras, other lamps, other dyes, and files that were made small."""

from __future__ import annotations

import io

import numpy as np

from delineate.shift.intensity import BYTE, pictured
from delineate.shift.kind import Example, Rng, float_values


def color(example: Example, percent: float, rng: Rng) -> Example:
    """White is not white: the gain of each channel differs by up to so many per cent, up or down."""
    values = float_values(example.scan)
    signs = rng.uniform(-1, 1, len(values))
    gains = 1 + percent / 100 * signs / np.abs(signs).max()
    return pictured(example, values * gains.astype(np.float32)[:, None, None, None])


def stain(example: Example, percent: float, rng: Rng) -> Example:
    """Each dye is stronger or weaker by up to so many per cent, in optical density.

    Dyes are told apart as haematoxylin, eosin and DAB; Ruifrok 2001. As augmentation: Tellez 2018,
    doi:10.1109/TMI.2018.2820199.
    """
    from skimage.color import hed2rgb, rgb2hed

    values = float_values(example.scan)
    dyes = rgb2hed(np.moveaxis(np.clip(values / BYTE, 0, 1), 0, -1))  # (i, j, k, dye)
    signs = rng.uniform(-1, 1, 3)
    dyes *= 1 + percent / 100 * signs / np.abs(signs).max()
    return pictured(example, np.moveaxis(hed2rgb(dyes), -1, 0).astype(np.float32) * BYTE)


def shading(example: Example, percent: float, rng: Rng) -> Example:
    """A lamp from one side: the bright side is so many per cent brighter than the dark one."""
    values = float_values(example.scan)
    angle = rng.uniform(0, 2 * np.pi)
    i, j = (np.linspace(-0.5, 0.5, n) if n > 1 else np.zeros(1) for n in values.shape[1:3])
    ramp = np.cos(angle) * i[:, None] + np.sin(angle) * j[None]
    ramp /= max(float(np.ptp(ramp)), 1e-6)
    factor = np.exp(ramp * np.log1p(percent / 100)).astype(np.float32)
    return pictured(example, values * factor[None, ..., None])


def compression(example: Example, quality: float, rng: Rng) -> Example:
    """Saved as JPEG of this quality, 100 being the best, and read again."""
    from PIL import Image

    values = np.rint(np.clip(float_values(example.scan), 0, BYTE)).astype(np.uint8)
    for k in range(values.shape[3]):
        plane = values[..., k]  # (channel, i, j)
        together = [plane.transpose(2, 1, 0)] if len(plane) == 3 else [channel.T for channel in plane]
        for number, pixels in enumerate(together):
            file = io.BytesIO()
            Image.fromarray(np.ascontiguousarray(pixels)).save(file, "JPEG", quality=int(quality))
            read = np.asarray(Image.open(file))
            if read.ndim == 3:
                plane[...] = read.transpose(2, 1, 0)
            else:
                plane[number] = read.T
    return example.with_values(values.astype(np.float32))
