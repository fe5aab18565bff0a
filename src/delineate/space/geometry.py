"""Geometry: a grid of voxels placed in the patient.

Conventions, used everywhere in this package
    index   (i, j, k)   voxel centres sit on whole numbers, the first at (0, 0, 0)
    world   (x, y, z)   millimetres, RAS+: x to the patient's Right, y Anterior, z Superior
    arrays  image (channel, i, j, k), labels (i, j, k), network (batch, channel, i, j, k)

Only `io` and `clinic` speak other dialects (DICOM and ITK are LPS+, ITK arrays are k, j, i).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.space.box import Box
from delineate.space.orientation import orientation_of, turn
from delineate.space.triple import Shape, Spacing, triple

Points = npt.NDArray[np.float64]  # (..., 3)

HALF = np.full(3, 0.5)  # from a voxel's centre to its corner, in voxels


@dataclass(frozen=True, eq=False, repr=False)
class Geometry:
    """A voxel grid: how many voxels, and the affine that places them in the patient.

    shape   voxels along (i, j, k)
    affine  (4, 4), voxel index -> world in mm; copied and made read-only
    """

    shape: Shape
    affine: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        affine = np.array(self.affine, dtype=np.float64)
        if affine.shape != (4, 4):
            raise GeometryError(f"an affine is (4, 4), this one is {affine.shape}")
        if not np.isfinite(affine).all():
            raise GeometryError(f"this affine holds NaN or infinity: {affine.tolist()}")
        sizes = np.linalg.norm(affine[:3, :3], axis=0)
        # Relative to the voxel: a microscope's voxels are a millionth of a cubic millimetre.
        if not sizes.all() or abs(np.linalg.det(affine[:3, :3] / sizes)) < 1e-4:
            raise GeometryError(f"this affine gives voxels no volume: {affine[:3, :3].tolist()}")
        shape = triple(int(n) for n in self.shape)
        if min(shape) < 1:
            raise GeometryError(f"a grid has at least one voxel along each axis, got {shape}")
        object.__setattr__(self, "shape", shape)
        affine.setflags(write=False)
        object.__setattr__(self, "affine", affine)

    @property
    def spacing(self) -> Spacing:
        """Voxel size in mm along (i, j, k)."""
        return triple(float(size) for size in np.linalg.norm(self.affine[:3, :3], axis=0))

    @property
    def orientation(self) -> str:
        """Where the voxel axes run, to the nearest axis of the patient: "RAS", "LPS", ..."""
        return orientation_of(self.affine)

    @property
    def voxel_ml(self) -> float:
        """Volume of one voxel in millilitres."""
        return float(abs(np.linalg.det(self.affine[:3, :3]))) / 1000.0

    @property
    def is_flat(self) -> bool:
        """Whether this is a 2D image: one voxel thick along k."""
        return self.shape[2] == 1

    @classmethod
    def of_image(cls, shape: tuple[int, int], spacing: tuple[float, float] = (1.0, 1.0)) -> Geometry:
        """The grid of a picture: `shape` (columns, rows), i to the patient's left, j to posterior."""
        affine = np.diag([-spacing[0], -spacing[1], 1.0, 1.0])
        return cls((shape[0], shape[1], 1), affine)

    def reoriented(self, orientation: str) -> Geometry:
        """The same voxels in the same places, with the axes in another order and direction."""
        order, flips = turn(self.orientation, orientation)
        step = np.zeros((4, 4))
        step[3, 3] = 1
        for axis, (old, flip) in enumerate(zip(order, flips, strict=True)):
            step[old, axis] = -1 if flip else 1
            step[old, 3] = self.shape[old] - 1 if flip else 0
        return Geometry(triple(self.shape[old] for old in order), self.affine @ step)

    def to_world(self, index: Points) -> Points:
        """Voxel indices (..., 3) -> world positions (..., 3) in mm."""
        return np.asarray(index @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, world: Points) -> Points:
        """World positions (..., 3) in mm -> fractional voxel indices (..., 3)."""
        return np.asarray((world - self.affine[:3, 3]) @ np.linalg.inv(self.affine[:3, :3]).T)

    def cropped(self, box: Box) -> Geometry:
        """The grid of the voxels in `box`, each where it was. A box that sticks out pads."""
        affine = self.affine.copy()
        affine[:3, 3] = self.to_world(np.array(box.start, dtype=float))
        return Geometry(box.shape, affine)

    def respaced(self, spacing: Spacing) -> Geometry:
        """A grid over the same tissue with voxels as near `spacing` (mm) as fit.

        The outer faces stay where they are and the voxel count is rounded, so the spacing
        that comes out is extent / voxels, not exactly the one asked for.
        """
        extent = np.array(self.shape) * self.spacing  # mm
        shape = triple(int(n) for n in np.maximum(1, np.round(extent / spacing)))
        affine = self.affine.copy()
        affine[:3, :3] *= np.array(self.shape) / shape
        outer_corner = self.to_world(-HALF)
        affine[:3, 3] = outer_corner + affine[:3, :3] @ HALF
        return Geometry(shape, affine)

    def respaced_from_first(self, spacing: Spacing) -> Geometry:
        """A grid of exactly `spacing` (mm) whose first voxel centre is where this one's is.

        The last centre is the one nearest to this grid's last.
        """
        reach = (np.array(self.shape) - 1) * self.spacing  # mm between the outermost centres
        shape = triple(int(n) for n in np.round(reach / spacing + 1))
        affine = self.affine.copy()
        affine[:3, :3] *= np.array(spacing) / self.spacing
        return Geometry(shape, affine)

    def corners(self) -> Points:
        """(8, 3) world positions in mm of the outer corners of the grid."""
        ends = [(-0.5, n - 0.5) for n in self.shape]
        return self.to_world(np.array(list(product(*ends))))

    def same_place(self, other: Geometry, *, tolerance_mm: float = 1e-3) -> bool:
        """Whether the two grids have the same voxels in the same place, to `tolerance_mm`."""
        if self.shape != other.shape:
            return False
        return float(np.abs(self.corners() - other.corners()).max()) <= tolerance_mm

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.shape))
        size = " x ".join(f"{s:.3g}" for s in self.spacing)
        return f"Geometry({shape} voxels of {size} mm)"
