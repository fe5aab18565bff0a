"""Foreground: what stands for labels where there are none."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.space import LabelMap, LabelSchema, Volume

FOREGROUND = LabelSchema.of("foreground")


def foreground(scan: Volume) -> LabelMap:
    """What is brighter than the mean of the scan, in any channel."""
    means = scan.array.mean(axis=(1, 2, 3), dtype=np.float64).reshape(-1, 1, 1, 1)
    bright: npt.NDArray[Any] = (scan.array > means).any(axis=0)
    return LabelMap(bright.astype(np.uint8), scan.geometry, FOREGROUND)
