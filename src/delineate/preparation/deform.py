"""Deform: rotation, scaling and elastic displacement of a patch, in one interpolation.

A deformation says, for every voxel of the patch, where in the source it is read:

    source = A (voxel - centre of the patch) + displacement + centre of the source     [voxels]

so patch and source share their centre, and only as much of the source is read as `reach` asks for.
Angles turn voxel axes into each other whatever the spacing, as in nnU-Net. Positions are divided by the
size of the source once, in the convention of `grid_sample(align_corners=False)`: -1 and 1 are the outer
faces, so a position measured from the centre is 2 position / size, with nothing to add.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

from delineate.errors import GeometryError
from delineate.planning.plan import Augmentation
from delineate.preparation.transform import draw_seed, happens, uniform

Matrix = npt.NDArray[np.float64]
Edges = tuple[int, ...]

TOLERANCE = 1e-4  # voxels: what a position may pass the edge of the source by rounding


@dataclass(frozen=True)
class Elastic:
    """A smooth random displacement: a cubic B-spline through a coarse grid of random arrows.

    largest  the largest displacement along each moving axis, in voxels
    grid     distance of the arrows along each moving axis, in voxels
    seed     of the arrows

    At a sixth of the distance of the arrows and less, as by default, no voxels change places.
    Source: Rueckert 1999, doi:10.1109/42.796284 (the spline).
    """

    largest: tuple[float, ...]
    grid: tuple[float, ...]
    seed: int

    def displacement(self, edges: Edges, device: torch.device) -> Tensor:
        """(axis, *edges): how far from home each voxel is read, in voxels."""
        lines = [_spline_weights(n, step) for n, step in zip(edges, self.grid, strict=True)]
        arrows = (len(edges), *(line.shape[1] for line in lines))
        start = np.random.default_rng(self.seed).uniform(-1, 1, arrows)
        field = torch.from_numpy(start.astype(np.float32)).to(device)
        for axis, line in enumerate(lines, 1):
            field = _spread(field, torch.from_numpy(line.astype(np.float32)).to(device), axis)
        largest = torch.tensor(self.largest, device=device).reshape(-1, *(1 for _ in edges))
        return field.mul_(largest / field.abs().amax(tuple(range(1, field.ndim)), keepdim=True))


@dataclass(frozen=True)
class Deform:
    """A deformation of a patch of two or three spatial axes.

    axes        the spatial axes that move: all, or two of three, when every slice across the third
                is deformed alike and none reads another
    angles_deg  by how much the object turns: one angle in a plane, from the first moving axis
                towards the second; in space one about each axis, about the first first, each from
                the next axis towards the one after it (about 0: from 1 to 2, about 1: from 2 to 0)
    scale       by what the object is divided: 1.4 shows a larger piece of the source, smaller
    elastic     a displacement on top
    """

    axes: tuple[int, ...]
    angles_deg: tuple[float, ...] = ()
    scale: float = 1.0
    elastic: Elastic | None = None

    @property
    def is_identity(self) -> bool:
        """Whether nothing moves, so that a patch is an exact copy."""
        return not any(self.angles_deg) and self.scale == 1 and self.elastic is None

    @property
    def matrix(self) -> Matrix:
        """A: voxels from the centre of the patch -> voxels from the centre of the source."""
        dims = len(self.axes)
        turned = np.eye(dims)
        planes = ((0, 1),) if dims == 2 else ((1, 2), (2, 0), (0, 1))
        for angle, (first, second) in zip(self.angles_deg, planes, strict=False):
            turned = _rotation(angle, first, second, dims) @ turned
        return np.asarray(turned.T * self.scale)  # reading goes backwards

    def reach(self, edges: Edges) -> Edges:
        """The edges of the source box, centred on the patch, that holds all that is read."""
        if self.is_identity:
            return edges
        half = (np.array([edges[axis] for axis in self.axes]) - 1) / 2
        needed = np.abs(self.matrix) @ half
        if self.elastic is not None:
            needed = needed + self.elastic.largest
        result = list(edges)
        for axis, own, far in zip(self.axes, half, needed, strict=True):
            result[axis] += 2 * math.ceil(far - own - TOLERANCE)
        return tuple(result)

    def reading(self, edges: Edges, source: Edges, device: torch.device) -> Reading:
        """Where a patch of `edges` is read in a source of those edges, ready for image and labels."""
        if self.is_identity:
            return Reading(edges, self.axes, None)
        moving, sizes = ([shape[axis] for axis in self.axes] for shape in (edges, source))
        moved = None if self.elastic is None else self.elastic.displacement(tuple(moving), device)
        grid = torch.empty((*moving, len(moving)), dtype=torch.float32, device=device)
        steps = [torch.arange(n, dtype=torch.float64) - (n - 1) / 2 for n in moving]
        for axis, (row, size) in enumerate(zip(self.matrix * 2, sizes, strict=True)):
            position = grid[..., len(moving) - 1 - axis].zero_()  # grid_sample counts from the last axis
            for other, step in enumerate(steps):
                line = (step * (row[other] / size)).to(grid)
                position.add_(line.reshape([-1 if other == a else 1 for a in range(len(moving))]))
            if moved is not None:
                position.add_(moved[axis], alpha=2 / size)
        return Reading(edges, self.axes, grid)


@dataclass(frozen=True, eq=False)
class Reading:
    """Where every voxel of a patch is read.

    edges  of the patch
    axes   the spatial axes that move
    grid   (*moving edges, moving axis, the last first), or None for the middle of the source as it is
    """

    edges: Edges
    axes: tuple[int, ...]
    grid: Tensor | None

    def image(self, source: Tensor) -> Tensor:
        """The patch (channel, *edges) of an image (channel, *source), trilinear; beyond it zero."""
        return self._read(source, "bilinear")  # torch's word in three dimensions too

    def labels(self, source: Tensor, *, outside: int = 0) -> Tensor:
        """The patch (channel, *edges) of whole numbers (channel, *source); beyond it `outside`.

        Every voxel gets the label that is nearest to where it is read. Interpolating each label on
        its own, and taking the strongest, costs one pass per label (2 s for a 128-cube of a hundred
        labels) and moves boundaries by a fraction of a voxel at random, which averages out.
        """
        if self.grid is None:
            return _centre(source, self.edges)
        shifted = source.to(torch.float32) - outside  # what lies beyond is read as zero
        return (self._read(shifted, "nearest") + outside).round_().to(source.dtype)

    def _read(self, source: Tensor, mode: str) -> Tensor:
        if self.grid is None:
            return _centre(source, self.edges)
        still = [axis for axis in range(len(self.edges)) if axis not in self.axes]
        held = [self.edges[axis] if axis in still else n for axis, n in enumerate(source.shape[1:])]
        first, home = list(range(1, 1 + len(still))), [1 + axis for axis in still]
        slices = _centre(source, tuple(held)).movedim(home, first)  # (channel, still, *moving)
        lead, moving = slices.shape[: 1 + len(still)], slices.shape[1 + len(still) :]
        patch = functional.grid_sample(
            slices.reshape(1, -1, *moving),
            self.grid[None],
            mode=mode,
            padding_mode="zeros",
            align_corners=False,
        )
        return patch.reshape(*lead, *patch.shape[2:]).movedim(first, home)


def draw_deform(rng: np.random.Generator, augmentation: Augmentation, spacing: tuple[float, ...]) -> Deform:
    """A rotation, a scaling and a displacement, each with its own probability.

    spacing  mm along each spatial axis of the network; displacements are drawn in mm
    """
    a = augmentation
    axes = tuple(axis for axis in range(len(spacing)) if axis != a.flat_axis)
    angles: tuple[float, ...] = ()
    scale, elastic = 1.0, None
    if happens(rng, a.rotation_probability):
        angles = tuple(uniform(rng, a.rotation_deg) for _ in range(3 if len(axes) == 3 else 1))
    if happens(rng, a.scale_probability):
        scale = uniform(rng, a.scale)
    if happens(rng, a.elastic_probability):
        largest_mm = uniform(rng, a.elastic_displacement_mm)
        elastic = Elastic(
            tuple(largest_mm / spacing[axis] for axis in axes),
            tuple(a.elastic_grid_mm / spacing[axis] for axis in axes),
            draw_seed(rng),
        )
    return Deform(axes, angles, scale, elastic)


def _rotation(angle_deg: float, first: int, second: int, dims: int) -> Matrix:
    """The matrix that turns axis `first` towards axis `second`; exact at right angles."""
    cos, sin = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    if angle_deg % 90 == 0:
        cos, sin = round(cos), round(sin)
    result = np.eye(dims)
    result[first, first] = result[second, second] = cos
    result[second, first], result[first, second] = sin, -sin
    return result


def _spline_weights(edge: int, step: float) -> npt.NDArray[np.float64]:
    """(edge, arrow): the weight of each arrow at each voxel; the arrows lie about the centre.

    The weights of a voxel are non-negative and sum to 1: no displacement exceeds all its arrows.
    """
    pieces = max(1, math.ceil((edge - 1) / step))
    places = 1 + pieces / 2 + (np.arange(edge) - (edge - 1) / 2) / step
    t = np.abs(places[:, None] - np.arange(pieces + 3))
    near = 2 / 3 - t**2 + t**3 / 2
    far = np.clip(2 - t, 0, None) ** 3 / 6
    return np.asarray(np.where(t < 1, near, far))


def _spread(arrows: Tensor, weights: Tensor, axis: int) -> Tensor:
    """The spline along one axis: (..., arrow, ...) and (edge, arrow) -> (..., edge, ...)."""
    shape = [-1 if a == axis else 1 for a in range(arrows.ndim)]
    first, *others = range(weights.shape[1])
    result = arrows.narrow(axis, first, 1) * weights[:, first].reshape(shape)
    for arrow in others:
        result.addcmul_(arrows.narrow(axis, arrow, 1), weights[:, arrow].reshape(shape))
    return result


def _centre(source: Tensor, edges: Edges) -> Tensor:
    """The middle of (channel, *source); half a voxel cannot be copied."""
    margins = [n - edge for n, edge in zip(source.shape[1:], edges, strict=True)]
    if any(margin < 0 or margin % 2 for margin in margins):
        raise GeometryError(
            f"a patch of {' x '.join(map(str, edges))} voxels is not the middle of a source of "
            f"{' x '.join(map(str, source.shape[1:]))}; read the box that `reach` says"
        )
    for axis, (margin, edge) in enumerate(zip(margins, edges, strict=True), 1):
        source = source.narrow(axis, margin // 2, edge)
    return source
