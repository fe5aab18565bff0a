"""SEG in: segments become masks on slices, in every flavour: binary, fractional, label map, overlapping.

Frames say themselves where they lie. With a series they are put on its slices; without one, on their own
planes. Source: PS3.3 A.51, C.8.20, C.7.6.16; Supplement 243 for label maps.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, RLELossless

from delineate.clinic.annotation import Annotation, Patch, Structure, full_grid, unique_names
from delineate.clinic.codes import Code
from delineate.clinic.color import from_cielab
from delineate.clinic.result import ON_GRID_MM, on_slices
from delineate.clinic.series import SAME_PLACE, Series
from delineate.errors import DataError
from delineate.io.dicom import check_codec
from delineate.io.foreign import quiet, reading
from delineate.io.frames import dataset
from delineate.space import LabelMap, LabelSchema

Plane = npt.NDArray[Any]  # (column, row)

SEG, LABELMAP = "1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7"
BACKGROUND = ("125040", "DCM")
HALF = 0.5  # of the highest value: from here on a pixel of a fractional segment is in
SAME_COSINE = 1e-3
RLE_HEADER = 64  # bytes before the one segment of a frame of single bits. PS3.5 G.5
REPEATED = 128  # a count above repeats one byte, one below copies what follows


@dataclass(frozen=True)
class Placed:
    """One frame: its place (LPS+ mm), its segment (None in a label map), and the images it was made from."""

    number: int
    position: tuple[float, float, float]
    segment: int | None
    sources: tuple[str, ...] = ()


def read_seg(path: Path, series: Series | None = None) -> Annotation:
    """The segments of a SEG on the slices of `series`, or on the planes of their own frames."""
    content = dataset(path)
    with reading(path, "SEG", private=True), quiet("pydicom"):
        if str(content.get("SOPClassUID", "")) not in (SEG, LABELMAP):
            raise DataError(f"{path}: is no segmentation (SEG).\n  Name the file with the segments.")
        _check_volume(content, path)
        frames = tuple(_frames(content, path))
        own = _own_series(content, frames, path)
        _check_space(own, series, path)
        patches, notes = _patches(content, frames, own)
        found = Annotation("SEG", path, own, _structures(content, patches), notes)
    return found if series is None else _moved(found, series)


def referenced(content: Dataset) -> tuple[set[str], set[str]]:
    """The series and the images that a segmentation says it was made from: their UIDs."""
    series = {str(i.get("SeriesInstanceUID", "")) for i in content.get("ReferencedSeriesSequence") or []}
    images = {
        str(image.get("ReferencedSOPInstanceUID", ""))
        for item in content.get("ReferencedSeriesSequence") or []
        for image in item.get("ReferencedInstanceSequence") or []
    }
    for group in [
        *_items(content, "SharedFunctionalGroupsSequence"),
        *_items(content, "PerFrameFunctionalGroupsSequence"),
    ]:
        images |= set(_sources(group))
    images |= {str(i.get("ReferencedSOPInstanceUID", "")) for i in _items(content, "SourceImageSequence")}
    return series - {""}, images - {""}


def _items(item: Dataset, keyword: str) -> list[Dataset]:
    return list(item.get(keyword) or [])


def _sources(group: Dataset) -> tuple[str, ...]:
    return tuple(
        str(image.get("ReferencedSOPInstanceUID", ""))
        for derivation in _items(group, "DerivationImageSequence")
        for image in _items(derivation, "SourceImageSequence")
    )


# Frames


def _check_volume(content: Dataset, path: Path) -> None:
    if "TotalPixelMatrixRows" in content or content.get("DimensionOrganizationType") in (
        "TILED_FULL",
        "TILED_SPARSE",
    ):
        raise DataError(
            f"{path}: segments tiles of a whole slide, not slices of a volume.\n"
            f"  Leave it out; slides are read by other means."
        )


def _frames(content: Dataset, path: Path) -> Iterator[Placed]:
    shared = _first(content, "SharedFunctionalGroupsSequence")
    each = _items(content, "PerFrameFunctionalGroupsSequence")
    if len(each) != int(content.get("NumberOfFrames") or 0):
        raise DataError(
            f"{path}: says {content.get('NumberOfFrames')} frames but describes {len(each)}.\n"
            f"  Export it again."
        )
    for number, group in enumerate(each):
        place = _first(group, "PlanePositionSequence") or _first(shared, "PlanePositionSequence")
        position = place.get("ImagePositionPatient")
        if position is None or len(position) != 3:
            raise DataError(
                f"{path}: frame {number + 1} does not say where in the patient it lies.\n"
                f"  Segments of plain pictures are no labels of a volume: leave the file out."
            )
        x, y, z = (float(value) for value in position)
        named = _first(group, "SegmentIdentificationSequence") or _first(
            shared, "SegmentIdentificationSequence"
        )
        segment = named.get("ReferencedSegmentNumber")
        yield Placed(number, (x, y, z), None if segment is None else int(segment), _sources(group))


def _first(item: Dataset, keyword: str) -> Dataset:
    found = _items(item, keyword)
    return found[0] if found else Dataset()


def _own_series(content: Dataset, frames: tuple[Placed, ...], path: Path) -> Series:
    """The planes that the frames lie on, as if they were a series."""
    shared = _first(content, "SharedFunctionalGroupsSequence")
    group = _first(content, "PerFrameFunctionalGroupsSequence")
    orientation = _first(shared, "PlaneOrientationSequence") or _first(group, "PlaneOrientationSequence")
    measures = _first(shared, "PixelMeasuresSequence") or _first(group, "PixelMeasuresSequence")
    axes = np.reshape([float(x) for x in orientation.ImageOrientationPatient], (2, 3))
    axes = axes / np.linalg.norm(axes, axis=1, keepdims=True)
    between_rows, between_columns = (float(x) for x in measures.PixelSpacing)
    normal = np.cross(axes[0], axes[1])
    places = np.array([frame.position for frame in frames])
    order = np.argsort(places @ normal, kind="stable")
    along = (places @ normal)[order]
    first = np.concatenate([[True], np.diff(along) > SAME_PLACE])
    thick = measures.get("SpacingBetweenSlices") or measures.get("SliceThickness") or 1.0
    return Series(
        where=path,
        header=content,
        uid=str(content.get("SeriesInstanceUID", "")),
        shape=(int(content.Columns), int(content.Rows)),
        spacing=(between_columns, between_rows),
        axes=axes,
        positions=places[order][first],
        references=tuple(() for _ in range(int(first.sum()))),
        thickness=abs(float(thick)) or 1.0,
    )


def _check_space(own: Series, series: Series | None, path: Path) -> None:
    if series is None:
        return
    a, b = own.frame_of_reference_uid, series.frame_of_reference_uid
    if a and b and a != b:
        raise DataError(
            f"{path}: its segments are in another frame of reference than the series in {series.where}.\n"
            f"  Name the series that they were drawn on; a registration between the two is not applied."
        )


# Segments


def _structures(content: Dataset, patches: Mapping[int, list[Patch]]) -> tuple[Structure, ...]:
    items = [item for item in _items(content, "SegmentSequence") if not _is_background(item, content)]
    names = unique_names([str(i.get("SegmentLabel", "")) or f"segment {i.SegmentNumber}" for i in items])
    return tuple(
        _structure(item, name, tuple(patches.get(int(item.SegmentNumber), [])))
        for item, name in zip(items, names, strict=True)
    )


def _is_background(item: Dataset, content: Dataset) -> bool:
    """Label maps have an item for what is no structure: value 0, or the padding value, or coded so."""
    if content.SOPClassUID != LABELMAP:
        return False
    code = _first(item, "SegmentedPropertyTypeCodeSequence")
    coded = (str(code.get("CodeValue", "")), str(code.get("CodingSchemeDesignator", "")))
    return coded == BACKGROUND or int(item.SegmentNumber) == _padding(content)


def _padding(content: Dataset) -> int:
    """The pixel value of background in a label map."""
    value = content.get("PixelPaddingValue")
    return 0 if value is None else int(value)


def _structure(item: Dataset, name: str, patches: tuple[Patch, ...]) -> Structure:
    lab = item.get("RecommendedDisplayCIELabValue")
    return Structure(
        number=int(item.SegmentNumber),
        name=name,
        patches=patches,
        kind=_code(_first(item, "SegmentedPropertyTypeCodeSequence")),
        color=from_cielab([int(x) for x in lab]) if lab is not None and len(lab) == 3 else None,
        tracking_uid=str(item.get("TrackingUID", "") or ""),
        tracking_id=str(item.get("TrackingID", "") or ""),
        maker=str(item.get("SegmentAlgorithmType", "") or ""),
    )


def _code(item: Dataset) -> Code | None:
    value = str(item.get("CodeValue", "") or item.get("LongCodeValue", "") or "")
    if not value:
        return None
    scheme, meaning = str(item.get("CodingSchemeDesignator", "")), str(item.get("CodeMeaning", ""))
    return Code(value=value, scheme=scheme, meaning=meaning)


def _patches(
    content: Dataset, frames: tuple[Placed, ...], own: Series
) -> tuple[dict[int, list[Patch]], tuple[str, ...]]:
    """The patches of each segment on the planes of the frames."""
    patches: dict[int, list[Patch]] = defaultdict(list)
    notes: list[str] = []
    fractional = content.get("SegmentationType") == "FRACTIONAL"
    if fractional:
        kind = str(content.get("SegmentationFractionalType", "")).lower()
        notes.append(f"a fractional segmentation ({kind}): pixels of half and more were taken as inside")
    most = float(content.get("MaximumFractionalValue") or 1)
    background = _padding(content)
    for frame, plane in zip(frames, _planes(content), strict=True):
        k = int(np.argmin(np.abs(own.along - np.dot(frame.position, own.normal))))
        if frame.segment is None:
            found = {int(v): plane == v for v in np.unique(plane).tolist() if v != background}
        else:
            found = {frame.segment: plane >= HALF * most if fractional else plane != 0}
        for segment, mask in found.items():
            if (patch := Patch.of(k, mask)) is not None:
                patches[segment].append(patch)
    return patches, tuple(notes)


def _planes(content: Dataset) -> Iterator[Plane]:
    """The pixels (column, row) of each frame."""
    syntax = UID(content.file_meta.TransferSyntaxUID)
    rows, columns = int(content.Rows), int(content.Columns)
    size, bits = rows * columns, int(content.BitsAllocated)
    if syntax == RLELossless and bits == 1:  # pydicom 3.0 decodes whole bytes only
        for frame in generate_frames(content.PixelData, number_of_frames=int(content.NumberOfFrames)):
            packed = unpacked(frame[RLE_HEADER:], -(-size // 8))
            yield np.unpackbits(packed, bitorder="little")[:size].reshape(rows, columns).T
        return
    if syntax.is_encapsulated:
        check_codec(Path(str(content.filename)), content)
        for plane in iter_pixels(content):
            yield np.asarray(plane).T
        return
    stored = np.frombuffer(content.PixelData, np.uint8)
    for number in range(int(content.NumberOfFrames)):
        if bits == 1:
            start, stop = number * size, (number + 1) * size
            part = np.unpackbits(stored[start // 8 : (stop + 7) // 8], bitorder="little")[start % 8 :][:size]
        else:
            width = bits // 8
            kind = np.dtype(f"<u{width}")
            part = np.frombuffer(stored[number * size * width : (number + 1) * size * width], kind)
        yield part.reshape(rows, columns).T


def unpacked(runs: bytes, size: int) -> npt.NDArray[np.uint8]:
    """`size` bytes from their run lengths. PS3.5 G.3.2."""
    whole, at = bytearray(), 0
    while len(whole) < size:
        count = runs[at]
        if count < REPEATED:
            whole += runs[at + 1 : at + 2 + count]
            at += 2 + count
        elif count > REPEATED:
            whole += runs[at + 1 : at + 2] * (257 - count)
            at += 2
        else:  # means nothing
            at += 1
    return np.frombuffer(bytes(whole[:size]), np.uint8)


# Onto the slices of a series


def _moved(found: Annotation, series: Series) -> Annotation:
    """The structures on the slices of another series than their own planes."""
    own = found.series
    same = (
        own.shape == series.shape
        and np.allclose(own.axes, series.axes, atol=SAME_COSINE)
        and np.allclose(own.spacing, series.spacing, rtol=SAME_COSINE)
    )
    places = [_slice_at(position, series) for position in own.positions] if same else []
    if same and None not in places:
        structures = [_renumbered(s, [k for k in places if k is not None]) for s in found.structures]
        return Annotation(found.kind, found.path, series, tuple(structures), found.notes)
    structures = [_resampled(found, s, series) for s in found.structures]
    note = "segments were on another grid than the series: put on its slices"
    return Annotation(found.kind, found.path, series, tuple(structures), (*found.notes, note))


def _slice_at(position: npt.NDArray[np.float64], series: Series) -> int | None:
    """The slice of the series with this position."""
    far = np.linalg.norm(series.positions - position, axis=1)
    k = int(np.argmin(far))
    return k if far[k] < max(ON_GRID_MM, SAME_COSINE * min(series.spacing)) else None


def _renumbered(structure: Structure, places: list[int]) -> Structure:
    patches = tuple(Patch(places[patch.k], patch.start, patch.mask) for patch in structure.patches)
    return replace(structure, patches=patches)


def _resampled(found: Annotation, structure: Structure, series: Series) -> Structure:
    geometry, places = full_grid(found.series)
    array = np.zeros(geometry.shape, np.uint8)
    array[:, :, places] = found.mask(structure.name)
    moved, _ = on_slices(LabelMap(array, geometry, LabelSchema.of("inside")), series)
    patches = [Patch.of(k, moved[:, :, k] > 0) for k in range(moved.shape[2])]
    return replace(structure, patches=tuple(patch for patch in patches if patch is not None))
