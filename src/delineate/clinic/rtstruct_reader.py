"""RTSTRUCT in: contours become masks on the slices of the series that they were drawn on.

Closed contours of one ROI on one plane are filled together by the even-odd rule, which reads keyholes, holes
as contours of their own, and any direction of drawing alike. Contours are matched to slices by where they
lie.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from delineate.clinic.annotation import Annotation, Patch, Structure, unique_names
from delineate.clinic.codes import Code
from delineate.clinic.contours import Polygon, fill
from delineate.clinic.series import SAME_PLACE, Series
from delineate.errors import DataError
from delineate.io.foreign import quiet, reading
from delineate.io.frames import dataset

RTSTRUCT = "1.2.840.10008.5.1.4.1.1.481.3"
CLOSED = ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR")
NEAR = 0.5  # of the distance between slices: how far a contour may lie from its slice
FLAT = 0.1  # of the distance between slices: how far the points of a contour may be from one plane


@dataclass
class Doubts:
    """What is counted while contours are read, and told once."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, what: str) -> None:
        """One more of a kind."""
        self.counts[what] = self.counts.get(what, 0) + 1

    def told(self) -> tuple[str, ...]:
        """All of it in words."""
        return tuple(f"{count} {what}" for what, count in self.counts.items())


def read_rtstruct(path: Path, series: Series) -> Annotation:
    """The ROIs of an RTSTRUCT on the slices of a series, which it must refer to or share its space."""
    content = dataset(path)
    with reading(path, "RTSTRUCT", private=True), quiet("pydicom"):
        if str(content.get("SOPClassUID", "")) != RTSTRUCT:
            raise DataError(f"{path}: is no structure set (RTSTRUCT).\n  Name the file with the contours.")
        _check_space(content, series, path)
        return _annotation(content, series, path)


def referenced(content: Dataset) -> tuple[set[str], set[str]]:
    """The series and the images that a structure set says it was drawn on: their UIDs."""
    series: set[str] = set()
    images: set[str] = set()
    for frame in content.get("ReferencedFrameOfReferenceSequence") or []:
        for study in frame.get("RTReferencedStudySequence") or []:
            for item in study.get("RTReferencedSeriesSequence") or []:
                series.add(str(item.get("SeriesInstanceUID", "")))
                images |= _images(item)
    for roi in content.get("ROIContourSequence") or []:
        for contour in roi.get("ContourSequence") or []:
            images |= _images(contour)
    return series - {""}, images - {""}


def _images(item: Dataset) -> set[str]:
    return {str(i.get("ReferencedSOPInstanceUID", "")) for i in item.get("ContourImageSequence") or []}


def _check_space(content: Dataset, series: Series, path: Path) -> None:
    spaces = {
        str(f.get("FrameOfReferenceUID", "")) for f in content.get("ReferencedFrameOfReferenceSequence") or []
    }
    spaces |= {
        str(r.get("ReferencedFrameOfReferenceUID", "")) for r in content.get("StructureSetROISequence") or []
    }
    spaces -= {""}
    own = series.frame_of_reference_uid
    _, images = referenced(content)
    known = {reference.uid for slice_ in series.references for reference in slice_}
    if spaces and own and own not in spaces and not images & known:
        raise DataError(
            f"{path}: its contours are in another frame of reference than the series in {series.where}.\n"
            f"  Name the series that they were drawn on; a registration between the two is not applied."
        )


def _annotation(content: Dataset, series: Series, path: Path) -> Annotation:
    infos = {_number(roi.get("ROINumber")): roi for roi in content.get("StructureSetROISequence") or []}
    observed = {
        _number(item.get("ReferencedROINumber")): item
        for item in content.get("RTROIObservationsSequence") or []
    }
    drawn = {
        _number(item.get("ReferencedROINumber")): item for item in content.get("ROIContourSequence") or []
    }
    if not infos:
        raise DataError(f"{path}: holds no structures.\n  Export the structure set again, or leave it out.")
    names = unique_names([str(roi.get("ROIName", "")) or f"ROI {n}" for n, roi in infos.items()])
    structures, notes = [], []
    for (number, info), name in zip(infos.items(), names, strict=True):
        doubts = Doubts()
        item = drawn.get(number, Dataset())
        patches = _patches(item, series, doubts)
        notes += [f"{name}: {told}" for told in doubts.told()]
        structures.append(_structure(number, name, info, observed.get(number, Dataset()), item, patches))
    return Annotation("RTSTRUCT", path, series, tuple(structures), tuple(notes))


def _structure(
    number: int, name: str, info: Dataset, observed: Dataset, item: Dataset, patches: tuple[Patch, ...]
) -> Structure:
    codes = observed.get("RTROIIdentificationCodeSequence") or []
    color = item.get("ROIDisplayColor")
    return Structure(
        number=number,
        name=name,
        patches=patches,
        kind=_code(codes[0]) if codes else None,
        color=_color(color),
        tracking_uid=str(info.get("TrackingUID", "") or ""),
        tracking_id=str(info.get("TrackingID", "") or ""),
        role=str(observed.get("RTROIInterpretedType", "") or ""),
        maker=str(info.get("ROIGenerationAlgorithm", "") or ""),
    )


def _color(value: Any) -> tuple[int, int, int] | None:
    if value is None or not hasattr(value, "__len__") or len(value) != 3:
        return None
    red, green, blue = (min(255, max(0, int(part))) for part in value)
    return red, green, blue


def _code(item: Dataset) -> Code | None:
    value = str(item.get("CodeValue", "") or item.get("LongCodeValue", "") or "")
    if not value:
        return None
    scheme, meaning = str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))
    return Code(value=value, scheme=scheme, meaning=meaning)


def _number(value: Any) -> int:
    return -1 if value in (None, "") else int(value)


# Contours


def _patches(item: Dataset, series: Series, doubts: Doubts) -> tuple[Patch, ...]:
    """What the contours of one ROI enclose, slice by slice."""
    drawn: dict[int, list[tuple[float, Polygon]]] = defaultdict(list)
    for contour in item.get("ContourSequence") or []:
        if (placed := _placed(contour, series, doubts)) is not None:
            k, along, polygon = placed
            drawn[k].append((along, polygon))
    patches = []
    for k, found in sorted(drawn.items()):
        planes = _planes(found)
        if len(planes) > 1:
            doubts.add("slices with contours on several planes: those nearest to the slice were taken")
        nearest = min(planes, key=lambda plane: abs(plane[0][0] - series.along[k]))
        patches.append(Patch.of(k, fill(series.shape, [polygon for _, polygon in nearest])))
    _look_for_gaps([patch.k for patch in patches if patch is not None], doubts)
    return tuple(patch for patch in patches if patch is not None)


def _planes(drawn: list[tuple[float, Polygon]]) -> list[list[tuple[float, Polygon]]]:
    """Polygons with their places along the normal, by plane."""
    planes: list[list[tuple[float, Polygon]]] = []
    for along, polygon in sorted(drawn, key=lambda pair: pair[0]):
        if planes and along - planes[-1][-1][0] < SAME_PLACE:
            planes[-1].append((along, polygon))
        else:
            planes.append([(along, polygon)])
    return planes


def _look_for_gaps(slices: list[int], doubts: Doubts) -> None:
    for before, after in pairwise(slices):
        for _ in range(after - before - 1):
            doubts.add(
                "slices without a contour between slices with one: left empty, nothing is interpolated"
            )


def _placed(contour: Dataset, series: Series, doubts: Doubts) -> tuple[int, float, Polygon] | None:
    """The slice of a contour, its place along the normal, and its points in pixels of that slice."""
    kind = str(contour.get("ContourGeometricType", ""))
    points = _points(contour)
    if kind not in CLOSED or len(points) < 3:
        doubts.add("contours that are open or have fewer than three points: they enclose nothing")
        return None
    along = points @ series.normal
    middle = float(along.mean())
    k = int(np.argmin(np.abs(series.along - middle)))
    if np.ptp(along) > max(FLAT * series.gap, SAME_PLACE):
        doubts.add("contours that do not lie in a plane parallel to the slices: left out")
        return None
    if abs(middle - series.along[k]) > NEAR * series.gap + SAME_PLACE:
        doubts.add("contours on no slice of the series: left out")
        return None
    if abs(middle - series.along[k]) > max(FLAT * series.gap, SAME_PLACE):
        doubts.add("contours between two slices: taken for the nearer one")
    in_plane = (points - series.positions[k]) @ series.axes.T / np.array(series.spacing)
    return k, middle, in_plane


def _points(contour: Dataset) -> npt.NDArray[np.float64]:
    """(n, 3) LPS+ mm; straight from the bytes, as there may be millions."""
    if "ContourData" not in contour:
        return np.empty((0, 3))
    value = contour.get_item("ContourData").value
    if isinstance(value, bytes):
        text = value.decode("ascii").strip(" \0")
        values = np.array(text.split("\\") if text else [], dtype=np.float64)
    else:
        values = np.array([float(part) for part in value or []])
    return values[: len(values) // 3 * 3].reshape(-1, 3)
