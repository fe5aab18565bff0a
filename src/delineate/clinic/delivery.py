"""Delivery: a result as the objects that leave, each read back by other code before it does.

All objects are written into a folder beside the place they go to. When every one of them has been read back
and agrees, the folder takes that place; otherwise nothing is left behind.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from delineate.clinic import readback
from delineate.clinic.result import ON_GRID_MM, Finding, Result
from delineate.clinic.series import Series
from delineate.clinic.written import Written
from delineate.errors import DataError
from delineate.io.dicom import find_series
from delineate.io.disk import replacing, write_text
from delineate.record import Record

CENTROID = 0.1  # of the smallest side of a voxel
FILE = "delivery.json"

Writer = Callable[[Result, Path, Mapping[str, Written]], Written]  # what is written before it, by kind
Counter = Callable[[Path, Mapping[readback.ImageKey, readback.Plane]], dict[int, readback.Sum]]

COUNTERS: dict[str, Counter] = {"SEG": readback.count_segments, "RTSTRUCT": readback.count_contours}


class Delivered(Record):
    """One object: its file in the folder of the delivery, and what refers to it.

    numbers  of its structures by name
    off_mm   how far the centroid of each structure was off when read back; empty for objects without voxels
    """

    kind: str
    file: str
    sop_class: str
    sop_uid: str
    series_uid: str
    numbers: dict[str, int]
    off_mm: dict[str, float]


class DeliveredStructure(Record):
    """One structure, by the identity that all objects share."""

    name: str
    code: str
    side: str | None
    region: str | None
    tracking_uid: str
    tracking_id: str
    voxels: int
    volume_ml: float


class Delivery(Record):
    """What was delivered for one series. Names no patient."""

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    made_by: str
    model_digest: str
    approved_by: str | None
    structures: tuple[DeliveredStructure, ...]
    objects: tuple[Delivered, ...]
    notes: tuple[str, ...]


def deliver(result: Result, out: Path, writers: Mapping[str, Writer]) -> Delivery:
    """Writes objects into the new folder `out`, reads each back, and returns what was delivered.

    writers  by file name, in the order of writing: later ones may refer to earlier ones

    An object that does not agree with the labels is refused, and then nothing is left at `out`.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DataError(f"{out}: is there already. Name a new folder, so that nothing delivered is lost.")
    known = readback.images(_files(result))
    objects, notes = [], list(result.notes)
    with replacing(out) as folder:
        folder.mkdir(parents=True)
        written: dict[str, Written] = {}
        for name, write in writers.items():
            made = write(result, folder / name, written)
            written[made.kind] = made
            off = _agreed(result, made, known)
            objects.append(_delivered(made, name, off))
            notes += [f"{made.kind}: {note}" for note in made.notes]
        delivery = _delivery(result, objects, notes)
        write_text(folder / FILE, delivery.to_json())
        if out.is_dir():
            out.rmdir()
    return delivery


def _files(result: Result) -> Sequence[Path]:
    """The files of the images, found anew by their series."""
    found = find_series(result.series.where) if result.series.where.is_dir() else ()
    files = [path for series in found if series.uid == result.series.uid for path in series.files]
    return files or [result.series.where]


def _agreed(
    result: Result, made: Written, known: Mapping[readback.ImageKey, readback.Plane]
) -> dict[str, float]:
    """Refuses an object that does not hold the labels; where its structures' centroids are off, in mm."""
    if made.kind not in COUNTERS:
        return {}
    found = COUNTERS[made.kind](made.path, known)
    wanted = {made.numbers[f.name]: (f.name, *_wanted(result, f)) for f in result.findings}
    tolerance = CENTROID * min(*result.series.spacing, result.series.gap)
    off = readback.check(made.path, found, wanted, tolerance)
    _check_against_given(result, made, found)
    return off


def _wanted(result: Result, finding: Finding) -> tuple[int, tuple[float, ...] | None]:
    """Voxels and centroid (LPS+ mm) of a structure on the slices."""
    part = result.part(finding)
    if part is None:
        return 0, None
    box, mask = part
    i, j, k = (places + first for places, first in zip(np.nonzero(mask), box.start, strict=True))
    places = result.series.to_patient(i.astype(np.float64), j.astype(np.float64), k)
    return len(i), tuple(places.mean(axis=0).tolist())


def _check_against_given(result: Result, made: Written, found: Mapping[int, readback.Sum]) -> None:
    """Holds what was written against the labels as they came, on their own grid: nothing may have turned.

    On the grid of the series centroids agree to a tenth of a voxel. On another, a structure may move by as
    much as a voxel of the coarser grid; structures that the series shows in part only are not compared.
    """
    given, series = result.given, result.series
    grid = series.geometry
    same = grid is not None and given.geometry.same_place(grid, tolerance_mm=ON_GRID_MM)
    room = CENTROID * min(given.geometry.spacing)
    if not same:
        room = max(
            *given.geometry.spacing, *series.spacing, float(np.diff(series.along).max(initial=series.gap))
        )
    boxes = dict(enumerate(ndimage.find_objects(given.array), 1))
    for finding in result.findings:
        sum_, box = found.get(made.numbers[finding.name]), boxes.get(finding.value)
        if sum_ is None or sum_.centroid is None or box is None:
            continue
        ends = np.array(list(product(*((part.start, part.stop - 1) for part in box))), np.float64)
        if not same and not _covers(series, given.geometry.to_world(ends)):
            continue
        index = [
            np.mean(at) + part.start
            for at, part in zip(np.nonzero(given.array[box] == finding.value), box, strict=True)
        ]
        far = float(np.linalg.norm(given.geometry.to_world(np.array(index)) * (-1, -1, 1) - sum_.centroid))
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


def _delivered(made: Written, name: str, off: dict[str, float]) -> Delivered:
    return Delivered(
        kind=made.kind,
        file=name,
        sop_class=made.sop_class,
        sop_uid=made.sop_uid,
        series_uid=made.series_uid,
        numbers=dict(made.numbers),
        off_mm={structure: round(mm, 6) for structure, mm in off.items()},
    )


def _delivery(result: Result, objects: Sequence[Delivered], notes: Sequence[str]) -> Delivery:
    series = result.series
    return Delivery(
        study_uid=series.study_uid,
        series_uid=series.uid,
        frame_of_reference_uid=series.frame_of_reference_uid,
        made_by=f"{result.maker.name} {result.maker.version}, {result.maker.kind.lower()}",
        model_digest=result.maker.digest,
        approved_by=result.approval.reviewer if result.approval else None,
        structures=tuple(_structure(result, finding) for finding in result.findings),
        objects=tuple(objects),
        notes=tuple(dict.fromkeys(notes)),
    )


def _structure(result: Result, finding: Finding) -> DeliveredStructure:
    concept = finding.concept
    return DeliveredStructure(
        name=finding.name,
        code=str(concept.kind),
        side=None if concept.side is None else concept.side.meaning,
        region=None if concept.region is None else str(concept.region),
        tracking_uid=finding.tracking_uid,
        tracking_id=finding.tracking_id,
        voxels=sum(_pixels(result, finding)),
        volume_ml=round(volume_ml(result, finding), 4),
    )


def volume_ml(result: Result, finding: Finding) -> float:
    """Volume of a structure: its pixels on each slice times half the way to both neighbours."""
    along, series = result.series.along, result.series
    even = series.is_regular or len(along) < 2
    thick = np.full(len(along), series.gap) if even else np.gradient(along)
    return float(
        (np.array(_pixels(result, finding)) * thick).sum() * series.spacing[0] * series.spacing[1] / 1000
    )


def _pixels(result: Result, finding: Finding) -> list[int]:
    """How many pixels a structure has on each slice."""
    counts = np.zeros(len(result.series.positions), int)
    if (part := result.part(finding)) is not None:
        box, mask = part
        counts[box.slices[2]] = mask.sum(axis=(0, 1))
    return [int(count) for count in counts]
