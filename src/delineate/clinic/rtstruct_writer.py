"""RTSTRUCT: a result as contours on the original slices.

Each contour lies in the plane of its slice and follows pixel edges (module `contours`), so that filling it
gives the mask back voxel by voxel. Nothing is smoothed, no slice is skipped. The file is in Implicit VR
Little Endian, as a contour of more than 1 900 points does not fit the 64 kB of an explicit element.

Source: PS3.3 A.19, C.8.8.5 (Structure Set), C.8.8.6 (ROI Contour), C.8.8.8 (RT ROI Observations), C.8.8.16
(Approval).
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log10
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import ImplicitVRLittleEndian

from delineate.clinic.contours import Polygon, polygons
from delineate.clinic.header import coded, date, header, series_number, short, time
from delineate.clinic.items import MOST, element, encoded, raw_sequence, sequence, written_as_is
from delineate.clinic.result import Finding, Result, Uids, new_uid
from delineate.clinic.series import Reference, Series
from delineate.clinic.written import Written
from delineate.errors import DataError
from delineate.io.disk import replacing

Holes = Literal["keyhole", "xor"]

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
STUDY_CLASS = (
    "1.2.840.10008.3.1.2.3.1"  # Detached Study Management (retired), which PS3.3 C.8.8.5 still names
)
SERIES_OFFSET = 4000  # keeps results after the images in lists that sort by SeriesNumber
DECIMALS = 4  # of a mm: a thousandth of the smallest pixel of a scanner
ORGANS = ("123037004", "85756007")  # categories of what radiotherapy calls an organ


def write_rtstruct(
    result: Result, path: Path, *, holes: Holes = "keyhole", label: str = "AUTO", uids: Uids = new_uid
) -> Written:
    """Writes a result as one RTSTRUCT file and returns its identity.

    holes  "keyhole" joins holes to their outlines by a channel of no width, which every system fills rightly;
           "xor" writes them as contours of their own, of type CLOSEDPLANAR_XOR
    label  StructureSetLabel, 16 letters
    """
    sop_uid, series_uid = uids(), uids()
    numbers = {finding.name: n for n, finding in enumerate(result.findings, 1)}
    content, notes = header(result, RTSTRUCT, sop_uid, series_uid)
    content.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    _describe(content, result, label)
    content.ReferencedFrameOfReferenceSequence = Items([_referenced(result.series)])
    content.StructureSetROISequence = Items([_structure(result, f, numbers[f.name]) for f in result.findings])
    contours = (_drawn(result, f, numbers[f.name], holes) for f in result.findings)
    tag, raw = raw_sequence("ROIContourSequence", contours, implicit=True)
    if len(raw.value or b"") > MOST:
        raise DataError(
            f"{path}: more contours than a file can hold (4.3 GB). Deliver fewer structures at a time."
        )
    content[tag] = raw
    content.RTROIObservationsSequence = Items([_observed(f, numbers[f.name]) for f in result.findings])
    _approval(content, result)
    written_as_is(content, implicit=True)
    with replacing(path) as temporary:
        dcmwrite(temporary, content, enforce_file_format=True)
    return Written("RTSTRUCT", path, RTSTRUCT, sop_uid, series_uid, numbers, notes)


def _describe(content: Dataset, result: Result, label: str) -> None:
    content.Modality = "RTSTRUCT"
    content.SeriesNumber = series_number(result, SERIES_OFFSET)
    content.SeriesDescription = short(f"Contours {result.maker.name} {result.maker.version}", 64)
    content.OperatorsName = ""
    content.StructureSetLabel = short(label, 16)
    content.StructureSetName = short(f"{result.maker.name} {result.maker.version}", 64)
    content.StructureSetDate, content.StructureSetTime = date(result.when), time(result.when)


def _approval(content: Dataset, result: Result) -> None:
    content.ApprovalStatus = "UNAPPROVED" if result.approval is None else "APPROVED"
    if result.approval is not None:
        when = result.approval.when
        content.ReviewDate, content.ReviewTime = date(when), time(when)
        content.ReviewerName = result.approval.reviewer


def _referenced(series: Series) -> Dataset:
    """Frame of reference, study, series and all images of it."""
    frame, study, images = Dataset(), Dataset(), Dataset()
    images.SeriesInstanceUID = series.uid
    images.ContourImageSequence = Items(
        [_image(reference) for slice_ in series.references for reference in slice_]
    )
    study.ReferencedSOPClassUID, study.ReferencedSOPInstanceUID = STUDY_CLASS, series.study_uid
    study.RTReferencedSeriesSequence = Items([images])
    frame.FrameOfReferenceUID = series.frame_of_reference_uid
    frame.RTReferencedStudySequence = Items([study])
    return frame


def _image(reference: Reference) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = reference.sop_class, reference.uid
    if reference.frame is not None:
        item.ReferencedFrameNumber = reference.frame
    return item


def _structure(result: Result, finding: Finding, number: int) -> Dataset:
    item = Dataset()
    item.ROINumber, item.ROIName = number, finding.name
    item.ReferencedFrameOfReferenceUID = result.series.frame_of_reference_uid
    item.ROIDescription = short(finding.concept.kind.meaning, 1024)
    item.ROIGenerationAlgorithm = result.maker.kind
    item.ROIGenerationDescription = short(f"{result.maker.name} {result.maker.version}", 64)
    item.TrackingID, item.TrackingUID = short(finding.tracking_id, 64), finding.tracking_uid
    return item


def _observed(finding: Finding, number: int) -> Dataset:
    item = Dataset()
    item.ObservationNumber, item.ReferencedROINumber = number, number
    item.ROIObservationLabel = short(finding.name, 16)
    kind = coded(finding.concept.kind)
    item.RTROIIdentificationCodeSequence = Items([kind])
    is_organ = finding.concept.category.value in ORGANS
    item.RTROIInterpretedType = finding.concept.role or ("ORGAN" if is_organ else "")
    item.ROIInterpreter = ""
    return item


# Contours, as bytes: there may be millions of numbers


def _drawn(result: Result, finding: Finding, number: int, holes: Holes) -> bytes:
    """One item of the ROI Contour Sequence."""
    color = "\\".join(map(str, finding.concept.color)).encode()
    contours = list(_contours(result, finding, holes))
    drawn = sequence("ContourSequence", contours, implicit=True) if contours else b""
    referred = element("ReferencedROINumber", "IS", str(number).encode(), implicit=True)
    return element("ROIDisplayColor", "IS", color, implicit=True) + drawn + referred


def _contours(result: Result, finding: Finding, holes: Holes) -> Iterator[bytes]:
    part = result.part(finding)
    if part is None:
        return
    box, mask = part
    corner, number = np.array(box.start[:2], float), 0
    images = {
        k: sequence(
            "ContourImageSequence",
            [encoded(_image(r), implicit=True) for r in result.series.references[k]],
            implicit=True,
        )
        for k in range(box.start[2], box.stop[2])
    }
    for k in images:
        plane = mask[:, :, k - box.start[2]]
        for polygon in polygons(plane, keyhole=holes == "keyhole"):
            number += 1
            yield images[k] + _contour(result.series, polygon + corner, k, number, holes)


def _contour(series: Series, polygon: Polygon, k: int, number: int, holes: Holes) -> bytes:
    """Type, number of points, number and points of one contour."""
    places = series.to_patient(polygon[:, 0], polygon[:, 1], np.full(len(polygon), k))
    kind = "CLOSED_PLANAR" if holes == "keyhole" else "CLOSEDPLANAR_XOR"
    return b"".join(
        element(keyword, vr, value, implicit=True)
        for keyword, vr, value in (
            ("ContourGeometricType", "CS", kind.encode()),
            ("NumberOfContourPoints", "IS", str(len(polygon)).encode()),
            ("ContourNumber", "IS", str(number).encode()),
            ("ContourData", "DS", _numbers(places, _decimals(series))),
        )
    )


def _numbers(places: npt.NDArray[np.float64], decimals: int) -> bytes:
    form = f"%.{decimals}f"
    return "\\".join([form % value for value in (places.ravel() + 0.0).tolist()]).encode()


def _decimals(series: Series) -> int:
    """As many as place a corner to a thousandth of a pixel."""
    return max(DECIMALS, ceil(-log10(min(series.spacing))) + 3)
