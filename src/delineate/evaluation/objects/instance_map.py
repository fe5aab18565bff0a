"""Objects: single things on a voxel grid, each with an id.

They come as a map of ids, or as the connected pieces of a mask. Which voxels are connected is a choice that
changes how many objects there are, so it is always named: by faces (6 neighbours), by edges too (18), by
corners too (26); on a picture that is 4, 8 and 8.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import cc3d
import numpy as np

from delineate.errors import DataError, GeometryError
from delineate.evaluation.objects.matching import Ids
from delineate.evaluation.overlap import Mask
from delineate.io import read_label_values
from delineate.space import Geometry, LabelMap

Connectivity = Literal[6, 18, 26]


@dataclass(frozen=True, eq=False)
class InstanceMap:
    """Objects on a voxel grid: 0 is background, every other value is one object; ids may have gaps.

    array   (i, j, k) whole numbers
    ignore  the value of voxels that nobody judged; None: all were
    kinds   id -> what kind of object it is, for all of them; empty: there is only one kind
    scores  id -> how sure the prediction is, for all of them; None: it does not say
    """

    array: Ids
    geometry: Geometry
    ignore: int | None = None
    kinds: Mapping[int, str] = field(default_factory=dict)
    scores: Mapping[int, float] | None = None

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape:
            raise GeometryError(f"{self.array.shape} ids do not fit on {self.geometry!r}")
        if not np.issubdtype(self.array.dtype, np.integer):
            raise DataError(f"ids of objects are whole numbers, got {self.array.dtype}")
        if self.array.size and self.array.min() < 0:
            raise DataError(f"ids of objects are positive and 0 is background, got {self.array.min()}")
        if self.ignore == 0:
            raise DataError("0 is background, and cannot be what is ignored")
        for what, named in (("kinds", self.kinds or None), ("scores", self.scores)):
            nameless = [] if named is None else sorted(set(self.ids.tolist()) - set(named))
            if nameless:
                raise DataError(f"{what} are given for all objects or for none; {nameless[:5]} have none")

    @classmethod
    def of_labels(
        cls, labels: LabelMap, structure: str | None = None, *, connectivity: Connectivity = 26
    ) -> InstanceMap:
        """The connected pieces of a structure, or those of every label, which is then their kind."""
        values = {label.name: label.value for label in labels.schema.labels}
        masks = [labels.mask(name) for name in ([structure] if structure else values)]
        array = np.zeros(labels.array.shape, np.int32)
        kinds: dict[int, str] = {}
        for name, mask in zip([structure] if structure else values, masks, strict=True):
            pieces, count = components(mask, connectivity)
            array[mask] = pieces[mask] + len(kinds)
            kinds |= dict.fromkeys(range(len(kinds) + 1, len(kinds) + count + 1), str(name))
        ignore = None
        if labels.schema.ignore is not None:
            ignore = len(kinds) + 1
            array[labels.array == labels.schema.ignore] = ignore
        return cls(array, labels.geometry, ignore, kinds if len(masks) > 1 else {})

    @cached_property
    def ids(self) -> Ids:
        """The ids of the objects, ascending."""
        found = np.unique(self.array)
        return np.asarray(found[(found != 0) & (found != (self.ignore or 0))])

    @property
    def known(self) -> Mask | None:
        """Where somebody judged; None: everywhere."""
        return None if self.ignore is None else self.array != self.ignore


def components(mask: Mask, connectivity: Connectivity) -> tuple[Ids, int]:
    """The connected pieces of a mask (i, j, k), numbered from 1, and how many there are."""
    pieces, count = cc3d.connected_components(
        np.ascontiguousarray(mask).view(np.uint8),
        connectivity=connectivity,
        return_N=True,
        out_dtype=np.uint32,
        binary_image=True,
    )
    return pieces.astype(np.int32), int(count)


def read_instances(path: Path | str, *, ignore: int | None = None) -> InstanceMap:
    """The objects in a file of ids; in a picture of colours every colour is one."""
    file = read_label_values(Path(path))
    return InstanceMap(file.array, file.geometry, ignore)
