"""Objects: how large the single objects of a dataset are, how oblong, and how crowded.

Measured on their boxes, which is what a network finds first. Every case counts the same, as everywhere in the
fingerprint, so that a crowded picture does not speak for all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.planning.histogram import Histogram
from delineate.record import Record
from delineate.space import Spacing


class ObjectSizes(Record):
    """The objects of some cases.

    sizes        the root of the area of their boxes (of the volume, in 3D), mm
    elongations  the longest over the shortest edge of their boxes
    densities    one for each case with objects: how many there are in a mm² (mm³ in 3D)
    count        of all objects
    largest      the longest edge of any, mm
    """

    sizes: Histogram
    elongations: Histogram
    densities: Histogram
    count: int
    largest: float

    @classmethod
    def sum(cls, parts: Iterable[ObjectSizes]) -> ObjectSizes:
        """All parts in one."""
        every = list(parts)
        return cls(
            sizes=Histogram.sum(part.sizes for part in every),
            elongations=Histogram.sum(part.elongations for part in every),
            densities=Histogram.sum(part.densities for part in every),
            count=sum(part.count for part in every),
            largest=max((part.largest for part in every), default=0.0),
        )


def sizes_of(ids: npt.NDArray[np.integer[Any]], spacing: Spacing) -> ObjectSizes:
    """The objects of a map of ids 1 to n (i, j, k); along an axis of one voxel nothing is measured."""
    axes = [axis for axis, n in enumerate(ids.shape) if n > 1] or [0]
    step = np.array([spacing[axis] for axis in axes])
    from scipy import ndimage  # heavy: only who needs it waits

    boxes = [box for box in ndimage.find_objects(ids) if box is not None]
    edges = np.array([[box[axis].stop - box[axis].start for axis in axes] for box in boxes]).reshape(
        len(boxes), len(axes)
    )
    edges = edges * step
    extent = float(np.prod([ids.shape[axis] for axis in axes]) * step.prod())
    return ObjectSizes(
        sizes=Histogram.of(edges.prod(axis=1) ** (1 / len(axes))),
        elongations=Histogram.of(edges.max(axis=1) / edges.min(axis=1)),
        densities=Histogram.of(np.array([len(boxes) / extent] if boxes else [])),
        count=len(boxes),
        largest=float(edges.max(initial=0)),
    )
