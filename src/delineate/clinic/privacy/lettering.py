"""Lettering: where a picture holds burned-in text, found by its shape; nothing is read.

Text that a machine burns into an image differs from tissue in four ways: its strokes are thin; they stand
out from what lies around them; all letters of a line have one brightness; and they stand in a row, alike in
height and near each other. A line is three or more such shapes. Bright text and dark text are looked for, at
the size of the image and at a half and a quarter of it, for large letters.

What this finds and misses was measured on drawn text: see the page "privacy" of the documentation. It is made
to find too much rather than too little, and cannot tell a name from a scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.float32]  # (row, column), 0 to 1

STROKE = 9  # pixels: wider strokes are found at half the size
CONTRASTS = (0.16, 0.45)  # of the range: how far strokes stand out
HEIGHTS = (5, 40)  # pixels of a letter
NEAR = 1.8  # letter heights between neighbours of a word, and between words
ALIKE = 0.14  # of the range: how much the brightness of letters in a line differs
FEWEST = 3  # letters of a line
CROWD = 6000  # shapes in a picture: more are noise, and would take long
SCALES = (1, 2, 4)
MARGIN = 3  # pixels around a line that are blanked with it


@dataclass(frozen=True)
class Area:
    """A rectangle of pixels: rows top..bottom and columns left..right, the ends not included."""

    top: int
    left: int
    bottom: int
    right: int

    @property
    def height(self) -> int:
        """Rows."""
        return self.bottom - self.top

    @property
    def width(self) -> int:
        """Columns."""
        return self.right - self.left

    def __or__(self, other: Area) -> Area:
        return Area(
            min(self.top, other.top),
            min(self.left, other.left),
            max(self.bottom, other.bottom),
            max(self.right, other.right),
        )

    def grown(self, margin: int, shape: Sequence[int]) -> Area:
        """With a margin, within a picture."""
        return Area(
            max(0, self.top - margin),
            max(0, self.left - margin),
            min(shape[0], self.bottom + margin),
            min(shape[1], self.right + margin),
        )

    @property
    def slices(self) -> tuple[slice, slice]:
        """For indexing (row, column)."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


@dataclass(frozen=True)
class _Shape:
    area: Area
    peak: float


def find_text(frames: npt.NDArray[Any], span: tuple[float, float] | None = None) -> tuple[Area, ...]:
    """Where text stands in pictures (frame, row, column); what stands in one of them counts for all.

    span  values of black and white; else the lowest and the highest there are
    """
    found: list[Area] = []
    for picture in _representative(frames, span or (float(frames.min()), float(frames.max()))):
        for scale in SCALES:
            small = _smaller(picture, scale)
            for polar in (small, 1 - small):
                found += [_enlarged(line, scale) for line in _text_in(polar)]
    shape = frames.shape[1:]
    return _merged([line.grown(MARGIN, shape) for line in found])


def _representative(frames: npt.NDArray[Any], span: tuple[float, float]) -> list[Picture]:
    """The first frame, and of films what stays bright and what stays dark."""
    chosen = frames[np.unique(np.linspace(0, len(frames) - 1, min(len(frames), 8)).astype(int))]
    low, high = span
    if high <= low:
        return []
    unit = (chosen.astype(np.float32) - low) / (high - low)
    if len(unit) < 3:
        return list(unit)
    return [unit[0], unit[-1], unit.min(axis=0), unit.max(axis=0)]


def _smaller(picture: Picture, scale: int) -> Picture:
    rows, columns = (size // scale * scale for size in picture.shape)
    blocks = picture[:rows, :columns].reshape(rows // scale, scale, columns // scale, scale)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def _text_in(picture: Picture) -> list[Area]:
    """Lines of bright text; a second, higher contrast tells bright letters from tissue that they touch."""
    from scipy import ndimage

    if min(picture.shape, default=0) <= STROKE:
        return []
    thin = picture - ndimage.grey_opening(picture, size=(STROKE, STROKE))
    return [line for contrast in CONTRASTS for line in _lines(_shapes(picture, thin, contrast))]


def _shapes(picture: Picture, thin: Picture, contrast: float) -> list[_Shape]:
    """Connected thin bright things of the size of letters, from left to right."""
    from scipy import ndimage

    labels, count = ndimage.label(thin > contrast, structure=np.ones((3, 3)))
    if not 0 < count <= CROWD:
        return []
    peaks = ndimage.maximum(picture, labels, np.arange(1, count + 1))
    sizes = np.bincount(labels.ravel())[1:]
    shapes = []
    for box, peak, size in zip(ndimage.find_objects(labels), peaks, sizes, strict=True):
        area = Area(box[0].start, box[1].start, box[0].stop, box[1].stop)
        if HEIGHTS[0] <= area.height <= HEIGHTS[1] and area.width <= 3 * area.height and size >= area.height:
            shapes.append(_Shape(area, float(peak)))
    return sorted(shapes, key=lambda shape: shape.area.left)


def _lines(shapes: list[_Shape]) -> list[Area]:
    """Rows of shapes that are alike and near each other."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if len(shapes) < FEWEST:
        return []
    pairs = _neighbours(shapes)
    graph = coo_array((np.ones(len(pairs)), pairs.T), shape=(len(shapes), len(shapes)))
    count, member = connected_components(graph, directed=False)
    groups: list[list[_Shape]] = [[] for _ in range(count)]
    for shape, n in zip(shapes, member, strict=True):
        groups[n].append(shape)
    return [_with_rest(group, shapes) for group in groups if _is_text(group)]


def _neighbours(shapes: list[_Shape]) -> npt.NDArray[np.int_]:
    """Pairs of shapes (n, 2) that may be letters of one word or line."""
    top, left, bottom, right = np.array(
        [(s.area.top, s.area.left, s.area.bottom, s.area.right) for s in shapes]
    ).T
    peak, height = np.array([s.peak for s in shapes]), bottom - top
    ends = np.searchsorted(left, right + NEAR * HEIGHTS[1], side="right")
    found = []
    for n, end in enumerate(ends):
        others = np.arange(n + 1, max(n + 1, end))
        low, high = np.minimum(height[n], height[others]), np.maximum(height[n], height[others])
        overlap = np.minimum(bottom[n], bottom[others]) - np.maximum(top[n], top[others])
        near = left[others] - right[n] <= NEAR * high
        like = (high <= 2 * low) & (np.abs(peak[others] - peak[n]) <= ALIKE)
        found += [(n, m) for m in others[like & near & (overlap >= 0.6 * low)]]
    return np.array(found, dtype=int).reshape(-1, 2)


def _with_rest(group: list[_Shape], shapes: list[_Shape]) -> Area:
    """The line with what touches its ends: paler letters, points, letters run together."""
    line = _around(group)
    height = line.height
    for ordered in (shapes, shapes[::-1]):
        for shape in ordered:
            area = shape.area
            overlap = min(line.bottom, area.bottom) - max(line.top, area.top)
            apart = max(area.left - line.right, line.left - area.right)
            if apart <= NEAR * height and overlap >= 0.5 * area.height and area.height <= 1.5 * height:
                line = line | area
    return line


def _is_text(group: list[_Shape]) -> bool:
    """Three letters or more whose tops or feet stand on a line, and wider than high."""
    if len(group) < FEWEST:
        return False
    height = float(np.median([shape.area.height for shape in group]))
    feet = np.array([shape.area.bottom for shape in group])
    tops = np.array([shape.area.top for shape in group])
    aligned = max(_agreeing(feet, height), _agreeing(tops, height))
    line = _around(group)
    return aligned >= 0.6 and line.width >= 1.5 * line.height and line.height <= 2.5 * height


def _agreeing(ends: npt.NDArray[np.int_], height: float) -> float:
    return float(np.mean(np.abs(ends - np.median(ends)) <= max(1.0, 0.12 * height)))


def _around(group: list[_Shape]) -> Area:
    whole = group[0].area
    for shape in group[1:]:
        whole = whole | shape.area
    return whole


def _enlarged(line: Area, scale: int) -> Area:
    return Area(line.top * scale, line.left * scale, line.bottom * scale, line.right * scale)


def _merged(areas: list[Area]) -> tuple[Area, ...]:
    """Overlapping rectangles as one, from top to bottom."""
    left = sorted(areas, key=lambda area: (area.top, area.left))
    merged: list[Area] = []
    while left:
        area = left.pop(0)
        near = [other for other in left if _touch(area, other)]
        if near:
            left = [other for other in left if other not in near]
            for other in near:
                area = area | other
            left.append(area)
        else:
            merged.append(area)
    return tuple(sorted(merged, key=lambda area: (area.top, area.left)))


def _touch(a: Area, b: Area) -> bool:
    return a.top < b.bottom and b.top < a.bottom and a.left < b.right and b.left < a.right
