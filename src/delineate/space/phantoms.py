"""Phantoms: synthetic scans whose truth is known exactly.

A phantom is drawn first, as a continuous shape in the patient (`Anatomy`), and then sampled on any voxel
grid: the same head on a coarse, an oblique or a very fine grid is the same head. Shapes are implicit
functions of place, negative inside; their irregularity comes from `Waves`, smooth random functions that
are sums of plane waves and so cost one matrix product on any grid. Voxels at a surface hold the mean of
what meets there (partial volume), then come bias field and Rician noise, as in magnetic resonance.

Sources: Gudbjartsson 1995, doi:10.1002/mrm.1910340618 (Rician noise); Sled 1998, doi:10.1109/42.668698
(bias as a smooth factor). Tissue contrasts are typical of 1.5 to 3 T brain protocols; the tumour's nested
labels follow Menze 2015, doi:10.1109/TMI.2014.2377694.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.space.geometry import HALF, Geometry
from delineate.space.labels import Label, LabelMap, LabelSchema, Region, Values
from delineate.space.orientation import world_axes
from delineate.space.triple import Spacing, triple
from delineate.space.volume import Volume

Field = npt.NDArray[np.floating[Any]]  # (i, j, k), one number per voxel, in single precision
Rng = np.random.Generator
Layer = tuple[Field, str]  # an implicit shape, and the tissue that fills it

CHANNELS = ("T1", "T1c", "T2", "FLAIR")

# Signal of each tissue in T1, T1 after contrast agent, T2 and FLAIR; white matter in T1 is 0.75.
TISSUES: dict[str, tuple[float, ...]] = {
    "fat": (1.00, 1.00, 0.65, 0.60),
    "muscle": (0.42, 0.50, 0.28, 0.32),
    "bone": (0.12, 0.13, 0.08, 0.08),
    "fluid": (0.20, 0.21, 1.30, 0.12),
    "grey": (0.54, 0.57, 0.72, 0.72),
    "white": (0.75, 0.78, 0.52, 0.58),
    "oedema": (0.46, 0.48, 1.02, 1.12),
    "enhancing": (0.50, 1.30, 0.86, 0.95),
    "necrosis": (0.30, 0.32, 1.18, 0.55),
}

FOLD_MM = 30.0  # from one gyrus to the next but one
FOLD_SLOPE = 2 * np.pi / FOLD_MM  # of the folds where they cross zero, per mm
HARDLY = 0.6  # of a nucleus that must be to be seen
HEAD_MM = (152.0, 186.0, 164.0)  # extent of a head to the right, to anterior and to superior


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random function of place: a sum of plane waves.

    vectors     (wave, 3) wave vectors in radians per mm of world space
    amplitudes  (wave,) complex: height and phase
    """

    vectors: npt.NDArray[np.float64]
    amplitudes: npt.NDArray[np.complex128]

    @classmethod
    def drawn(cls, rng: Rng, *, length_mm: float, height: float, count: int = 16) -> Waves:
        """Waves of about `length_mm`, in random directions, whose sum has standard deviation `height`."""
        directions = rng.normal(size=(count, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths = length_mm * rng.uniform(0.7, 1.5, size=(count, 1))
        phases = rng.uniform(0, 2 * np.pi, count)
        return cls(2 * np.pi * directions / lengths, height * np.sqrt(2 / count) * np.exp(1j * phases))

    def on(self, grid: Geometry) -> Field:
        """The value at every voxel centre, (i, j, k)."""
        step = self.vectors @ grid.affine[:3, :3]  # radians per voxel
        start = self.amplitudes * np.exp(1j * (self.vectors @ grid.affine[:3, 3]))
        i, j, k = (np.exp(1j * step[:, axis, None] * np.arange(grid.shape[axis])) for axis in range(3))
        plane = ((start[:, None] * i)[:, :, None] * j[:, None, :]).reshape(len(start), -1)
        sides = np.concatenate([plane.real, -plane.imag]).astype(np.float32)
        return np.asarray(sides.T @ np.concatenate([k.real, k.imag]).astype(np.float32)).reshape(grid.shape)


@dataclass(frozen=True)
class Ellipsoid:
    """An axis-parallel ellipsoid in the patient: centre and radii in mm of world space."""

    centre: Spacing
    radii: Spacing

    def on(self, grid: Geometry) -> Field:
        """About the signed distance of every voxel centre to the surface in mm, negative inside."""
        # |f| / |grad f| of the implicit form: exact for balls, near the surface for all; the small
        # terms only keep the centre finite.
        reach: Field = np.zeros(grid.shape, np.float32)
        gradient: Field = np.zeros(grid.shape, np.float32)
        for place, centre, radius in zip(places(grid), self.centre, self.radii, strict=True):
            scaled = (place - np.float32(centre)) / np.float32(radius)
            reach = reach + scaled**2
            gradient = gradient + (scaled / np.float32(radius)) ** 2
        reach, gradient = np.sqrt(reach), np.sqrt(gradient)
        mean = float(np.mean(self.radii))
        return np.asarray((reach - 1) * (reach + 1e-4) / (gradient + 1e-4 / mean), np.float32)


def places(grid: Geometry) -> tuple[Field, Field, Field]:
    """World x, y and z in mm of every voxel centre, each (i, j, k)."""
    i, j, k = np.ogrid[: grid.shape[0], : grid.shape[1], : grid.shape[2]]
    return triple(np.asarray(a * i + b * j + c * k + d, np.float32) for a, b, c, d in grid.affine[:3])


def fraction(shape: Field) -> Field:
    """The share of every voxel that lies inside an implicit shape, from 0 to 1.

    The shape is taken as flat within a voxel; its change across the voxel is seen along the voxel's own
    axes, so thick slices blur more.
    """
    change = np.zeros_like(shape)
    for axis, count in enumerate(shape.shape):
        if count > 1:
            change += np.gradient(shape, axis=axis) ** 2
    width = np.sqrt(change) + np.float32(1e-6)
    return np.asarray(np.clip(np.float32(0.5) - shape / width, 0, 1))


@dataclass(frozen=True, eq=False)
class Anatomy:
    """A head with a tumour, before any voxel: drawn once, sampled on any grid."""

    skull: Ellipsoid  # its outer face
    brain: Ellipsoid
    cerebellum: Ellipsoid
    ventricles: tuple[Ellipsoid, ...]
    nuclei: tuple[Ellipsoid, ...]
    eyes: tuple[Ellipsoid, ...]
    tumour: Ellipsoid
    core: Ellipsoid
    rim_mm: float  # thickness of the enhancing rim
    outline: Waves  # of the head
    folds: Waves  # of the cortex
    ragged: Waves  # edge of the oedema
    lumpy: Waves  # edge of the core

    @classmethod
    def drawn(cls, rng: Rng, *, tumour_mm: float | None = None) -> Anatomy:
        """A head of its own size and form; `tumour_mm` is the tumour's mean radius, drawn if None."""
        size = rng.normal(1, 0.03, 3).clip(0.92, 1.06)
        if tumour_mm is None:
            tumour_mm = float(rng.uniform(9, 14) if rng.random() < 0.25 else rng.uniform(17, 29))
        brain = Ellipsoid((0.0, -2.0, 6.0), _scaled((62, 79, 63), size))
        tumour, core = _drawn_tumour(rng, brain, tumour_mm)
        widths = rng.uniform(0.7, 1.35)
        return cls(
            skull=Ellipsoid((0.0, 0.0, 0.0), _scaled((72, 89, 78), size)),
            brain=brain,
            cerebellum=Ellipsoid((0.0, -48.0, -36.0), _scaled((48, 29, 25), size)),
            ventricles=(
                *_pair((11.0, 8.0, 16.0), _scaled((6, 27, 9), size * widths)),
                *_pair((19.0, -24.0, 9.0), _scaled((6, 15, 8), size * widths)),
                Ellipsoid((0.0, -2.0, 0.0), _scaled((2.5, 12, 9), size * widths)),
            ),
            nuclei=(
                *_pair((25.0, 4.0, 4.0), _scaled((7, 17, 10), size)),
                *_pair((10.0, -12.0, 3.0), _scaled((7, 13, 8), size)),
            ),
            eyes=_pair((32.0, 74.0, -36.0), (12.0, 12.0, 12.0)),
            tumour=tumour,
            core=core,
            rim_mm=float(rng.uniform(3.5, 6.0)),
            outline=Waves.drawn(rng, length_mm=110, height=1.6),
            folds=Waves.drawn(rng, length_mm=FOLD_MM, height=1.0, count=48),
            ragged=Waves.drawn(rng, length_mm=26, height=0.13 * tumour_mm, count=24),
            lumpy=Waves.drawn(rng, length_mm=17, height=0.07 * tumour_mm, count=24),
        )

    def layers(self, grid: Geometry) -> tuple[Layer, ...]:
        """Every shape on a grid with the tissue that fills it; later ones cover earlier ones."""
        x, y, z = places(grid)
        outline = self.outline.on(grid)
        head = self.skull.on(grid) - 6 + outline
        floor = -(
            z
            + 38
            + 0.2 * y
            + 22 * np.exp(-((y + 48) ** 2) / 700)
            + 7 * np.exp(-((np.abs(x) - 36) ** 2) / 300)
        )
        inner = _both(self.brain.on(grid) - 5 + outline, floor)
        cerebellum = self.cerebellum.on(grid)
        # A sulcus is a sheet of fluid where the folds cross zero, down to a depth; cortex lines it.
        sheet = np.abs(self.folds.on(grid)) / FOLD_SLOPE
        sulci = _both(sheet - 0.8, -(inner + 12))
        fissure = np.abs(x) - 1.2 + 0.25 * np.maximum(0, 26 - z)
        outside = -np.minimum(np.minimum(sulci, fissure), cerebellum - 2)
        brain = _both(inner + 2.5, outside)
        white = _both(_both(inner + 6.5, -_both(sheet - 4.0, -(inner + 16))), outside + 3)
        ventricles = _any(shape.on(grid) for shape in self.ventricles)
        tissue = _both(_both(inner + 3.5, 2.5 - cerebellum), _both(0.5 - fissure, 1 - ventricles))
        tumour = _both(self.tumour.on(grid) + self.ragged.on(grid), tissue)
        core = _both(self.core.on(grid) + self.lumpy.on(grid), tumour + 1)
        little = _both(cerebellum, inner + 3)
        return (
            (head, "fat"),
            (head + 5, "muscle"),
            (_any(shape.on(grid) for shape in self.eyes), "fluid"),
            (_both(inner - 5.5, head + 4), "bone"),
            (inner, "fluid"),
            (brain, "grey"),
            (white, "white"),
            (little, "grey"),
            (little + 5 + 2 * sheet / (1 + sheet), "white"),
            (_any(shape.on(grid) for shape in self.nuclei), "grey"),
            (ventricles, "fluid"),
            (tumour, "oedema"),
            (core, "enhancing"),
            (core + self.rim_mm, "necrosis"),
        )


def head_schema() -> LabelSchema:
    """Nested tumour labels: three values, learnt and judged as three regions."""
    labels = (
        Label(value=1, name="necrotic core"),
        Label(value=2, name="oedema"),
        Label(value=3, name="enhancing"),
    )
    regions = (
        Region(name="whole tumour", values=(1, 2, 3), paints=2),
        Region(name="tumour core", values=(1, 3), paints=1),
        Region(name="enhancing tumour", values=(3,), paints=3),
    )
    return LabelSchema(labels=labels, regions=regions)


def head_grid(rng: Rng, *, spacing_mm: float = 3.0) -> Geometry:
    """A grid as scanners give them, over a whole head: its own angle, axes, offset and slices.

    One in three has slices of nearly twice `spacing_mm`, half are oblique by up to 14 degrees, and the
    axes run in one of several orders and directions.
    """
    thick = rng.random() < 1 / 3
    code = str(rng.choice(["RAS", "LPS", "LAS"] if thick else ["RAS", "LPS", "LAS", "ASR"]))
    wanted = spacing_mm * rng.uniform(0.9, 1.1) * np.array([1, 1, rng.uniform(1.6, 1.9) if thick else 1])
    tilt = rng.normal(size=3) * np.deg2rad(14) / 3 if rng.random() < 0.5 else np.zeros(3)
    linear = np.zeros((3, 3))
    for axis, world in enumerate(world_axes(code)):
        linear[world, axis] = wanted[axis] * (1 if code[axis] in "RAS" else -1)
    extent = np.array([HEAD_MM[world] for world in world_axes(code)])
    shape = triple(int(n) for n in np.ceil(extent / wanted))
    affine = np.eye(4)
    affine[:3, :3] = _rotation(tilt) @ linear
    middle = np.array(shape) / 2 - HALF
    affine[:3, 3] = rng.uniform(-3, 3, 3) - affine[:3, :3] @ middle
    return Geometry(shape, affine)


def head(
    rng: Rng, *, grid: Geometry | None = None, spacing_mm: float = 3.0, tumour_mm: float | None = None
) -> tuple[Volume, LabelMap]:
    """A head with a tumour: T1, T1 with contrast agent, T2 and FLAIR, and the true labels.

    The grid is drawn by `head_grid` at about `spacing_mm` unless one is given; `tumour_mm` is the mean
    radius of the tumour with its oedema, drawn (one in four small) if None.
    """
    grid = head_grid(rng, spacing_mm=spacing_mm) if grid is None else grid
    layers = Anatomy.drawn(rng, tumour_mm=tumour_mm).layers(grid)
    scan = _noisy(rng, _biased(rng, _painted(rng, layers, grid), grid))
    labels = np.zeros(grid.shape, np.uint8)
    for (shape, _), value in zip(layers[-3:], (2, 3, 1), strict=True):
        labels[shape < 0] = value
    return Volume(scan, grid, CHANNELS), LabelMap(labels, grid, head_schema())


def balls(rng: Rng, *, size: int = 24, noise: float = 0.1) -> tuple[Volume, LabelMap]:
    """Two balls of different size and brightness in a tiny scan of one channel: for fast tests.

    The grid has `size` voxels of about 1 mm along each axis, a little anisotropic, in a random place.
    """
    spacing = rng.uniform(0.9, 1.1, 3)
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = rng.uniform(-50, 50, 3)
    grid = Geometry((size, size, size), affine)
    side = rng.permutation([0.27, 0.72])
    labels = np.zeros(grid.shape, np.uint8)
    scan = np.zeros(grid.shape, np.float32)
    for value, (place, share) in enumerate(zip(side, (0.21, 0.15), strict=True), 1):
        middle = grid.to_world(size * np.array([place, *rng.uniform(0.38, 0.62, 2)]))
        radius = share * size * float(spacing[0] * rng.uniform(0.9, 1.1))
        ball = Ellipsoid(triple(float(c) for c in middle), (radius, radius, radius)).on(grid)
        scan += value * fraction(ball)
        labels[ball < 0] = value
    scan += rng.normal(0, noise, grid.shape).astype(np.float32)
    return Volume(scan[None], grid), LabelMap(labels, grid, LabelSchema.of("large ball", "small ball"))


def sparse(rng: Rng, *, size: int = 64, share: float = 0.001) -> tuple[Volume, LabelMap]:
    """Scattered lesions that fill about `share` of a scan of one channel (multiple sclerosis, nodules)."""
    grid = Geometry((size, size, size), np.diag([1.0, 1.0, 1.0, 1.0]))
    count = 5
    volumes = share * size**3 * rng.dirichlet(np.full(count, 4.0))
    radii = np.cbrt(volumes * 3 / (4 * np.pi))
    margin = float(radii.max()) + 1
    corners = rng.permutation(8)[:count]  # one lesion to an octant: they never merge
    octants = np.stack(np.unravel_index(corners, (2, 2, 2)), axis=-1) * (size / 2)
    centres = octants + rng.uniform(margin, size / 2 - margin, (count, 3))
    lesions = _any(
        Ellipsoid(triple(float(c) for c in centre), (float(radius),) * 3).on(grid)
        for centre, radius in zip(centres, radii, strict=True)
    )
    scan = 1 + Waves.drawn(rng, length_mm=size / 3, height=0.15).on(grid) + fraction(lesions)
    scan += rng.normal(0, 0.08, grid.shape).astype(np.float32)
    labels = (lesions < 0).astype(np.uint8)
    return Volume(scan[None].astype(np.float32), grid), LabelMap(labels, grid, LabelSchema.of("lesion"))


def cells(rng: Rng, *, size: int = 96) -> tuple[Volume, LabelMap]:
    """A stained white blood cell among red ones: an RGB picture with cytoplasm and nucleus."""
    grid = Geometry.of_image((size, size))
    unit = size / 96  # everything below is drawn for 96 pixels
    wobble = Waves.drawn(rng, length_mm=30 * unit, height=1.5 * unit)
    cell = _disc(rng, grid, rng.uniform(0.38, 0.62, 2), rng.uniform(22, 27) * unit) + wobble.on(grid)
    lobes = [
        _disc(rng, grid, rng.uniform(0.42, 0.58, 2), rng.uniform(8, 13) * unit)
        for _ in range(rng.integers(1, 4))
    ]
    nucleus = _both(_any(lobes) + 0.6 * wobble.on(grid), cell + 2 * unit)
    red = _any(_disc(rng, grid, rng.uniform(0, 1, 2), rng.uniform(9, 12) * unit) for _ in range(9))
    paper, blood, cytoplasm, chromatin = (
        np.clip(np.array(colour) + rng.normal(0, 7, 3), 0, 255)
        for colour in ((236, 226, 222), (214, 158, 150), (190, 172, 208), (104, 58, 142))
    )
    scan = np.broadcast_to(paper[:, None, None, None], (3, *grid.shape)).astype(np.float32)
    for shape, colour in ((_both(red, -cell), blood), (cell, cytoplasm), (nucleus, chromatin)):
        share = fraction(shape)
        scan = scan * (1 - share) + share * np.asarray(colour, np.float32)[:, None, None, None]
    scan *= 1 + Waves.drawn(rng, length_mm=9 * unit, height=0.03).on(grid)
    scan += rng.normal(0, 4, scan.shape)
    labels = np.zeros(grid.shape, np.uint8)
    labels[cell < 0], labels[nucleus < 0] = 1, 2
    picture = np.clip(np.round(scan), 0, 255).astype(np.uint8)
    schema = LabelSchema.of("cytoplasm", "nucleus")
    return Volume(picture, grid, ("red", "green", "blue")), LabelMap(labels, grid, schema)


def nuclei(rng: Rng, *, size: int = 96, count: int = 14) -> tuple[Volume, Values]:
    """Glowing nuclei on a dark ground, some of which touch: a grey picture, and which is which.

    The ids (i, j, k) are 1 to n in no order; where two cover each other a pixel is of the one that it lies
    deeper in. A nucleus of which hardly anything is left is not drawn.
    """
    grid = Geometry.of_image((size, size))
    unit = size / 96  # everything below is drawn for 96 pixels
    shapes: list[Field] = []
    for _ in range(count):
        shape = _disc(rng, grid, rng.uniform(0.04, 0.96, 2), rng.uniform(4, 10) * unit)
        own = shape < np.minimum.reduce([np.zeros_like(shape), *shapes])
        if own.sum() > HARDLY * (shape < 0).sum() > 0:
            shapes.append(shape)
    depth = np.stack([np.zeros(grid.shape, np.float32), *shapes])
    ids = depth.argmin(axis=0)
    kept = np.unique(ids, return_inverse=True)[1].reshape(grid.shape)
    scan = np.full(grid.shape, 18.0) + 6 * Waves.drawn(rng, length_mm=30 * unit, height=1.0).on(grid)
    for number, shape in enumerate(shapes, 1):
        share = fraction(shape) * ((ids == number) | (ids == 0))
        scan += share * (rng.uniform(70, 190) - scan)
    scan += rng.normal(0, 4, grid.shape)
    picture = np.clip(np.round(scan), 0, 255).astype(np.uint8)
    return Volume(picture[None], grid, ("image",)), kept.astype(np.int32)


def _painted(rng: Rng, layers: tuple[Layer, ...], grid: Geometry) -> Field:
    """Signal (channel, i, j, k) with partial volume: each tissue varies a little between heads."""
    scan = np.zeros((len(CHANNELS), *grid.shape), np.float32)
    for shape, tissue in layers:
        signal = np.array(TISSUES[tissue]) * rng.normal(1, 0.04, len(CHANNELS))
        share = fraction(shape)
        scan += share * (signal.astype(np.float32)[:, None, None, None] - scan)
    return scan


def _biased(rng: Rng, scan: Field, grid: Geometry) -> Field:
    """Each channel with its own smooth shading and fine texture."""
    shading = [Waves.drawn(rng, length_mm=220, height=0.12) for _ in scan]
    texture = [Waves.drawn(rng, length_mm=14, height=0.02, count=24) for _ in scan]
    factors = [np.exp(a.on(grid) + b.on(grid)) for a, b in zip(shading, texture, strict=True)]
    return np.asarray(scan * np.stack(factors))


def _noisy(rng: Rng, scan: Field) -> Field:
    """Magnitudes of a complex signal with noise in both parts, in each scanner's own units."""
    sd = np.float32(rng.uniform(0.02, 0.05))
    real, imaginary = (sd * rng.standard_normal(scan.shape, np.float32) for _ in range(2))
    units = rng.uniform(150, 1500, (len(scan), 1, 1, 1)).astype(np.float32)
    return np.asarray(units * np.hypot(scan + real, imaginary))


def _drawn_tumour(rng: Rng, brain: Ellipsoid, radius: float) -> tuple[Ellipsoid, Ellipsoid]:
    """The tumour with its oedema, and the core off its centre: in one hemisphere, above the base."""
    side = rng.choice([-1.0, 1.0])
    angle, height = rng.uniform(-2.4, 2.4), rng.uniform(-0.1, 0.5)
    reach = rng.uniform(0.5, 0.68)
    direction = np.array([side * max(0.6, abs(np.cos(angle))), np.sin(angle), height])
    direction *= reach / np.linalg.norm(direction)
    centre = np.array(brain.centre) + direction * brain.radii
    radii = radius * rng.uniform(0.85, 1.15, 3)
    core = centre + rng.uniform(-0.15, 0.15, 3) * radius
    core_radii = radii * rng.uniform(0.58, 0.7)
    tumour = Ellipsoid(_triple(centre), _triple(radii))
    return tumour, Ellipsoid(_triple(core), _triple(core_radii))


def _disc(rng: Rng, grid: Geometry, place: npt.NDArray[np.float64], radius: float) -> Field:
    """A slightly oval disc at a place given as shares of the picture's width and height."""
    middle = grid.to_world(np.array([*(place * grid.shape[:2]), 0.0]))
    radii = radius * rng.uniform(0.9, 1.1, 2)
    return Ellipsoid(_triple(middle), (float(radii[0]), float(radii[1]), 1e3)).on(grid)


def _pair(centre: Spacing, radii: Spacing) -> tuple[Ellipsoid, Ellipsoid]:
    """The same on both sides."""
    return Ellipsoid(centre, radii), Ellipsoid((-centre[0], *centre[1:]), radii)


def _both(a: Field, b: Field) -> Field:
    return np.maximum(a, b)


def _any(shapes: Any) -> Field:
    return np.asarray(np.minimum.reduce(list(shapes)))


def _scaled(radii: tuple[float, float, float], size: npt.NDArray[np.float64]) -> Spacing:
    return _triple(np.array(radii) * size)


def _triple(values: npt.NDArray[np.float64]) -> Spacing:
    return triple(float(value) for value in values)


def _rotation(angles: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The rotation (3, 3) about the vector `angles`, by its length in radians (Rodrigues)."""
    angle = float(np.linalg.norm(angles))
    if angle == 0:
        return np.eye(3)
    x, y, z = angles / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.asarray(np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross)
