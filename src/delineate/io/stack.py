"""Stack: frames in their order along the normal, on one grid, or a refusal that says why not.

Slices are sorted by where they are, never by file name or instance number (DICOM PS3.3 C.7.6.2.1.1).
The grid goes from the first position to the last as the headers give them, so that every slice is
where its file says; what does not fit an even grid is named and refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any, Literal, TypeGuard

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.io.frames import MARKS, Frame
from delineate.space import Geometry, Slices

Array = npt.NDArray[Any]
Frames = tuple[Frame, ...]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
SAME_AXES = 1e-3  # difference of cosines: scanners write three decimals and more
SAME_PLACE = 1e-2  # mm along the normal: nearer than this is the same place (positions have two decimals)
EVEN = 0.02  # of the usual distance between slices: how far one distance may be from it
PLACED = 0.1  # of the distance between slices: how far a slice may be from its place on the even grid
TILT_DEG = 0.5  # rounded cosines and positions stay below; gantries tilt by degrees
SKEW_DEG = 0.05  # from here on a note says that the axes are not quite at right angles

STRAIGHTEN = (
    "Have it straightened, openly: --straighten (delineate segment, import-dicom), in Python\n"
    "  read_volume(folder, manner=Manner(straighten=True)); or convert it with dcm2niix and use its "
    "NIfTI file."
)

OddityKind = Literal["tilt", "shift", "gap", "uneven"]
ODD: dict[OddityKind, str] = {  # by a word of the refusals below
    "tilt": "tilted", "shift": "within their planes", "gap": "missing", "uneven": "unevenly",
}  # fmt: skip


@dataclass(frozen=True)
class Stack:
    """The frames of one volume, along k, and the grid that they make."""

    frames: Frames
    geometry: Geometry
    notes: tuple[str, ...] = ()


def stack(frames: Frames, where: str) -> Stack:
    """The frames as one volume; `where` (a folder or file) opens every message."""
    ordered = in_order(frames, where)
    if len(ordered) == 1:
        return _single(ordered[0], _normal(ordered[0], where))
    notes = _check_straight(ordered, where)
    first, last = (np.array(ordered[n].position) for n in (0, -1))
    return Stack(ordered, _grid(ordered[0], len(ordered), (last - first) / (len(ordered) - 1)), notes)


def in_order(frames: Frames, where: str) -> Frames:
    """The frames by their places along the normal; refused where they are no slices of one stack."""
    if missing := [frame for frame in frames if not frame.is_placed]:
        raise DataError(
            f"{where}: {len(missing)} of {len(frames)} images do not say where in the patient they lie "
            f"(ImagePositionPatient, ImageOrientationPatient, PixelSpacing): {missing[0].file.name}.\n"
            f"  Export the series again with its geometry; guessing a spacing would move the contours."
        )
    if mosaic := next((frame for frame in frames if frame.is_mosaic), None):
        raise DataError(
            f"{where}: {mosaic.file.name} is a mosaic: the slices of a volume as tiles of one picture.\n"
            f"  Convert it with dcm2niix and use its NIfTI file."
        )
    _check_alike(frames, where)
    normal = _normal(frames[0], where)
    along = np.array([np.dot(frame.position or (), normal) for frame in frames])
    order = np.argsort(along, kind="stable")
    ordered = tuple(frames[n] for n in order)
    _check_duplicates(ordered, along[order], where)
    return ordered


@dataclass(frozen=True)
class Oddity:
    """One way in which slices are no even upright grid: which, and in words."""

    kind: OddityKind
    words: str


def oddities(ordered: Frames, where: str) -> tuple[Oddity, ...]:
    """Why slices in order are no even upright grid; none where they are one."""
    if len(ordered) == 1:
        return ()
    normal = _normal(ordered[0], where)
    positions = np.array([frame.position for frame in ordered])
    found = []
    for check in (
        partial(_check_tilt, positions, normal, where),
        partial(_check_even, ordered, positions @ normal, where),
    ):
        try:
            check()
        except DataError as error:
            words = str(error).split("\n")[0].removeprefix(f"{where}: ").rstrip(".")
            found.append(Oddity(next(kind for kind, word in ODD.items() if word in words), words))
    return tuple(found)


def slices_of(ordered: Frames) -> Slices:
    """Slices in order, as planes of their own (RAS+)."""
    first = ordered[0]
    axes = np.reshape(first.axes or (), (2, 3))
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    return Slices(
        shape=first.shape,
        spacing=first.spacing or (1.0, 1.0),
        axes=axes @ LPS_TO_RAS,
        positions=np.array([frame.position for frame in ordered]) @ LPS_TO_RAS,
        thickness=tuple(frame.thickness or 0.0 for frame in ordered),
    )


def _check_straight(ordered: Frames, where: str) -> tuple[str, ...]:
    """Refuses slices that lean, are unevenly spaced or lack one; what is particular about them."""
    normal = _normal(ordered[0], where)
    positions = np.array([frame.position for frame in ordered])
    notes = _check_tilt(positions, normal, where)
    _check_even(ordered, positions @ normal, where)
    return notes


def split(frames: Frames) -> tuple[Frames, ...]:
    """The frames taken apart into volumes: by size and direction, then by what tells repeats apart."""
    alike = _grouped(frames, _kind)
    return tuple(part for group in alike for part in _volumes(group))


def _volumes(frames: Frames) -> tuple[Frames, ...]:
    parts = _told_apart(frames)
    return parts[1] if parts else (frames,)


def _told_apart(frames: Frames) -> tuple[str, tuple[Frames, ...]] | None:
    """What tells frames at the same places apart ("EchoTime"), and the volumes that this gives."""
    places = [_place(frame) for frame in frames]
    if None in places or len(set(places)) == len(places):
        return None
    singles = [(name,) for name in MARKS]
    for names in (*singles, *combinations(MARKS, 2)):
        parts = _grouped(frames, partial(_marks, names))
        held = [sorted(_place(frame) or 0.0 for frame in part) for part in parts]
        if len(parts) > 1 and all(each == held[0] and len(set(each)) == len(each) for each in held):
            return " and ".join(names), tuple(sorted(parts, key=lambda part: _rank(_marks(names, part[0]))))
    return None


def _marks(names: tuple[str, ...], frame: Frame) -> tuple[str | None, ...]:
    return tuple(frame.marks.get(name) for name in names)


def _rank(marks: tuple[str | None, ...]) -> list[tuple[float, str]]:
    """Numbers by size, and before words."""
    return [(float(mark), "") if _is_number(mark) else (np.inf, mark or "") for mark in marks]


def _is_number(mark: str | None) -> TypeGuard[str]:
    return mark is not None and re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", mark, re.IGNORECASE) is not None


def _place(frame: Frame) -> float | None:
    if not frame.is_placed:
        return None
    return float(round(np.dot(frame.position or (), _cross(frame)) / SAME_PLACE) * SAME_PLACE)


def _grouped(frames: Sequence[Frame], key: Callable[[Frame], Hashable]) -> tuple[Frames, ...]:
    groups: dict[Hashable, list[Frame]] = defaultdict(list)
    for frame in frames:
        groups[key(frame)].append(frame)
    return tuple(tuple(group) for group in groups.values())


def _kind(frame: Frame) -> Hashable:
    axes = tuple(np.round(frame.axes or (), 3) + 0.0)
    return frame.shape, frame.spacing, axes, frame.photometric


def _cross(frame: Frame) -> Array:
    axes = np.array(frame.axes)
    return np.cross(axes[:3], axes[3:])


def _normal(frame: Frame, where: str) -> Array:
    """Unit normal of a frame whose axes are two unit vectors at right angles."""
    axes = np.reshape(frame.axes or (), (2, 3))
    if not np.allclose(axes @ axes.T, np.eye(2), atol=10 * SAME_AXES):
        raise DataError(
            f"{where}: the directions of rows and columns are no unit vectors at right angles "
            f"(ImageOrientationPatient {list(frame.axes or ())}, {frame.file.name}).\n"
            f"  Export the series again; its orientation cannot be known."
        )
    if not frame.spacing or not min(frame.spacing) > 0:
        raise DataError(
            f"{where}: a PixelSpacing of {_shown(frame.spacing or ())} is no size ({frame.file.name}).\n"
            f"  Export the series again; its scale cannot be known."
        )
    cross = _cross(frame)
    return np.asarray(cross / np.linalg.norm(cross))


def _grid(first: Frame, count: int, step: Array) -> Geometry:
    axes = np.reshape(first.axes or (), (2, 3))
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    between_columns, between_rows = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    lps = np.column_stack([axes[0] * between_columns, axes[1] * between_rows, step])
    affine[:3, :3] = LPS_TO_RAS @ lps
    affine[:3, 3] = LPS_TO_RAS @ np.array(first.position)
    return Geometry((*first.shape, count), affine)


def _single(frame: Frame, normal: Array) -> Stack:
    note = "one slice of unknown thickness: taken as 1 mm"
    thickness = frame.thickness
    grid = _grid(frame, 1, normal * (thickness or 1.0))
    return Stack((frame,), grid, () if thickness else (note,))


def _check_alike(frames: Frames, where: str) -> None:
    """Same size, same direction, same pixels, or the list of what differs."""
    first = frames[0]
    for name, values, room in (
        ("size (columns, rows)", [frame.shape for frame in frames], 0.0),
        ("orientation", [frame.axes for frame in frames], SAME_AXES),
        ("pixel spacing", [frame.spacing for frame in frames], SAME_AXES),
    ):
        far = np.abs(np.array(values, dtype=float) - np.array(values[0], dtype=float)).max(axis=1) > room
        if far.any():
            other = frames[int(np.argmax(far))]
            raise DataError(
                f"{where}: images of one series differ in {name}: "
                f"{_shown(values[0])} in {first.file.name}, {_shown(values[int(np.argmax(far))])} in "
                f"{other.file.name}.\n"
                f"  Read its parts apart:  delineate.io.split_series(series)"
            )


def _shown(value: Any) -> str:
    return "(" + ", ".join(f"{part:g}" for part in value) + ")"


def _check_duplicates(frames: Frames, along: Array, where: str) -> None:
    same = np.flatnonzero(np.diff(along) < SAME_PLACE)
    if not len(same):
        return
    places = len(frames) - len(same)
    if told := _told_apart(frames):
        raise DataError(
            f"{where}: holds {len(told[1])} volumes at the same {places} places "
            f"({len(frames)} images, told apart by {told[0]}).\n"
            f"  Read one of them:  delineate.io.read_series(delineate.io.split_series(series)[0])"
        )
    a, b = frames[same[0]], frames[same[0] + 1]
    raise DataError(
        f"{where}: {len(frames)} images at {places} places, and nothing tells the repeated ones apart: "
        f"{_named(a)} and {_named(b)} are both at {along[same[0]]:g} mm along the normal.\n"
        f"  Take the repeated images out of the folder."
    )


def _check_even(frames: Frames, along: Array, where: str) -> None:
    """Refuses missing slices and uneven distances."""
    gaps = np.diff(along)
    usual = float(np.median(gaps))
    room = max(EVEN * usual, SAME_PLACE)
    wide = np.flatnonzero(np.abs(gaps - usual) > room)
    if len(wide):
        times = np.round(gaps[wide] / usual)
        n = int(wide[0])
        between = f"{_named(frames[n])} and {_named(frames[n + 1])}"
        if (times >= 2).all() and (np.abs(gaps[wide] - times * usual) <= room * times).all():
            raise DataError(
                f"{where}: {int((times - 1).sum())} of {len(frames) + int((times - 1).sum())} slices are "
                f"missing, the first between {between} ({gaps[n]:.4g} mm instead of {usual:.4g} mm).\n"
                f"  Fetch the whole series again; a gap would shrink the anatomy. Or have it interpolated "
                f"across the gap:  --straighten"
            )
        raise DataError(
            f"{where}: slices are unevenly spaced: {gaps.min():.4g} to {gaps.max():.4g} mm apart, usually "
            f"{usual:.4g} mm; the first odd step is between {between}.\n  {STRAIGHTEN}"
        )
    off = float(np.abs(along - np.linspace(along[0], along[-1], len(along))).max())
    if off > max(PLACED * usual, SAME_PLACE):
        raise DataError(
            f"{where}: slices are unevenly spaced: up to {off:.3g} mm off an even grid of {usual:.4g} mm.\n"
            f"  {STRAIGHTEN}"
        )


def _check_tilt(positions: Array, normal: Array, where: str) -> tuple[str, ...]:
    """Refuses a stack that leans: each slice shifted within its own plane against the last."""
    along = (positions - positions[0]) @ normal
    aside = positions - positions[0] - along[:, None] * normal
    lean = aside[-1] / along[-1]
    degrees = float(np.degrees(np.arctan(np.linalg.norm(lean))))
    if degrees > TILT_DEG:
        raise DataError(
            f"{where}: the gantry was tilted: slices shift by {degrees:.1f} degrees against their normal.\n"
            f"  {STRAIGHTEN}"
        )
    off = float(np.linalg.norm(aside - along[:, None] * lean, axis=1).max())
    if off > max(PLACED * float(np.median(np.diff(along))), SAME_PLACE):
        raise DataError(
            f"{where}: slices are shifted against each other by up to {off:.3g} mm within their planes.\n"
            f"  {STRAIGHTEN}"
        )
    return (f"slices are shifted by {degrees:.2f} degrees from the normal",) if degrees > SKEW_DEG else ()


def _named(frame: Frame) -> str:
    """A frame, for messages: its file, and its number in a file of many."""
    return frame.file.name if frame.number == 0 else f"{frame.file.name} (frame {frame.number + 1})"
