"""Common grid: channels of one examination, scanned on different slices, on the slices of the first.

The scanner's coordinates say where both lie, so nothing is registered: whoever moved between two series is
where he moved to. DICOM says which series share coordinates (frame of reference, PS3.3 C.7.4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from delineate.dataset.grids import difference, same_grid
from delineate.errors import DataError
from delineate.io.identity import read_identity
from delineate.space import Volume, resample

WHOLE = 0.995  # of the first channel's voxels: from here on another one covers it


def on_common_grid(case: str, parts: Sequence[tuple[str, Path, Volume]]) -> list[Volume]:
    """The parts (name, file or folder, volume) on the grid of the first; where one was put there, it says so.

    Raises:
        DataError: DICOM does not say that a part shares the coordinates of the first, or it lies beside it.
    """
    first, *others = parts
    return [first[2], *(_on(case, first, part) for part in others)]


def _on(case: str, first: tuple[str, Path, Volume], part: tuple[str, Path, Volume]) -> Volume:
    (name, path, volume), (other, other_path, moving) = first, part
    if same_grid(volume.geometry, moving.geometry):
        return moving
    frames = [identity.frame if (identity := read_identity(p)) else "" for p in (path, other_path)]
    if not all(frames) or len(set(frames)) > 1:
        raise DataError(
            f"{case}: channels are on different grids ({difference(volume.geometry, moving.geometry)}), and "
            f"{'have different frames of reference' if all(frames) else 'nothing says that they share one'}: "
            f"nobody knows how they lie to each other.\n  {name}   {path}\n  {other}   {other_path}\n"
            f"  Register one onto the other, and save it on its grid."
        )
    ones = np.ones((1, *moving.geometry.shape), np.float32)
    share = float(resample(ones, moving.geometry, volume.geometry, order=0, outside=0).mean())
    if not share:
        raise DataError(
            f"{case}: channels lie beside each other: {other} shows nothing of {name}.\n"
            f"  Name the series of the same part of the body."
        )
    moved = moving.resampled(volume.geometry, order=1, outside=float(moving.array.min()))
    covers = "" if share >= WHOLE else f", of which it covers {share:.0%}"
    said = f"{other}: put onto the slices of {name}{covers}, interpolated, as asked"
    return replace(moved, source=replace(moving.source, notes=(*moving.source.notes, said)))
