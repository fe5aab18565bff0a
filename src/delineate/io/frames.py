"""Frames: what the headers of DICOM images say, one frame at a time.

A slice of a classic series and a frame of an enhanced multi-frame object are the same thing here, so
that everything after this page is written once. Numbers are DICOM's own: LPS+, (row, column) spacing.
Nothing that names a patient is read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import UID

from delineate.errors import DataError
from delineate.io.bombs import check_frames, check_inflates
from delineate.io.foreign import DAMAGED, quiet, reading
from delineate.io.pixel_size import NAMES as SIZES
from delineate.io.pixel_size import pixel_size
from delineate.io.preamble import is_dicom as is_dicom

# SOP classes whose objects describe or annotate images, or are no grids of voxels. PS3.4 B.5.
NOT_SCANS = {
    "1.2.840.10008.1.3.10": "a DICOMDIR",
    "1.2.840.10008.5.1.4.1.1.66": "raw data",
    "1.2.840.10008.5.1.4.1.1.66.1": "a spatial registration",
    "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation (SEG)",
    "1.2.840.10008.5.1.4.1.1.66.5": "a surface segmentation",
    "1.2.840.10008.5.1.4.1.1.66.7": "a label map (SEG)",
    "1.2.840.10008.5.1.4.1.1.67": "a real world value mapping",
    "1.2.840.10008.5.1.4.1.1.77.1.6": "a whole slide",
    "1.2.840.10008.5.1.4.1.1.91.1": "annotations of a slide",
    "1.2.840.10008.5.1.4.1.1.481.2": "a dose (RTDOSE)",
    "1.2.840.10008.5.1.4.1.1.481.3": "a structure set (RTSTRUCT)",
    "1.2.840.10008.5.1.4.1.1.481.5": "a plan (RTPLAN)",
}
# SOP classes whose images are slices of a volume: without a place they are broken, not pictures.
VOLUMETRIC = {
    "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2",  # CT
    "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.5.1.4.1.1.4.1", "1.2.840.10008.5.1.4.1.1.4.3",  # MR
    "1.2.840.10008.5.1.4.1.1.4.4",
    "1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130",  # PET
}  # fmt: skip

# What may tell two images at one place apart, the most telling first.
MARKS = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "TemporalPositionTimeOffset", "EchoNumbers",
    "EchoTime", "EffectiveEchoTime", "DiffusionBValue", "DiffusionGradientOrientation",
    "NominalCardiacTriggerDelayTime", "TriggerTime", "InversionTime", "FlipAngle", "ImageType",
    "FrameType", "AcquisitionNumber", "StackID", "ConvolutionKernel", "SeriesTime", "AcquisitionDateTime",
    "AcquisitionTime", "FrameReferenceDateTime", "ContentTime", "ContrastBolusAgent",
)  # fmt: skip
GROUPS = (  # sequences of an enhanced object that hold what classic objects say at the top. PS3.3 C.7.6.16
    "PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence", "FrameContentSequence",
    "PixelValueTransformationSequence", "MRDiffusionSequence", "DiffusionGradientDirectionSequence",
    "MREchoSequence", "MRTimingAndRelatedParametersSequence", "CardiacSynchronizationSequence",
    "MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence",
    "TemporalPositionSequence", "CTReconstructionSequence",
)  # fmt: skip
NAMES = [
    *MARKS, *GROUPS, "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "Modality", "NumberOfFrames", "Rows", "Columns",
    "ImagePositionPatient", "ImageOrientationPatient", *SIZES, "SliceThickness", "SpacingBetweenSlices",
    "RescaleSlope", "RescaleIntercept", "ModalityLUTSequence", "PhotometricInterpretation",
    "SpecificCharacterSet",
]  # fmt: skip


@dataclass(frozen=True)
class Frame:
    """One plane of pixels, as its header describes it.

    number       within its file, from 0
    shape        (columns, rows)
    position     centre of the first pixel, LPS+ mm; None where the header does not say
    axes         directions in which columns and rows are counted: six cosines, LPS+
    spacing      mm between columns, and between rows
    sized        where that comes from, in words; empty for what slices say themselves
    thickness    mm; what is left to a slice without neighbours
    marks        what may tell it from another frame at the same place, by DICOM keyword
    """

    file: Path
    number: int
    shape: tuple[int, int]
    instance_uid: str = ""
    series_uid: str = ""
    sop_class: str = ""
    modality: str = ""
    position: tuple[float, ...] | None = None
    axes: tuple[float, ...] | None = None
    spacing: tuple[float, float] | None = None
    sized: str = ""
    thickness: float | None = None
    slope: float = 1.0
    intercept: float = 0.0
    photometric: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_placed(self) -> bool:
        """Whether the header says where in the patient the frame lies."""
        return self.position is not None and self.axes is not None and self.spacing is not None

    @property
    def is_mosaic(self) -> bool:
        """Whether it is a volume laid out as tiles of one picture, as Siemens does for fMRI and diffusion."""
        return "MOSAIC" in self.marks.get("ImageType", "")

    @property
    def is_localizer(self) -> bool:
        """Whether it is a scout, on which a scan is planned: PS3.3 C.8.2.1.1.1."""
        return "LOCALIZER" in self.marks.get("ImageType", "")


def dataset(path: Path, **options: Any) -> Dataset:
    """What pydicom reads of a file; `options` are those of `pydicom.dcmread`."""
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        with path.open("rb") as file:
            check_inflates(file, str(path))
        return pydicom.dcmread(path, force=True, **options)


def object_kind(path: Path, header: Dataset) -> str | None:
    """What an object is that is no scan ("a structure set (RTSTRUCT)"), or None for a scan."""
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        uid = _sop_class(header)
        name = UID(uid).name
    if uid in NOT_SCANS:
        return NOT_SCANS[uid]
    if "Rows" in header and "Columns" in header:
        return None
    if not uid or uid in VOLUMETRIC:
        raise DataError(f"{path}: is a DICOM image without rows and columns.\n  {DAMAGED}")
    return f"an object without an image ({name})" if name != uid else "an object without an image"


def _sop_class(header: Dataset) -> str:
    """The kind of object, from the meta information where the data set leaves it empty."""
    return str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID") or "")


def read_header(path: Path) -> Dataset:
    """The header of a file, without pixels and without anything that this package does not use."""
    return dataset(path, stop_before_pixels=True, specific_tags=NAMES)


def frames_of(path: Path, header: Dataset) -> tuple[Frame, ...]:
    """The frames of one file, in the order of the file."""
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        return tuple(_frames(path, header))


def _frames(path: Path, header: Dataset) -> Iterator[Frame]:
    count = int(header.get("NumberOfFrames") or 1)
    check_frames(count, str(path))
    top = _values(header) | {"SOPClassUID": _sop_class(header)}
    top["SequenceOfUltrasoundRegions"] = header.get("SequenceOfUltrasoundRegions")
    shared = top | _grouped(header.get("SharedFunctionalGroupsSequence"))
    each = header.get("PerFrameFunctionalGroupsSequence") or []
    if len(each) not in (0, count):
        raise DataError(f"{path}: says {count} frames but describes {len(each)}.\n  Export it again.")
    for number in range(count):
        values = shared | _grouped([each[number]]) if each else shared
        yield _frame(path, number, values, alone=count == 1 or bool(each))


def _frame(path: Path, number: int, values: Mapping[str, Any], *, alone: bool) -> Frame:
    """A frame; of several frames that share one header, none knows its place."""
    spacing, sized = pixel_size(values)
    between = _floats(values.get("SpacingBetweenSlices"), 1) or (0.0,)
    thick = _floats(values.get("SliceThickness"), 1) or (0.0,)
    return Frame(
        file=path,
        number=number,
        shape=(int(values["Columns"]), int(values["Rows"])),
        instance_uid=str(values.get("SOPInstanceUID") or ""),
        series_uid=str(values.get("SeriesInstanceUID") or ""),
        sop_class=str(values.get("SOPClassUID") or ""),
        modality=str(values.get("Modality") or ""),
        position=_floats(values.get("ImagePositionPatient"), 3) if alone else None,
        axes=_floats(values.get("ImageOrientationPatient"), 6),
        spacing=spacing,
        sized=sized,
        thickness=next((abs(mm) for mm in (*thick, *between) if mm), None),
        slope=(_floats(values.get("RescaleSlope"), 1) or (1.0,))[0],
        intercept=(_floats(values.get("RescaleIntercept"), 1) or (0.0,))[0],
        photometric=str(values.get("PhotometricInterpretation") or ""),
        marks={name: str(values[name]) for name in MARKS if values.get(name) not in (None, "")},
    )


def _values(item: Dataset) -> dict[str, Any]:
    return {element.keyword: element.value for element in item if element.VR != "SQ"}


def _grouped(groups: Any) -> dict[str, Any]:
    """Everything in the functional groups of one frame, flat."""
    values: dict[str, Any] = {}
    for item in groups or []:
        values |= _values(item)
        for element in item:
            if element.VR == "SQ" and element.keyword in GROUPS:
                values |= _grouped(element.value)
    return values


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    """`count` numbers, or None where the header leaves them out or empty."""
    if value is None or value == "":
        return None
    parts = tuple(float(part) for part in (value if hasattr(value, "__iter__") else [value]))
    return parts if len(parts) == count and all(map(isfinite, parts)) else None
