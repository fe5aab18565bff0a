"""Film: pictures one after the other in one DICOM file, as ultrasound, angiography and endoscopy make them.

Nothing says where in the patient they lie; what tells them apart is when they were taken. They are decoded
one by one as they are asked for, so a long film takes no more memory than a picture and its encoded bytes.

Source: DICOM PS3.3 C.7.6.5 (Cine), C.7.6.6 (Multi-frame).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from delineate.errors import DataError
from delineate.io.dicom import picture_grid, picture_names, planes_of
from delineate.io.foreign import quiet, reading
from delineate.io.frames import VOLUMETRIC, Frame, dataset, frames_of, object_kind, read_header
from delineate.io.rescale import Rescale
from delineate.space import Geometry, Source, Volume

TIMING = ["NumberOfFrames", "FrameTime", "FrameTimeVector", "CineRate", "RecommendedDisplayFrameRate"]


@dataclass(frozen=True)
class Film:
    """The pictures of a file, from its header; pixels are read when they are asked for.

    geometry  the grid of one picture (columns, rows, 1)
    seconds   when each picture was taken, counted from the first; empty where the header does not say
    """

    path: Path
    frames: tuple[Frame, ...]
    geometry: Geometry
    seconds: tuple[float, ...] = ()
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[Volume]:
        """The pictures in their order, each decoded when it is its turn."""
        return self.pictures()

    def picture(self, number: int) -> Volume:
        """One picture, (channel, i, j, 1), counted from 0."""
        if not 0 <= number < len(self):
            raise DataError(
                f"{self.path}: has no picture {number}; its {len(self)} are counted 0 to {len(self) - 1}."
            )
        return next(self.pictures(number))

    def pictures(self, first: int = 0) -> Iterator[Volume]:
        """The pictures from `first` on."""
        numbers = list(range(first, len(self)))
        for number, plane in zip(numbers, planes_of(self.path, numbers), strict=True):
            frame = self.frames[number]
            values = Rescale(frame.slope, frame.intercept).applied(plane)
            values = values if values.ndim == 3 else values[..., None]
            array = values.transpose(2, 1, 0)[..., None]  # (channel, i, j, 1)
            source = Source((str(self.path),), (frame.instance_uid,), (number + 1,), notes=self.notes)
            yield Volume(array, self.geometry, picture_names(len(array)), source)


def read_film(path: Path | str) -> Film:
    """The film in a DICOM file; a file with one picture is a film of one.

    Raises:
        DataError: the file is no image, or its frames are slices of a volume.
    """
    path = Path(path)
    header = read_header(path)
    if kind := object_kind(path, header):
        raise DataError(f"{path}: is {kind}; expected pictures one after the other.")
    frames = frames_of(path, header)
    if frames[0].is_placed or frames[0].sop_class in VOLUMETRIC:
        raise DataError(
            f"{path}: its {len(frames)} frames are slices of a volume, no film.\n"
            f"  Read it as a volume:  read_volume({path.name!r})"
        )
    grid, notes = picture_grid(frames[0])
    seconds = _seconds(path, len(frames))
    if len(frames) > 1 and not seconds:
        notes = (*notes, "nothing says how fast the pictures follow each other")
    return Film(path, frames, grid, seconds, notes)


def _seconds(path: Path, count: int) -> tuple[float, ...]:
    """When each of `count` pictures was taken; empty where no field says."""
    header = dataset(path, stop_before_pixels=True, specific_tags=TIMING)
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        steps = _numbers(header, "FrameTimeVector")
        if len(steps) == count:  # ms since the picture before
            return tuple(total / 1000 for total in accumulate(steps))
        step = next(iter(_numbers(header, "FrameTime")), 0.0) / 1000
        rate = next((rate for name in TIMING[3:] for rate in _numbers(header, name) if rate > 0), 0.0)
    step = step or (1 / rate if rate else 0.0)
    return tuple(number * step for number in range(count)) if step > 0 else ()


def _numbers(header: Dataset, name: str) -> tuple[float, ...]:
    value: Any = header.get(name)
    if value is None or value == "":
        return ()
    return tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))
