"""Back to the hospital: results on the original slices as DICOM, FHIR, meshes; annotations in DICOM; privacy.

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
    from delineate.clinic.fhir_writer import FhirVersion, write_fhir
    from delineate.clinic.measurements import Measured, Measurements, measure
    from delineate.clinic.mesh_writer import Surfaces, surfaces, write_glb, write_stl
    from delineate.clinic.picking import Picked, Picking, pick
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
    from delineate.clinic.routing import Match, Route, Routing, Rule, SeriesFacts, routed, study_series
    from delineate.clinic.rtstruct_reader import read_rtstruct
    from delineate.clinic.rtstruct_writer import write_rtstruct
    from delineate.clinic.seg_reader import read_seg
    from delineate.clinic.seg_writer import write_seg
    from delineate.clinic.series import Series, open_series
    from delineate.clinic.sr_writer import write_sr
    from delineate.clinic.studies import Download, DownloadReport, look
    from delineate.clinic.summary import draw_summary
    from delineate.clinic.summary_writer import write_encapsulated, write_page
    from delineate.clinic.surface import Surface
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
    "Download",
    "DownloadReport",
    "FhirVersion",
    "Finding",
    "Key",
    "Maker",
    "Match",
    "Measured",
    "Measurements",
    "Picked",
    "Picking",
    "Result",
    "Route",
    "Routing",
    "Rule",
    "Series",
    "SeriesFacts",
    "Structure",
    "Surface",
    "Surfaces",
    "Tracking",
    "Wishes",
    "Written",
    "collect",
    "deidentify",
    "deliver",
    "draw_summary",
    "look",
    "make_key",
    "make_result",
    "measure",
    "open_series",
    "pick",
    "read_key",
    "read_rtstruct",
    "read_seg",
    "routed",
    "study_series",
    "surfaces",
    "with_probabilities",
    "write_encapsulated",
    "write_fhir",
    "write_glb",
    "write_page",
    "write_rtstruct",
    "write_seg",
    "write_sr",
    "write_stl",
]

_find = lazy(
    __name__,
    {
        "annotation": ("Annotation", "Structure"),
        "codes": ("Code", "Codes", "Concept"),
        "collection": ("Collected", "CollectionWishes", "collect"),
        "delivery": ("Delivery", "deliver"),
        "fhir_writer": ("FhirVersion", "write_fhir"),
        "measurements": ("Measured", "Measurements", "measure"),
        "mesh_writer": ("Surfaces", "surfaces", "write_glb", "write_stl"),
        "picking": ("Picked", "Picking", "pick"),
        "privacy": ("Key", "Wishes", "deidentify", "make_key", "read_key"),
        "result": ("Approval", "Finding", "Maker", "Result", "Tracking", "make_result", "with_probabilities"),
        "routing": ("Match", "Route", "Routing", "Rule", "SeriesFacts", "routed", "study_series"),
        "rtstruct_reader": ("read_rtstruct",),
        "rtstruct_writer": ("write_rtstruct",),
        "seg_reader": ("read_seg",),
        "seg_writer": ("write_seg",),
        "series": ("Series", "open_series"),
        "sr_writer": ("write_sr",),
        "summary": ("draw_summary",),
        "summary_writer": ("write_encapsulated", "write_page"),
        "surface": ("Surface",),
        "studies": ("Download", "DownloadReport", "look"),
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
