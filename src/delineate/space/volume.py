"""Volume: one scan, its channels on one voxel grid."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.space.box import Box
from delineate.space.geometry import Geometry
from delineate.space.resampling import Orders, resample


@dataclass(frozen=True, eq=False, repr=False)
class Volume:
    """Voxel values of one or more channels on one grid.

    array     (channel, i, j, k), any number type
    geometry  where the voxels are
    channels  one name per channel ("T1", "FLAIR", "red")
    source    where it came from, for messages and for writing back: file names, and for DICOM the
              SOP instance UID of each slice along k
    """

    array: npt.NDArray[Any]
    geometry: Geometry
    channels: tuple[str, ...] = ("image",)
    source: Source = field(default_factory=lambda: Source())

    def __post_init__(self) -> None:
        if self.array.ndim != 4:
            raise GeometryError(
                f"a volume is (channel, i, j, k), got {self.array.ndim} axes: {self.array.shape}"
            )
        if self.array.shape[1:] != self.geometry.shape:
            raise GeometryError(
                f"{self.array.shape[1:]} voxels do not fit on {self.geometry!r}{self.source.note}"
            )
        if len(self.channels) != len(self.array):
            raise GeometryError(
                f"{len(self.array)} channels but {len(self.channels)} names: {self.channels}"
                f"{self.source.note}"
            )

    def cropped(self, box: Box) -> Volume:
        """The voxels in `box`, which must lie within the grid; nothing is copied."""
        array = self.array[(slice(None), *box.slices)]
        return Volume(array, self.geometry.cropped(box), self.channels, self.source)

    def reoriented(self, orientation: str) -> Volume:
        """The same voxels with their axes in another order and direction; bit for bit."""
        return self.resampled(self.geometry.reoriented(orientation), order=0)

    def resampled(self, onto: Geometry, *, order: Orders, outside: float = 0) -> Volume:
        """The same tissue on another grid; exact where grids share their voxels."""
        array = resample(self.array, self.geometry, onto, order=order, outside=outside)
        return Volume(array, onto, self.channels, self.source)

    def __repr__(self) -> str:
        return f"Volume({', '.join(self.channels)} on {self.geometry!r}, {self.array.dtype})"


@dataclass(frozen=True)
class Source:
    """Where a volume was read from.

    files         the files, in the order of the slices for a DICOM series
    instance_uids SOP instance UID of each slice along k (DICOM only)
    frame_numbers the slice's frame within its instance, counted from 1 (DICOM only)
    unit          what values are measured in ("HU", "SUVbw (g/ml)"), where the file says
    notes         what the reader had to decide, in words ("labels were stored as float")
    """

    files: tuple[str, ...] = ()
    instance_uids: tuple[str, ...] = ()
    frame_numbers: tuple[int, ...] = ()
    unit: str = ""
    notes: tuple[str, ...] = ()

    @property
    def note(self) -> str:
        """The first file, as the end of a sentence."""
        return f" ({self.files[0]})" if self.files else ""
