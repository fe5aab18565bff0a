"""Place: another grid, another field of view, another way to lie; labels go along."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from delineate.shift.kind import Example, Rng, float_values, plane_axes
from delineate.space import Box, Geometry, Volume, triple

FWHM = 2 * math.sqrt(2 * math.log(2))  # of a Gaussian, in standard deviations


def blur(example: Example, fwhm: float, rng: Rng) -> Example:
    """A Gaussian of so many millimetres at half height, along every axis."""
    values = float_values(example.scan)
    sigmas = [
        0.0 if n == 1 else fwhm / FWHM / step
        for n, step in zip(values.shape[1:], example.scan.geometry.spacing, strict=True)
    ]
    for channel in values:
        channel[...] = ndimage.gaussian_filter(channel, sigmas, mode="nearest")
    return example.with_values(values)


def thick_slices(example: Example, factor: float, rng: Rng) -> Example:
    """Slices so many times as thick, without gaps: each the mean of what lies in it."""
    scan = example.scan
    across = ({0, 1, 2} - {*plane_axes(scan)}).pop()
    return _coarser(example, triple(factor if axis == across else 1.0 for axis in range(3)))


def low_resolution(example: Example, factor: float, rng: Rng) -> Example:
    """Pixels so many times as wide within the slices, each the mean of what lies in it."""
    plane = plane_axes(example.scan)
    return _coarser(example, triple(factor if axis in plane else 1.0 for axis in range(3)))


def field_of_view(example: Example, percent: float, rng: Rng) -> Example:
    """A scan that is so many per cent shorter along every axis; where it is cut, the generator says."""
    shape = example.scan.geometry.shape
    where = rng.random(3)
    kept = [n if n == 1 else max(1, round(n * (1 - percent / 100))) for n in shape]
    start = triple(math.floor(w * (n - k + 1)) for w, n, k in zip(where, shape, kept, strict=True))
    box = Box(start, triple(a + k for a, k in zip(start, kept, strict=True)))
    scan = example.scan.cropped(box)
    labels = replace(example.labels, array=example.labels.array[box.slices], geometry=scan.geometry)
    return Example(scan, labels)


def rotation(example: Example, degrees: float, rng: Rng) -> Example:
    """The patient turned by so many degrees within the slices; what comes into view is dark."""
    scan = example.scan
    turned = _turned(scan.geometry, plane_axes(scan), degrees)
    darkest = float(scan.array.min())
    values = Volume(float_values(scan), turned, scan.channels, scan.source).resampled(
        scan.geometry, order=1, outside=darkest
    )
    labels = replace(example.labels, geometry=turned).resampled(scan.geometry)
    return Example(values, labels)


def _turned(grid: Geometry, plane: tuple[int, int], degrees: float) -> Geometry:
    """The grid turned about its middle, in millimetres, from the first axis of a plane to the second."""
    first, second = (grid.affine[:3, axis] / np.linalg.norm(grid.affine[:3, axis]) for axis in plane)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    turn = np.eye(3) + (cos - 1) * (np.outer(first, first) + np.outer(second, second))
    turn += sin * (np.outer(second, first) - np.outer(first, second))
    middle = grid.to_world((np.array(grid.shape) - 1) / 2)
    affine = np.eye(4)
    affine[:3, :3] = turn @ grid.affine[:3, :3]
    affine[:3, 3] = turn @ (grid.affine[:3, 3] - middle) + middle
    return Geometry(grid.shape, affine)


def _coarser(example: Example, factors: tuple[float, float, float]) -> Example:
    """Voxels larger by these factors, each the mean of what lies in it."""
    scan = example.scan
    grid = scan.geometry.respaced(triple(s * f for s, f in zip(scan.geometry.spacing, factors, strict=True)))
    values = float_values(scan)
    for axis, (here, there) in enumerate(zip(scan.geometry.shape, grid.shape, strict=True), 1):
        if there != here:
            values = _averaged(values, there, axis)
    labels = example.labels.resampled(grid)
    return Example(Volume(values, grid, scan.channels, scan.source), labels)


def _averaged(values: npt.NDArray[np.float32], count: int, axis: int) -> npt.NDArray[np.float32]:
    """`count` means of equal stretches of an axis; a voxel on a border counts for its share."""
    size = values.shape[axis]
    edges = np.linspace(0, size, count + 1)
    before = np.arange(size)
    low, high = edges[:-1, None], edges[1:, None]
    shares = np.clip(np.minimum(high, before + 1) - np.maximum(low, before), 0, None)
    weights = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(np.tensordot(values, weights, (axis, 1)), -1, axis))
