"""Images: the pixels of a series on its own slices, also where these lean or are uneven."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.clinic.series import Series
from delineate.io.dicom import find_series, pixels_of
from delineate.io.frames import Frame, frames_of, read_header

Array = npt.NDArray[Any]


def read_images(series: Series) -> Array:
    """(i, j, k) grey values, rescaled as the series says; of images that share a place, the first.

    Colours become their mean.
    """
    known = {(frame.instance_uid, frame.number + 1): frame for frame in _frames(series)}
    first = [images[0] for images in series.references]
    frames = [known[image.uid, image.frame or 1] for image in first]
    values = pixels_of(tuple(frames))
    return np.asarray(values[0] if len(values) == 1 else values.mean(axis=0))


def _frames(series: Series) -> tuple[Frame, ...]:
    if not series.where.is_dir():
        return frames_of(series.where, read_header(series.where))
    found = find_series(series.where)
    return tuple(frame for each in found if each.uid == series.uid for frame in each.frames)
