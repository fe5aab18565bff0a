"""Faces: what is in front of and below the brain in a scan of a head is cut away, by geometry alone.

The head is what is brighter than air. Three places on it give a plane: the vertex (its highest place), the
forehead (its foremost place at the height of the brain) and the back of it. From a little behind the forehead
and below the frontal lobes the plane falls to the back, in front of the temporal lobes; eyes, nose, mouth and
chin lie below and in front of it and get the value of air, with the air around them.

The numbers are shares of the head's length, chosen so that in the MNI 152 space the plane passes below the
frontal and in front of the temporal lobes with a centimetre to spare (Talairach heights after Lancaster 2007,
doi:10.1002/hbm.20345), and checked on the phantoms and on real heads. The idea, a plane instead of a matched
atlas, is that of mri_deface and pydeface without their registration: it assumes that the head is not turned or
nodded by more than about 15 degrees. Ears stay. A head that the picture cuts at the top or in front is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.space import Geometry, Volume, resample
from delineate.space.phantoms import places

Mask = npt.NDArray[np.bool_]

GRID_MM = 3.0  # of the grid on which the head is looked for
BAND = (0.25, 0.50)  # from the vertex down, in lengths of the head: the height at which the brain is longest
BEHIND = 0.05  # the plane begins so far behind the forehead, in lengths of the head
BELOW = 0.57  # and so far below the vertex
FALL = 0.85  # mm down for each mm to the back
LENGTHS_MM = (120.0, 235.0)  # of heads, from children to the largest adults
WIDTHS_MM = (95.0, 190.0)
TOUCH_MM = 4.0  # nearer to the edge of the picture than this is cut by it
AIR_HU = -300.0  # between air and soft tissue in CT


@dataclass(frozen=True)
class Head:
    """Where a head lies, in mm of world space (RAS+)."""

    vertex: float
    forehead: float
    back: float

    @property
    def length(self) -> float:
        """From the forehead to the back, mm."""
        return self.forehead - self.back

    def face(self, grid: Geometry) -> Mask:
        """The voxels of a grid (i, j, k) that are in front of and below the plane."""
        _, y, z = places(grid)
        start = self.forehead - BEHIND * self.length
        return np.asarray(z - (self.vertex - BELOW * self.length) < FALL * (y - start))


def find_head(scan: Volume, *, ct: bool = False) -> Head:
    """Where the head lies in a scan; a DataError says why none is found."""
    grid = scan.geometry.reoriented("RAS")
    grid = grid.respaced(tuple(max(GRID_MM, mm) for mm in grid.spacing))
    values = resample(scan.array[:1].astype(np.float32), scan.geometry, grid, order=1)[0]
    mask = _head(values, AIR_HU if ct else _threshold(values))
    _, y, z = places(grid)
    where = scan.source.files[0] if scan.source.files else "the scan"
    if not mask.any():
        raise DataError(f"{where}: no head is seen in it. Leave it out, or do not ask for defacing.")
    vertex = float(z[mask].max())
    top = float(places(grid)[2].max())
    guess = float(np.ptp(y[mask]))
    band = mask & (z < vertex - BAND[0] * min(guess, 190)) & (z > vertex - BAND[1] * min(guess, 190))
    if not band.any():
        raise DataError(f"{where}: shows less than the upper half of a head: no face can be told from it.")
    head = Head(vertex, float(y[band].max()), float(y[band].min()))
    x = places(grid)[0][band]
    _check(head, float(np.ptp(x)), where)
    if top - vertex < TOUCH_MM or float(y.max()) - head.forehead < TOUCH_MM:
        raise DataError(
            f"{where}: the picture cuts the head at the {'top' if top - vertex < TOUCH_MM else 'front'}: where "
            f"the face begins cannot be known.\n  Leave it out, or take the face away by hand."
        )
    return head


def _check(head: Head, width: float, where: str) -> None:
    low, high = LENGTHS_MM
    narrow, wide = WIDTHS_MM
    if not (low <= head.length <= high and narrow <= width <= wide):
        raise DataError(
            f"{where}: what is seen is {head.length:.0f} mm long and {width:.0f} mm wide: no head "
            f"({low:.0f}-{high:.0f} by {narrow:.0f}-{wide:.0f} mm).\n  Do not ask for defacing of other parts."
        )


def _threshold(values: npt.NDArray[np.float32]) -> float:
    """Between air and head, whatever the unit: half of Otsu's threshold, since bone is dark in MR."""
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, [0.5, 99.0])
    if high <= low:
        return float(high)
    return float(low + 0.5 * (threshold_otsu(values.clip(low, high)) - low))


def _head(values: npt.NDArray[np.float32], threshold: float) -> Mask:
    """The largest thing that is no air, without thin things (tubes, head rests) that touch it."""
    from scipy import ndimage

    ball = ndimage.generate_binary_structure(3, 1)
    mask = ndimage.binary_opening(values > threshold, ball, iterations=2)
    labels, count = ndimage.label(mask)
    if not count:
        return np.zeros(values.shape, bool)
    largest = 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
    return np.asarray(ndimage.binary_dilation(labels == largest, ball, iterations=1))


def defaced(scan: Volume, *, ct: bool = False) -> tuple[Volume, Mask]:
    """The scan without its face, and which voxels (i, j, k) were taken; the others are as they were."""
    face = find_head(scan, ct=ct).face(scan.geometry)
    array: npt.NDArray[Any] = scan.array.copy()
    for channel in array:
        channel[face] = channel.min()
    return Volume(array, scan.geometry, scan.channels, scan.source), face
