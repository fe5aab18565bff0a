"""PET: what the headers of PET images say about their values, classic and enhanced alike.

An enhanced object says per frame, in functional groups, what a classic image says at its top; in place of
Units it has a map to real world values with a unit in UCUM, and in place of DecayCorrection the moment
itself. Legacy converted objects keep the classic elements in groups of their own. All become classic headers
here, one for a frame, so that the rules for SUV are written once (module `suv`).

Source: PS3.3 A.56 (Enhanced PET), C.8.22.4 (isotope), C.8.22.6 (corrections), C.7.6.16.2.11 (real world
values), C.7.6.16.2.25 and .26 (converted attributes); PS3.16 CID 84 and 85.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import isclose
from typing import Any

from pydicom.dataset import Dataset
from pydicom.tag import Tag

from delineate.errors import DataError
from delineate.io.foreign import quiet, reading
from delineate.io.frames import Frame, dataset
from delineate.io.suv import FIELDS, Uptake, stored_unit, uptake

SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
MAPS, RESCALE = "RealWorldValueMappingSequence", "PixelValueTransformationSequence"
CORRECTIONS = ["DecayCorrected", "AttenuationCorrected", "DecayCorrectionDateTime"]
READ = [*FIELDS, *CORRECTIONS, SHARED, PER_FRAME]
TAGS = {Tag(name) for name in FIELDS}  # type: ignore[arg-type]
SUV, ACTIVITY, COUNTS = "GML", "BQML", "CNTS"
UCUM = {  # what we know of CID 84 and 85, the best first
    "{SUVbw}g/ml": SUV, "g/ml{SUVbw}": SUV, "Bq/ml": ACTIVITY, "{counts}": COUNTS, "counts": COUNTS,
}  # fmt: skip


@dataclass(frozen=True)
class PetHeaders:
    """The headers of PET frames as classic images have them.

    scale  from values rescaled as the frame says to those in the unit of the headers
    """

    classic: tuple[Dataset, ...]
    scale: float = 1.0

    @property
    def unit(self) -> str:
        """What values are measured in, as people write it."""
        return stored_unit(self.classic[0])

    def uptake(self, where: str) -> Uptake:
        """From rescaled values to SUV by body weight."""
        found = uptake(self.classic, where)
        return found if self.scale == 1 else replace(found, factor=found.factor * self.scale)


def pet_headers(frames: Iterable[Frame], where: str) -> PetHeaders:
    """The headers of frames, each file read once; `where` opens every message.

    Raises:
        DataError: frames are mapped to real world values in ways that no one factor brings together.
    """
    frames = tuple(frames)
    classic: list[Dataset] = []
    scales: list[float] = []
    for path in dict.fromkeys(frame.file for frame in frames):
        header = dataset(path, stop_before_pixels=True, specific_tags=list(READ))
        with reading(path, "DICOM", private=True), quiet("pydicom"):
            numbers = [frame.number for frame in frames if frame.file == path]
            for flat, scale in _of_file(header, numbers, where):
                classic.append(flat)
                scales.append(scale)
    if not all(isclose(scale, scales[0], rel_tol=1e-6) for scale in scales):
        raise DataError(
            f"{where}: frames of one PET series are mapped to real world values in different ways.\n"
            f"  Export the series again as classic images."
        )
    return PetHeaders(tuple(classic), scales[0])


def _of_file(header: Dataset, numbers: list[int], where: str) -> Iterator[tuple[Dataset, float]]:
    groups = header.get(PER_FRAME)
    if not groups:
        yield header, 1.0
        return
    shared = (header.get(SHARED) or [Dataset()])[0]
    for number in numbers:
        flat = _classic(header, shared, groups[number])
        yield (
            flat,
            _mapped(flat, _within(MAPS, shared, groups[number]), _slope(shared, groups[number]), where),
        )


def _classic(header: Dataset, *groups: Dataset) -> Dataset:
    """The elements that the rules ask for, from the top and from the groups of one frame."""
    flat = Dataset()
    items = [item for group in groups for element in group if element.VR == "SQ" for item in element.value]
    for source in (header, *groups, *items):
        for element in source:
            if element.tag in TAGS:
                flat[element.tag] = element
    if corrected := str(header.get("DecayCorrected") or ""):
        flat.DecayCorrection = "START" if corrected == "YES" else "NONE"
    if corrected := str(header.get("AttenuationCorrected") or ""):
        flat.CorrectedImage = ["ATTN"] if corrected == "YES" else []
    moment = next((str(item.get("FrameAcquisitionDateTime") or "") for item in items), "")
    if moment and "AcquisitionDate" not in flat:
        flat.AcquisitionDate, flat.AcquisitionTime = moment[:8], moment[8:].split("+")[0].split("-")[0]
    return flat


def _within(name: str, *groups: Dataset) -> list[Dataset]:
    """The items of a sequence, of the frame where it has some, else of all frames."""
    found: list[Dataset] = []
    for group in groups:
        found = list(group.get(name) or found)
    return found


def _slope(*groups: Dataset) -> tuple[float, float]:
    """Slope and intercept of a frame's own rescaling."""
    items = _within(RESCALE, *groups)
    if not items:
        return 1.0, 0.0
    return float(items[0].get("RescaleSlope") or 1), float(items[0].get("RescaleIntercept") or 0)


def _mapped(flat: Dataset, maps: list[Dataset], own: tuple[float, float], where: str) -> float:
    """Enters the unit of the best map into a header; from rescaled values to those of the map."""
    if "Units" in flat or not maps:
        return 1.0
    known = {_unit(item): item for item in reversed(maps)}
    unit = next((unit for unit in UCUM if unit in known), next(iter(known)))
    flat.Units = UCUM.get(unit, unit)[:16]
    item = known[unit]
    slope, intercept = (item.get(f"RealWorldValue{name}") for name in ("Slope", "Intercept"))
    if slope is None or (float(intercept or 0), own[1]) != (0.0, 0.0):
        if slope is not None and (float(slope), float(intercept or 0)) == own:
            return 1.0
        raise DataError(
            f"{where}: PET values are mapped to {unit} by no plain factor.\n"
            f"  Export the series again as classic images."
        )
    return float(slope) / own[0]


def _unit(item: Dataset) -> str:
    units: Any = item.get("MeasurementUnitsCodeSequence")
    return str(units[0].get("CodeValue") or "") if units else ""
