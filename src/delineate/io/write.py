"""Write: a volume or a label map as a file, by its suffix, whole or not at all.

A format that cannot hold the thing (the place of a slice in a PNG, skewed axes in MHA) is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.io.disk import replacing
from delineate.io.read import suffix_of
from delineate.space import Geometry, LabelMap, Volume

WRITTEN = (".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".tif", ".tiff")


def write_volume(volume: Volume, path: Path | str) -> None:
    """Writes the channels of a volume as one file; colour pictures can be PNG or TIFF."""
    path = Path(path)
    array = volume.array
    if array.dtype == bool:
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    if array.dtype.kind not in "iuf" or array.dtype.itemsize > 8:
        raise DataError(
            f"{path}: voxels of {array.dtype} cannot be written; expected whole numbers or reals of up to "
            f"64 bits.\n  Convert them first (for complex numbers: the magnitude)."
        )
    _write(path, array, volume.geometry)


def write_labels(labels: LabelMap, path: Path | str) -> None:
    """Writes label values as the smallest unsigned integers that hold them; NIfTI keeps their notes."""
    path = Path(path)
    _write(path, labels.array.astype(_kind(labels, path), copy=False), labels.geometry, labels.notes)


def write_objects(ids: npt.NDArray[np.integer[Any]], geometry: Geometry, path: Path | str) -> None:
    """Writes the ids (i, j, k) of single objects as the smallest unsigned integers that hold them."""
    path, most = Path(path), int(ids.max(initial=0))
    _write(path, ids.astype(np.min_scalar_type(most)), geometry)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns a full disk, a missing permission and the like into a DataError that names the file."""
    try:
        yield
    except (OSError, RuntimeError) as error:  # SimpleITK's errors are RuntimeErrors
        said = getattr(error, "strerror", None) or "the writer of this format failed"
        raise DataError(
            f"{path}: cannot be written: {said}.\n  Check the free space and the permissions of its folder."
        ) from error


@contextmanager
def _naming(path: Path, temporary: Path) -> Iterator[None]:
    """What is wrong with the unfinished file is said of the one that was asked for."""
    try:
        yield
    except DataError as error:
        raise DataError(str(error).replace(str(temporary), str(path))) from None


def _kind(labels: LabelMap, path: Path) -> np.dtype[Any]:
    low, high = int(labels.array.min()), int(labels.array.max())
    if low < 0:
        raise DataError(f"{path}: label values below 0 cannot be written, got {low}.\n  Renumber the labels.")
    return np.min_scalar_type(high)


def _write(path: Path, array: npt.NDArray[Any], grid: Geometry, notes: tuple[str, ...] = ()) -> None:
    suffix = suffix_of(path)
    if suffix not in WRITTEN:
        raise DataError(
            f"{path}: cannot be written as {path.suffix or 'a file without suffix'}; expected one of\n"
            f"  {' '.join(WRITTEN)}\n  Choose one of these; NIfTI (.nii.gz) holds everything."
        )
    with writing(path), replacing(path) as temporary, _naming(path, temporary):
        match suffix:
            case ".nii.gz" | ".nii":
                from delineate.io import nifti

                nifti.write(temporary, array, grid, notes)
            case ".nrrd" | ".mha":
                from delineate.io import itk

                itk.write(temporary, array, grid)
            case _:
                from delineate.io import raster

                raster.write(temporary, array, grid)
