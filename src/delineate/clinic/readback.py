"""Read-back: a second look at what was written, before it leaves.

This page shares no code with the writers and readers of this package: it takes a file apart with pydicom
alone, finds the images that it refers to by UID in their own files, and counts. What it finds must agree
with what was asked for, structure by structure: as many voxels, and a centroid within a tenth of a voxel.

The inside of contours is counted along columns, from where lines through pixel centres enter and leave.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pydicom
from pydicom.dataset import Dataset
from pydicom.pixels.utils import iter_pixels

from delineate.errors import DataError

Array = npt.NDArray[Any]
ImageKey = tuple[str, int]  # SOPInstanceUID and frame; 0 for an image that is not one of many
PLACE_MM = 0.01  # a frame of a segmentation lies on its image


@dataclass(frozen=True)
class Plane:
    """An image as its own file places it: LPS+ mm from (column, row) in pixels.

    depth  mm of the patient that it stands for: half the way to both neighbours
    """

    origin: Array
    column_step: Array
    row_step: Array
    depth: float = 0.0

    @property
    def pixel_mm3(self) -> float:
        """The volume that a pixel stands for."""
        return float(np.linalg.norm(np.cross(self.column_step, self.row_step))) * self.depth

    def world(self, column: float, row: float) -> Array:
        """The place of a pixel."""
        return np.asarray(self.origin + column * self.column_step + row * self.row_step)


@dataclass
class Sum:
    """Voxels, the sum of their places, and their volume."""

    voxels: int = 0
    places: Array | float = 0.0
    mm3: float = 0.0

    def add(self, count: int, columns: float, rows: float, plane: Plane) -> None:
        """Pixels of one plane: how many, and the sums of their columns and rows."""
        if count:
            self.voxels += count
            self.places = self.places + count * plane.world(columns / count, rows / count)
            self.mm3 += count * plane.pixel_mm3

    @property
    def centroid(self) -> tuple[float, ...] | None:
        """LPS+ mm; None where there is no voxel."""
        if not self.voxels:
            return None
        return tuple(float(x) for x in np.asarray(self.places) / self.voxels)


def images(files: Iterable[Path]) -> dict[ImageKey, Plane]:
    """The planes of image files by UID and frame, from these files."""
    found: dict[ImageKey, Plane] = {}
    for path in dict.fromkeys(files):
        content = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        uid = str(content.SOPInstanceUID)
        if "PerFrameFunctionalGroupsSequence" not in content:
            found[uid, 0] = _plane(content, content, content)
            if "NumberOfFrames" in content:
                found[uid, 1] = found[uid, 0]
            continue
        shared = content.SharedFunctionalGroupsSequence[0]
        for number, group in enumerate(content.PerFrameFunctionalGroupsSequence, 1):
            found[uid, number] = _plane(
                group.PlanePositionSequence[0],
                _either(group, shared, "PlaneOrientationSequence"),
                _either(group, shared, "PixelMeasuresSequence"),
            )
    return _with_depths(found)


def count_segments(path: Path, known: Mapping[ImageKey, Plane]) -> dict[int, Sum]:
    """Voxels and centroid of each segment of a SEG; refuses frames that are not on the images they name.

    Of probabilities the sum of what is stored, and the centre of that weight.
    """
    content = pydicom.dcmread(path)
    shared = content.SharedFunctionalGroupsSequence[0]
    sums: dict[int, Sum] = defaultdict(Sum)
    fractional = content.SegmentationType == "FRACTIONAL"
    shape = (int(content.Rows), int(content.Columns))
    stored = _stored(content)
    for number, group in enumerate(content.PerFrameFunctionalGroupsSequence):
        plane = _plane(
            group.PlanePositionSequence[0],
            _either(group, shared, "PlaneOrientationSequence"),
            _either(group, shared, "PixelMeasuresSequence"),
        )
        plane = replace(plane, depth=_depth_on_images(path, number, plane, group, known, shape))
        pixels = stored(number).reshape(shape)
        if "SegmentIdentificationSequence" in group:
            segment = int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
            if fractional and content.SegmentationFractionalType == "PROBABILITY":
                _count(sums[segment], pixels, plane)
                continue
            inside = pixels >= content.MaximumFractionalValue / 2 if fractional else pixels > 0
            _count(sums[segment], inside, plane)
        else:
            for segment in set(np.unique(pixels).tolist()) - {0}:
                _count(sums[segment], pixels == segment, plane)
    return dict(sums)


def count_contours(path: Path, known: Mapping[ImageKey, Plane]) -> dict[int, Sum]:
    """Voxels and centroid of each ROI of an RTSTRUCT, on the images that its contours name."""
    content = pydicom.dcmread(path)
    sums: dict[int, Sum] = {}
    for roi in content.ROIContourSequence:
        total = sums[int(roi.ReferencedROINumber)] = Sum()
        by_image: dict[ImageKey, list[Array]] = defaultdict(list)
        for contour in roi.get("ContourSequence", []):
            named = contour.ContourImageSequence[0]
            key = (str(named.ReferencedSOPInstanceUID), int(named.get("ReferencedFrameNumber", 0)))
            if key not in known:
                raise DataError(f"{path}: a contour names an image that is not in the series ({key[0]}).")
            by_image[key].append(_points(contour))
        for key, drawn in by_image.items():
            total.add(*_enclosed([_pixels(points, known[key], path) for points in drawn]), known[key])
    return sums


def check(
    path: Path,
    found: Mapping[int, Sum],
    wanted: Mapping[int, tuple[str, int, tuple[float, ...] | None]],
    tolerance_mm: float,
) -> dict[str, float]:
    """Refuses an object whose structures are not those that were asked for; how far centroids are off, in mm.

    wanted  by number: name, voxels, centroid (LPS+ mm)
    """
    if extra := sorted(set(found) - set(wanted)):
        raise DataError(f"{path}: holds structures {extra} that nobody asked for; nothing was delivered.")
    off = {}
    for number, (name, voxels, centroid) in wanted.items():
        got = found.get(number, Sum())
        if got.voxels != voxels:
            raise DataError(
                f"{path}: {name} has {got.voxels} voxels when read back, and {voxels} in the labels; "
                f"nothing was delivered.\n  This is a fault of this program: please report it."
            )
        off[name] = 0.0
        if centroid is not None and got.centroid is not None:
            off[name] = float(np.linalg.norm(np.subtract(got.centroid, centroid)))
        if off[name] > tolerance_mm:
            raise DataError(
                f"{path}: the centre of {name} is {off[name]:.3g} mm from where the labels have it (at most "
                f"{tolerance_mm:.3g} mm is allowed); nothing was delivered.\n"
                f"  This is a fault of this program: please report it."
            )
    return off


# Planes


def _plane(position: Dataset, orientation: Dataset, measures: Dataset) -> Plane:
    cosines = [float(x) for x in orientation.ImageOrientationPatient]
    down, across = (float(x) for x in measures.PixelSpacing)
    return Plane(
        np.array([float(x) for x in position.ImagePositionPatient]),
        np.array(cosines[:3]) * across,
        np.array(cosines[3:]) * down,
        float(measures.get("SliceThickness") or 1.0),
    )


def _either(group: Dataset, shared: Dataset, name: str) -> Dataset:
    item: Dataset = (group if name in group else shared)[name].value[0]
    return item


def _with_depths(found: Mapping[ImageKey, Plane]) -> dict[ImageKey, Plane]:
    """The planes with their depths, from where they lie; with the thickness where all are in one place."""
    first = next(iter(found.values()))
    normal = np.cross(first.column_step, first.row_step)
    along = np.array([plane.origin @ normal for plane in found.values()]) / np.linalg.norm(normal)
    order = np.argsort(along)
    place = np.empty(len(along), int)  # images nearer than PLACE_MM share one
    place[order] = np.concatenate([[0], np.cumsum(np.diff(along[order]) >= PLACE_MM)])
    sums = np.bincount(place, along) / np.bincount(place)
    if len(sums) == 1:
        return dict(found)
    before, after = np.concatenate([sums[:1], sums[:-1]]), np.concatenate([sums[1:], sums[-1:]])
    depths = (after - before) / np.concatenate([[1], np.full(len(sums) - 2, 2), [1]])
    return {
        key: replace(plane, depth=float(depths[n]))
        for (key, plane), n in zip(found.items(), place, strict=True)
    }


def _depth_on_images(
    path: Path,
    number: int,
    plane: Plane,
    group: Dataset,
    known: Mapping[ImageKey, Plane],
    shape: tuple[int, int],
) -> float:
    """The depth of a frame's images; refuses a frame that does not lie on the images that it names."""
    depth = 0.0
    for image in group.DerivationImageSequence[0].SourceImageSequence:
        key = (str(image.ReferencedSOPInstanceUID), int(image.get("ReferencedFrameNumber", 0)))
        if key not in known:
            raise DataError(
                f"{path}: frame {number + 1} names an image that is not in the series ({key[0]})."
            )
        for row, column in ((0, 0), (0, shape[1] - 1), (shape[0] - 1, 0)):
            far = np.linalg.norm(plane.world(column, row) - known[key].world(column, row))
            if far > PLACE_MM * 10:
                raise DataError(f"{path}: frame {number + 1} lies {far:.3g} mm from the image that it names.")
        depth = known[key].depth
    return depth


# Pixels


def _stored(content: Dataset) -> Callable[[int], Array]:
    """What gives the values of a frame, straight from the bytes."""
    size = int(content.Rows) * int(content.Columns)
    if content.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = iter_pixels(content)  # in their order, as they are asked for
        return lambda _: np.asarray(next(frames)).ravel()
    if content.BitsAllocated != 1:
        every = np.frombuffer(content.PixelData, "u1" if content.BitsAllocated == 8 else "<u2")
        return lambda number: every[number * size : (number + 1) * size]
    packed = np.frombuffer(content.PixelData, "u1")

    def unpacked(number: int) -> Array:
        byte, bit = divmod(number * size, 8)
        return np.unpackbits(packed[byte : byte + size // 8 + 2], bitorder="little")[bit : bit + size]

    return unpacked


def _count(total: Sum, inside: Array, plane: Plane) -> None:
    """Pixels (row, column) of a plane: booleans, or weights."""
    by_row, by_column = (inside.sum(axis=axis, dtype=np.int64) for axis in (1, 0))
    columns = float(by_column @ np.arange(len(by_column)))
    total.add(int(by_row.sum()), columns, float(by_row @ np.arange(len(by_row))), plane)


# Contours


def _points(contour: Dataset) -> Array:
    stored = contour.get_item("ContourData").value  # bytes as they are in the file: there may be millions
    return np.array(stored.decode("ascii").strip(" \0").split("\\"), float).reshape(-1, 3)


def _pixels(points: Array, plane: Plane, path: Path) -> Array:
    """Points as (column, row) of an image; refuses those that do not lie in it."""
    steps = np.column_stack([plane.column_step, plane.row_step])
    places, *_ = np.linalg.lstsq(steps, (points - plane.origin).T, rcond=None)
    far = float(np.abs(steps @ places - (points - plane.origin).T).max())
    if far > PLACE_MM:
        raise DataError(f"{path}: a contour lies {far:.3g} mm outside the image that it names.")
    return np.asarray(places.T)


def _enclosed(drawn: list[Array]) -> tuple[int, float, float]:
    """Pixels within an odd number of polygons: how many, and the sums of their columns and rows."""
    ends = [(points, np.concatenate([points[1:], points[:1]])) for points in drawn]
    a, b = (np.concatenate(side) for side in zip(*ends, strict=True))
    left, right = np.minimum(a[:, 0], b[:, 0]), np.maximum(a[:, 0], b[:, 0])
    first, last = np.ceil(left).astype(int), np.ceil(right).astype(int)
    number = last - first
    which = np.repeat(np.arange(len(a)), number)
    column = first[which] + np.concatenate([np.arange(n) for n in number.tolist()] or [np.arange(0)])
    share = (column - a[which, 0]) / (b[which, 0] - a[which, 0])
    row = np.ceil(a[which, 1] + share * (b[which, 1] - a[which, 1]))
    order = np.lexsort((row, column))
    column, row = column[order], row[order]
    enter, leave, at = row[0::2], row[1::2], column[0::2]
    inside = leave - enter
    return int(inside.sum()), float((inside * at).sum()), float((inside * (enter + leave - 1) / 2).sum())
