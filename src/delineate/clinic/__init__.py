"""Back to the hospital: results on the original slices as DICOM, annotations in DICOM as labels, privacy.

Names are imported when they are first used; they need pydicom.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from delineate.errors import MissingPackage
from delineate.lazy import lazy

if TYPE_CHECKING:
    from delineate.clinic.annotation import Annotation, Structure
    from delineate.clinic.codes import Code, Codes, Concept
    from delineate.clinic.collection import Collected, CollectionWishes, collect
    from delineate.clinic.delivery import Delivery, deliver
    from delineate.clinic.privacy import Key, Wishes, deidentify, make_key, read_key
    from delineate.clinic.result import (
        Approval,
        Finding,
        Maker,
        Result,
        Tracking,
        make_result,
        with_probabilities,
    )
    from delineate.clinic.rtstruct_reader import read_rtstruct
    from delineate.clinic.rtstruct_writer import write_rtstruct
    from delineate.clinic.seg_reader import read_seg
    from delineate.clinic.seg_writer import write_seg
    from delineate.clinic.series import Series, open_series
    from delineate.clinic.written import Written

__all__ = [
    "Annotation",
    "Approval",
    "Code",
    "Codes",
    "Collected",
    "CollectionWishes",
    "Concept",
    "Delivery",
    "Finding",
    "Key",
    "Maker",
    "Result",
    "Series",
    "Structure",
    "Tracking",
    "Wishes",
    "Written",
    "collect",
    "deidentify",
    "deliver",
    "make_key",
    "make_result",
    "open_series",
    "read_key",
    "read_rtstruct",
    "read_seg",
    "with_probabilities",
    "write_rtstruct",
    "write_seg",
]

_find = lazy(
    __name__,
    {
        "annotation": ("Annotation", "Structure"),
        "codes": ("Code", "Codes", "Concept"),
        "collection": ("Collected", "CollectionWishes", "collect"),
        "delivery": ("Delivery", "deliver"),
        "privacy": ("Key", "Wishes", "deidentify", "make_key", "read_key"),
        "result": ("Approval", "Finding", "Maker", "Result", "Tracking", "make_result", "with_probabilities"),
        "rtstruct_reader": ("read_rtstruct",),
        "rtstruct_writer": ("write_rtstruct",),
        "seg_reader": ("read_seg",),
        "seg_writer": ("write_seg",),
        "series": ("Series", "open_series"),
        "written": ("Written",),
    },
)


def __getattr__(name: str) -> Any:
    try:
        return _find(name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pydicom":
            raise
        raise MissingPackage(
            "DICOM objects need pydicom, which is not installed:  pip install 'delineate[dicom]'"
        ) from None


def __dir__() -> list[str]:
    return __all__
