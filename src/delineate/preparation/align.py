"""Align: every scan the same way round, without the empty border.

Nothing is interpolated here: axes are exchanged and reversed, and what is zero around the patient is cut
off, so that undoing it is exact.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from delineate.planning.plan import STORED
from delineate.space import Geometry, LabelSchema, Volume, nonzero_box, resample_labels
from delineate.space.labels import Values


def turned(scan: Volume, orientation: str) -> Volume:
    """The scan with its axes as the plan wants them ("RAS"): its own voxels, in the same places."""
    return scan if orientation in (STORED, scan.geometry.orientation) else scan.reoriented(orientation)


def turned_grid(grid: Geometry, orientation: str) -> Geometry:
    """The grid of a scan that is `turned`."""
    return grid if orientation == STORED else grid.reoriented(orientation)


def cropped(scan: Volume, *, to_nonzero: bool) -> Volume:
    """The part of the scan in which some channel is not zero; all of it if `to_nonzero` is False."""
    return scan.cropped(nonzero_box(scan)) if to_nonzero else scan


def labels_on(labels: Values, scan: Geometry, aligned: Geometry) -> Values:
    """Labels (i, j, k) of the scan's voxels on the grid of the same scan turned and cropped."""
    return resample_labels(labels, scan, aligned, order=0)


def indices(values: Values, schema: LabelSchema) -> npt.NDArray[np.int16]:
    """Label values as what is stored: 0 background, n the n-th label of the schema, -1 nobody knows."""
    table = np.zeros(max(schema.values) + 1, dtype=np.int16)
    for n, label in enumerate(schema.labels, 1):
        table[label.value] = n
    if schema.ignore is None:
        return np.asarray(table[values])
    unknown = values == schema.ignore  # a value that may be negative
    return np.where(unknown, np.int16(-1), table[np.where(unknown, 0, values)])
