"""Figures: slices with labels on them, as arrays of colour.

Slices are seen as radiologists see them: the patient's right on the left of an axial or coronal slice, the
face on the left of a sagittal one; voxels that are not square are drawn in their true proportions. The
reference is a line, the prediction a tint: tint outside its line was invented, a line around nothing missed.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy import ndimage

from delineate.errors import GeometryError
from delineate.evaluation.overlap import Mask
from delineate.space import Box, Geometry, LabelMap, LabelSchema, Volume
from delineate.space.orientation import turn

Picture = npt.NDArray[np.uint8]  # (rows, columns, 3)
Plane = Literal["axial", "coronal", "sagittal"]
Canvas = npt.NDArray[np.floating[Any]]  # (rows, columns)

VIEW = "LPS"  # turned so, an axial slice (i across, j down) is as radiologists look at it
AXES: dict[Plane, int] = {"sagittal": 0, "coronal": 1, "axial": 2}
PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")

EDGE = 320  # pixels along the longer side
LINE = 2  # pixels
TINT = 0.4  # opacity of the prediction
WINDOW = (0.5, 99.5)  # percentiles of the scan that become black and white


def picked(ranked: Sequence[str], worst: int, median: int, best: int) -> list[tuple[str, str]]:
    """Which of the cases, the worst first, to show: place and case, none twice."""
    middle = len(ranked) // 2
    wanted = [("worst", case) for case in ranked[:worst]]
    wanted += [("median", case) for case in ranked[middle : middle + median]]
    wanted += [("best", case) for case in ranked[-best:]]
    seen: dict[str, str] = {}
    for place, case in wanted:
        seen.setdefault(case, place)
    return [(place, case) for case, place in seen.items()]


@dataclass(frozen=True)
class View:
    """One slice through a scan: which plane, and which slice of the scan turned to `VIEW`."""

    plane: Plane
    slice: int
    channel: str


def best_view(scan: Volume, reference: LabelMap, prediction: LabelMap | None = None) -> View:
    """The slice with most of the reference, across the axis along which slices are thickest.

    Where the reference is empty, that with most of the prediction; then the middle one. The channel is
    the one in which the structures stand out most from what is around them.
    """
    plane = _plane(scan.geometry)
    axis = AXES[plane]
    maps = [labels for labels in (reference, prediction) if labels is not None]
    shown = next((labels for labels in maps if _annotated(labels).any()), None)
    if shown is None:
        return View(plane, scan.geometry.reoriented(VIEW).shape[axis] // 2, scan.channels[0])
    others = tuple(other for other in range(3) if other != axis)
    areas = np.count_nonzero(_annotated(shown.reoriented(VIEW)), axis=others)
    return View(plane, int(areas.argmax()), _clearest(scan, _annotated(shown)))


def slice_figure(
    scan: Volume,
    view: View,
    *,
    reference: LabelMap | None = None,
    prediction: LabelMap | None = None,
    edge: int = EDGE,
) -> Picture:
    """The slice in grey (an RGB scan in its colours), with the maps that are given.

    `edge` is the length in pixels of the longer side.
    """
    for labels in (reference, prediction):
        if labels is not None and not labels.geometry.same_place(scan.geometry, tolerance_mm=0.01):
            raise GeometryError(
                f"labels and scan are on different grids: {labels.geometry!r} and {scan.geometry!r}"
            )
    size = _size(scan.geometry.reoriented(VIEW), view.plane, edge)
    picture = _ground(scan, view, size)
    if prediction is not None:
        _tint(picture, prediction, view, size)
    if reference is not None:
        _outline(picture, reference, view, size)
    return np.asarray(np.round(picture), np.uint8)


def colors(schema: LabelSchema) -> dict[str, tuple[int, int, int]]:
    """Structure -> the colour that it has in these figures."""
    if schema.regions:
        return {region.name: schema.color(region.paints) for region in schema.regions}
    return {label.name: schema.color(label.value) for label in schema.labels}


def png(picture: Picture) -> bytes:
    """The bytes of a PNG file."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format="PNG", optimize=True)
    return file.getvalue()


# --- what to show


def _plane(grid: Geometry) -> Plane:
    """Across the thickest axis: in its slices the detail is. Axial where no axis is much thicker."""
    spacing = grid.reoriented(VIEW).spacing
    if grid.is_flat or max(spacing) < 1.5 * min(spacing):
        return PLANES[_through(grid)] if grid.is_flat else "axial"
    return PLANES[int(np.argmax(spacing))]


def _through(grid: Geometry) -> int:
    """The axis of the view that runs through a picture."""
    order, _ = turn(grid.orientation, VIEW)
    return order.index(2)


def _annotated(labels: LabelMap) -> Mask:
    """Where any structure is; the ignore label is none."""
    return np.isin(labels.array, [label.value for label in labels.schema.labels])


def _clearest(scan: Volume, mask: Mask) -> str:
    """The channel with the largest difference between a mask and the box around it, for its spread."""
    box = Box.around(mask)
    if box is None or len(scan.channels) == 1:
        return scan.channels[0]
    part = box.grown(3).clipped(mask.shape).slices
    inside = mask[part]
    if inside.all():
        return scan.channels[0]
    contrast = [
        abs(float(values[inside].mean()) - float(values[~inside].mean())) / (float(values.std()) + 1e-12)
        for values in (channel[part].astype(np.float64) for channel in scan.array)
    ]
    return scan.channels[int(np.argmax(contrast))]


# --- drawing


def _cut(array: npt.NDArray[Any], view: View) -> npt.NDArray[Any]:
    """One slice (row, column) of an array (i, j, k) that was turned to `VIEW`."""
    across = array.take(view.slice, axis=AXES[view.plane]).T
    return np.asarray(across if view.plane == "axial" else across[::-1])  # k grows upwards, rows downwards


def _size(grid: Geometry, plane: Plane, edge: int) -> tuple[int, int]:
    """(columns, rows) in pixels for square millimetres."""
    extent = np.array(grid.shape) * grid.spacing
    across, down = (float(e) for axis, e in enumerate(extent) if axis != AXES[plane])
    scale = edge / max(across, down)
    return max(1, round(across * scale)), max(1, round(down * scale))


def _resized(canvas: npt.NDArray[Any], size: tuple[int, int], how: Image.Resampling) -> Canvas:
    return np.asarray(Image.fromarray(canvas.astype(np.float32)).resize(size, how))


def _ground(scan: Volume, view: View, size: tuple[int, int]) -> Canvas:
    """The slice without labels, (row, column, 3) from 0 to 255."""
    colored = scan.channels == ("red", "green", "blue")
    chosen = scan.channels if colored else (view.channel,)
    layers = []
    for name in chosen:
        number = scan.channels.index(name)
        one = Volume(scan.array[number : number + 1], scan.geometry)
        low, high = (0.0, 255.0) if colored else np.nanpercentile(one.array, WINDOW)
        values = np.nan_to_num(_cut(one.reoriented(VIEW).array[0], view).astype(np.float32), nan=low)
        grey = (_resized(values, size, Image.Resampling.BICUBIC) - low) / max(high - low, 1e-12)
        layers.append(255 * np.clip(grey, 0, 1))
    return np.stack(layers * (3 // len(layers)), axis=-1)


def _tint(picture: Canvas, labels: LabelMap, view: View, size: tuple[int, int]) -> None:
    """Lays the colour of each label over its voxels."""
    here = _cut(labels.reoriented(VIEW).array, view)
    for label in labels.schema.labels:
        where = _smooth_mask(here == label.value, size)
        picture[where] += TINT * (np.array(labels.schema.color(label.value)) - picture[where])


def _outline(picture: Canvas, labels: LabelMap, view: View, size: tuple[int, int]) -> None:
    """Draws a line along the inside of each structure."""
    here = _cut(labels.reoriented(VIEW).array, view)
    for structure, color in colors(labels.schema).items():
        mask = _smooth_mask(np.isin(here, labels.schema.structures[structure]), size)
        picture[mask & ~ndimage.binary_erosion(mask, iterations=LINE)] = color


def _smooth_mask(mask: Mask, size: tuple[int, int]) -> Mask:
    """A mask in pixels; what is there never vanishes, however small it is drawn."""
    share = _resized(mask, size, Image.Resampling.BILINEAR)
    drawn = share > 0.5
    return drawn if drawn.any() else share > 0
