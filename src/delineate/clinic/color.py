"""Colour: sRGB as people choose it, CIELab as DICOM stores it.

DICOM's profile connection space is CIELab with the white of D50, each value scaled to 16 bits: PS3.3
C.10.7.1.1. sRGB to XYZ: IEC 61966-2-1, its matrix adapted to D50 by Bradford's method (Lindbloom).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

TO_XYZ = np.array(
    [[0.4360747, 0.3850649, 0.1430804], [0.2225045, 0.7168786, 0.0606169], [0.0139322, 0.0971045, 0.7141733]]
)
WHITE = np.array([0.96422, 1.0, 0.82521])  # D50
EPSILON, KAPPA = 216 / 24389, 24389 / 27  # CIE 15: where the cube root becomes a line
MOST = 65535


def to_cielab(color: Sequence[int]) -> tuple[int, int, int]:
    """SRGB (0 to 255) as DICOM's three 16-bit numbers."""
    share = np.array(color, float) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    x, y, z = _cube_root(TO_XYZ @ linear / WHITE)
    lab = np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
    scaled = np.array([lab[0] / 100, (lab[1] + 128) / 255, (lab[2] + 128) / 255]) * MOST
    light, a, b = np.clip(np.rint(scaled), 0, MOST).astype(int).tolist()
    return light, a, b


def from_cielab(values: Sequence[int]) -> tuple[int, int, int]:
    """DICOM's three 16-bit numbers as sRGB (0 to 255), colours that a screen has not clipped."""
    share = np.array(values, float) / MOST
    light, a, b = share[0] * 100, share[1] * 255 - 128, share[2] * 255 - 128
    y = (light + 16) / 116
    roots = np.array([y + a / 500, y, y - b / 200])
    xyz = np.where(roots**3 > EPSILON, roots**3, (116 * roots - 16) / KAPPA) * WHITE
    linear = np.clip(np.linalg.solve(TO_XYZ, xyz), 0, 1)
    shown = np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = np.rint(shown * 255).astype(int).tolist()
    return red, green, blue


def _cube_root(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.where(values > EPSILON, np.cbrt(values), (KAPPA * values + 16) / 116)
