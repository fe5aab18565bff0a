"""Ready: a scan from which networks can read; the scan itself is needed no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from delineate.preparation.prepared import PreparedScan, Upright
from delineate.space import Geometry


@dataclass(frozen=True, eq=False)
class Ready:
    """A scan as the configurations of a plan see it.

    scan      the grid of the scan, on which labels are wanted
    cropped   the same voxels turned and cropped
    prepared  per configuration the scan on its grid; where that depends on what is found on the way, empty
    upright   what those are made from, where they are not made yet
    missing   channels that the scan lacks
    held      bytes of the scan, while someone keeps it
    """

    scan: Geometry
    cropped: Geometry
    prepared: Mapping[str, PreparedScan]
    upright: Upright | None
    missing: tuple[str, ...]
    held: int
