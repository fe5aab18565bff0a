"""Agreement: what each kind of object is held against when it is read back.

    SEG, RTSTRUCT  voxels and centroid of every structure: against the labels on the slices, and as they came
    SR, FHIR       identity, code, segment; the volume, as it was counted in SEG or RTSTRUCT where these are
    STL, GLB       closed, holding the volume of the voxels, about their centre
    PDF, PNG, DOC  one page that shows something; the same page in DICOM

What is found comes from the pages called `readback`, which share no code with the writers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from delineate.clinic import readback, readback_meshes, readback_reports
from delineate.clinic.measurements import thicknesses, volume_ml
from delineate.clinic.result import ON_GRID_MM, Finding, Result
from delineate.clinic.seg_writer import stored_share
from delineate.clinic.series import Series, Vectors
from delineate.clinic.written import Written
from delineate.errors import DataError
from delineate.space import Geometry

Images = Mapping[readback.ImageKey, readback.Plane]
Counter = Callable[[Path, Images], dict[int, readback.Sum]]

CENTROID = 0.1  # of the smallest side of a voxel
COUNTERS: dict[str, Counter] = {"SEG": readback.count_segments, "RTSTRUCT": readback.count_contours}


@dataclass(frozen=True)
class Found:
    """What reading an object back told, by structure.

    off_mm       how far its centroid was from where it should be
    volumes_mm3  its volume, counted pixel by pixel
    """

    off_mm: Mapping[str, float] = field(default_factory=dict)
    volumes_mm3: Mapping[str, float] = field(default_factory=dict)


def agreed(
    result: Result,
    made: Written,
    images: Images,
    before: Mapping[str, Written],
    volumes_mm3: Mapping[str, float],
) -> Found:
    """What was found in an object; refuses one that does not say what the result says.

    volumes_mm3  of structures that were counted in an object before
    """
    match made.kind:
        case "SEG" | "RTSTRUCT":
            return _of_voxels(result, made, images)
        case "SR":
            found = readback_reports.sr_groups(made.path, images)
            readback_reports.check(made.path, found, _groups(result, before, volumes_mm3))
        case "FHIR R4" | "FHIR R5":
            found = readback_reports.fhir_groups(made.path)
            readback_reports.check(made.path, found, _groups(result, before, volumes_mm3))
        case "STL":
            solids = readback_meshes.stl_solids(made.path)
            _check_solids(result, made, {_uid_of(result, made, n): solid for n, solid in solids.items()})
        case "GLB":
            _check_solids(result, made, readback_meshes.glb_solids(made.path))
        case "PDF":
            readback_meshes.check_pdf(made.path.read_bytes(), made.path)
        case "PNG":
            readback_meshes.check_png(made.path)
        case "DOC":
            readback_meshes.check_encapsulated(made.path, before["PDF"].path.read_bytes())
        case _:
            raise DataError(
                f"{made.path}: nothing reads objects of the kind {made.kind} back; not delivered."
            )
    return Found()


# Reports


def _groups(
    result: Result, before: Mapping[str, Written], volumes_mm3: Mapping[str, float]
) -> dict[str, readback_reports.Group]:
    """What a report must say, by tracking UID."""
    seg = before.get("SEG")
    return {
        f.tracking_uid: readback_reports.Group(
            tracking_id=f.tracking_id,
            code=f.concept.kind.value,
            segment=None if seg is None else (seg.sop_uid, seg.numbers[f.name]),
            volume_mm3=volumes_mm3.get(f.name, volume_ml(result, f) * 1000),
        )
        for f in result.findings
    }


# Meshes


def _uid_of(result: Result, made: Written, number: int) -> str:
    return next(f.tracking_uid for f in result.findings if made.numbers[f.name] == number)


def _check_solids(result: Result, made: Written, found: Mapping[str, readback_meshes.Solid]) -> None:
    wanted = {
        f.tracking_uid: (f.name, volume_ml(result, f) * 1000, _centre(result, f))
        for f in result.findings
        if result.box(f) is not None
    }
    side = max(*result.series.spacing, result.series.gap)
    readback_meshes.check_solids(made.path, found, wanted, side)


def _centre(result: Result, finding: Finding) -> tuple[float, ...]:
    """Centre (LPS+ mm) of the space between the slices that a structure fills."""
    i, j, k = _indices(result, finding)
    series = result.series
    slices = len(series.positions)
    pixels = np.bincount(k, minlength=slices)
    sums = np.stack([np.bincount(k, i, slices), np.bincount(k, j, slices)], axis=1)  # by slice
    places = pixels[:, None] * _middles(series) + sums * series.spacing @ series.axes
    weights = thicknesses(series)
    return tuple((weights @ places / (weights @ pixels)).tolist())


def _middles(series: Series) -> Vectors:
    """Of each slice, the middle of what lies nearer to it than to its neighbours."""
    positions = series.positions
    if len(positions) < 3:
        return positions
    middles = positions.copy()
    middles[1:-1] = (positions[:-2] + 2 * positions[1:-1] + positions[2:]) / 4
    return middles


# Voxels


def _of_voxels(result: Result, made: Written, images: Images) -> Found:
    if made.is_soft:
        return _of_probabilities(result, made, images)
    found = COUNTERS[made.kind](made.path, images)
    wanted = {made.numbers[f.name]: (f.name, *_wanted(result, f)) for f in result.findings}
    tolerance = CENTROID * min(*result.series.spacing, result.series.gap)
    off = readback.check(made.path, found, wanted, tolerance)
    _check_against_given(result, made, found)
    counted = {f.name: found.get(made.numbers[f.name], readback.Sum()).mm3 for f in result.findings}
    return Found(off, counted)


def _of_probabilities(result: Result, made: Written, images: Images) -> Found:
    """Probabilities count as what is stored of them: their sum, and the centre of their weight."""
    assert result.probabilities is not None
    found = readback.count_segments(made.path, images)
    wanted = {}
    for finding, values in zip(result.findings, result.probabilities, strict=True):
        stored = stored_share(values)
        i, j, k = np.nonzero(stored)
        weights = stored[i, j, k].astype(np.float64)
        places = result.series.to_patient(i.astype(np.float64), j.astype(np.float64), k)
        centre = tuple(np.average(places, axis=0, weights=weights).tolist()) if len(i) else None
        wanted[made.numbers[finding.name]] = (finding.name, int(weights.sum()), centre)
    tolerance = CENTROID * min(*result.series.spacing, result.series.gap)
    off = readback.check(made.path, found, wanted, tolerance)
    _check_against_given_probabilities(result, made, found)
    return Found(off)


def _check_against_given_probabilities(
    result: Result, made: Written, found: Mapping[int, readback.Sum]
) -> None:
    """Holds the centre of each structure's weight against the probabilities as they came, on their grid."""
    given, series = result.given_probabilities, result.series
    assert given is not None
    grid = series.geometry
    same = grid is not None and given.geometry.same_place(grid, tolerance_mm=ON_GRID_MM)
    room = _room(given.geometry, series, same=same)
    for finding, values in zip(result.findings, given.array, strict=True):
        stored = stored_share(values)
        (box,) = ndimage.find_objects((stored > 0).astype(np.uint8)) or (None,)
        sum_ = found.get(made.numbers[finding.name])
        if box is None or sum_ is None or sum_.centroid is None:
            continue
        ends = np.array(list(product(*((part.start, part.stop - 1) for part in box))), np.float64)
        if not same and not _covers(series, given.geometry.to_world(ends)):
            continue
        index = np.argwhere(stored)
        centre = np.average(index, axis=0, weights=stored[tuple(index.T)].astype(np.float64))
        _check_moved(given.geometry.to_world(centre), sum_, room, finding, made)


def _wanted(result: Result, finding: Finding) -> tuple[int, tuple[float, ...] | None]:
    """Voxels and centroid (LPS+ mm) of a structure on the slices."""
    i, j, k = _indices(result, finding)
    if not len(i):
        return 0, None
    places = result.series.to_patient(i.astype(np.float64), j.astype(np.float64), k)
    return len(i), tuple(places.mean(axis=0).tolist())


def _indices(result: Result, finding: Finding) -> tuple[npt.NDArray[np.int64], ...]:
    """The voxels of a structure: i, j and k."""
    part = result.part(finding)
    if part is None:
        return tuple(np.zeros((3, 0), np.int64))
    box, mask = part
    return tuple(places + first for places, first in zip(np.nonzero(mask), box.start, strict=True))


def _check_against_given(result: Result, made: Written, found: Mapping[int, readback.Sum]) -> None:
    """Holds what was written against the labels as they came, on their own grid: nothing may have turned.

    On the grid of the series centroids agree to a tenth of a voxel. On another, a structure may move by as
    much as a voxel of the coarser grid; structures that the series shows in part only are not compared.
    """
    given, series = result.given, result.series
    grid = series.geometry
    same = grid is not None and given.geometry.same_place(grid, tolerance_mm=ON_GRID_MM)
    room = _room(given.geometry, series, same=same)
    boxes = dict(enumerate(ndimage.find_objects(given.array), 1))
    for finding in result.findings:
        sum_ = found.get(made.numbers[finding.name])
        parts = [box for value in finding.values if (box := boxes.get(value)) is not None]
        if sum_ is None or sum_.centroid is None or not parts:
            continue
        box = tuple(
            slice(min(p.start for p in axis), max(p.stop for p in axis)) for axis in zip(*parts, strict=True)
        )
        ends = np.array(list(product(*((part.start, part.stop - 1) for part in box))), np.float64)
        if not same and not _covers(series, given.geometry.to_world(ends)):
            continue
        index = [
            np.mean(at) + part.start
            for at, part in zip(np.nonzero(np.isin(given.array[box], finding.values)), box, strict=True)
        ]
        _check_moved(given.geometry.to_world(np.array(index)), sum_, room, finding, made)


def _room(given: Geometry, series: Series, *, same: bool) -> float:
    """How far a centroid may move, mm: a tenth of a voxel on one grid, a voxel from grid to grid."""
    if same:
        return CENTROID * min(given.spacing)
    return max(*given.spacing, *series.spacing, float(np.diff(series.along).max(initial=series.gap)))


def _check_moved(centre: Vectors, sum_: readback.Sum, room: float, finding: Finding, made: Written) -> None:
    """Refuses a structure whose centre (RAS+ mm as given) is elsewhere in the object."""
    far = float(np.linalg.norm(centre * (-1, -1, 1) - np.array(sum_.centroid)))
    if far > room:
        raise DataError(
            f"{made.path}: {finding.name} has moved by {far:.3g} mm against the labels as they "
            f"were given; nothing was delivered.\n  This is a fault of this program: please report it."
        )


def _covers(series: Series, places: npt.NDArray[np.float64]) -> bool:
    """Whether places (RAS+ mm), the ends of a structure, lie within the slices, none of which is missing."""
    lps = places * (-1, -1, 1)
    along, half = lps @ series.normal, series.gap / 2
    if along.min() < series.along[0] - half or along.max() > series.along[-1] + half:
        return False
    if np.diff(series.along).max(initial=0) > 1.5 * series.gap:
        return False
    k = np.abs(series.along[:, None] - along).argmin(axis=0)
    pixels = (lps - series.positions[k]) @ series.axes.T / np.array(series.spacing)
    return bool((pixels >= -0.5).all() and (pixels <= np.array(series.shape) - 0.5).all())
