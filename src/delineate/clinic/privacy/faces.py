"""Faces: what is in front of and below the brain in a scan of a head is cut away, by geometry alone.

The head is what is brighter than air. Three places on it give a plane: the vertex (its highest place), the
forehead (its foremost place at the height of the brain) and the back of it. From a little behind the forehead
and below the frontal lobes the plane falls to the back, in front of the temporal lobes; eyes, nose, mouth and
chin lie below and in front of it and get the value of air, with the air around them.

The numbers are shares of the head's length, chosen so that in the MNI 152 space the plane passes below the
frontal and in front of the temporal lobes with a centimetre to spare (Talairach heights after Lancaster 2007,
doi:10.1002/hbm.20345), and checked on the phantoms and on real heads. Unlike mri_deface and pydeface it
registers no atlas, and so assumes that the head is not nodded or turned by more than about 15 degrees. Ears
stay. A head that the picture cuts at the top or in front is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.space import Geometry, Volume, resample
from delineate.space.phantoms import places
from delineate.space.triple import triple

Mask = npt.NDArray[np.bool_]

GRID_MM = 3.0  # of the grid on which the head is looked for
BAND = (0.25, 0.50)  # from the vertex down, in lengths of the head: the height at which the brain is longest
BEHIND = 0.05  # the plane begins so far behind the forehead, in lengths of the head
BELOW = 0.62  # and so far below the vertex
FALL = 1.3  # mm down for each mm to the back
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


def find_head(scan: Volume, *, ct: bool = False) -> Head | None:
    """Where the head lies in a scan; None where nothing of the size of a head is seen."""
    grid = scan.geometry.reoriented("RAS")
    grid = grid.respaced(triple(max(GRID_MM, mm) for mm in grid.spacing))
    air = float(scan.array[0].min())
    values = resample(scan.array[:1].astype(np.float32), scan.geometry, grid, order=1, outside=air)[0]
    mask = _head(values, AIR_HU if ct else _threshold(values))
    if not mask.any():
        return None
    x, y, z = (np.broadcast_to(place, mask.shape) for place in places(grid))
    vertex, longest = float(z[mask].max()), min(float(np.ptp(y[mask])), LENGTHS_MM[1])
    band = mask & (z < vertex - BAND[0] * longest) & (z > vertex - BAND[1] * longest)
    if not band.any() or not WIDTHS_MM[0] <= np.ptp(x[band]) <= WIDTHS_MM[1]:
        return None
    head = Head(vertex, float(y[band].max()), float(y[band].min()))
    if not LENGTHS_MM[0] <= head.length <= LENGTHS_MM[1]:
        return None
    _check_whole(head, float(z.max()), float(y.max()), scan.source.note)
    return head


def _check_whole(head: Head, top: float, front: float, note: str) -> None:
    cut = [
        name
        for name, room in (("top", top - head.vertex), ("front", front - head.forehead))
        if room < TOUCH_MM
    ]
    if cut:
        raise DataError(
            f"the picture cuts the head at the {cut[0]}: where the face begins cannot be known{note}.\n"
            f"  Leave the scan out, or take the face away by hand."
        )


def _threshold(values: npt.NDArray[np.float32]) -> float:
    """Between air and head, whatever the unit: half of Otsu's threshold, since bone is dark in MR."""
    from skimage.filters import threshold_otsu

    low, high = np.percentile(values, [0.5, 99.0])
    if high <= low:
        return float(high)
    middle = float(threshold_otsu(values.clip(low, high)))  # type: ignore[no-untyped-call]
    return float(low + 0.5 * (middle - low))


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


def face_of(scan: Volume, *, ct: bool = False) -> Mask | None:
    """The voxels (i, j, k) that are taken from a scan; None where no head is seen."""
    head = find_head(scan, ct=ct)
    return None if head is None else head.face(scan.geometry)


def defaced(scan: Volume, *, ct: bool = False) -> Volume:
    """The scan without its face; all other voxels are as they were. A scan without a head stays as it is."""
    face = face_of(scan, ct=ct)
    if face is None:
        return scan
    array: npt.NDArray[Any] = scan.array.copy()
    for channel in array:
        channel[face] = channel.min()
    return Volume(array, scan.geometry, scan.channels, scan.source)
