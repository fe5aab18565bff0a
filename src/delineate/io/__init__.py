"""Bytes become values and values bytes: the only folder that knows file formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delineate.io.manner import Manner
from delineate.io.read import (
    SUFFIXES,
    LabelFile,
    is_scan,
    read_geometry,
    read_label_values,
    read_volume,
    suffix_of,
)
from delineate.io.write import write_labels, write_objects, write_volume
from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.io.dicom import Series, find_series, read_series, split_series
    from delineate.io.film import Film, read_film

__all__ = [
    "SUFFIXES",
    "Film",
    "LabelFile",
    "Manner",
    "Series",
    "find_series",
    "is_scan",
    "read_film",
    "read_geometry",
    "read_label_values",
    "read_series",
    "read_volume",
    "split_series",
    "suffix_of",
    "write_labels",
    "write_objects",
    "write_volume",
]


# The DICOM names are loaded when they are asked for: pydicom takes a quarter of a second.
__getattr__ = lazy(
    __name__,
    {
        "dicom": ("Series", "find_series", "read_series", "split_series"),
        "film": ("Film", "read_film"),
    },
)
