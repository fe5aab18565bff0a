"""SEG: a result as DICOM Segmentation, on the original slices.

    BINARY      one frame per structure and slice where it is; a bit per pixel. Every viewer reads it.
    LABELMAP    one frame per slice, its pixels the segment numbers (Supplement 243). Small; new in 2024.
    FRACTIONAL  one frame per structure and slice; 0 to 255, the probability or the share of the pixel.

Every frame names the images that it was made from. Source: PS3.3 A.51, C.8.20, C.7.6.16; PS3.16 CIDs 7203,
7202.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from pydicom import dcmwrite
from pydicom.dataset import Dataset
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag
from pydicom.uid import RLELossless
from pydicom.valuerep import format_number_as_ds

from delineate.clinic.codes import Code
from delineate.clinic.color import to_cielab
from delineate.clinic.deflated import deflate
from delineate.clinic.header import coded, date, header, series_number, short, time
from delineate.clinic.items import MOST, element, encoded, raw_sequence, sequence, written_as_is
from delineate.clinic.result import Finding, Result, Uids, new_uid
from delineate.clinic.series import Reference, Series
from delineate.clinic.written import Written
from delineate.errors import DataError
from delineate.io.disk import replacing

SegKind = Literal["BINARY", "LABELMAP", "FRACTIONAL"]
Compression = Literal["none", "deflate", "rle"]
Array = npt.NDArray[Any]

SEG = "1.2.840.10008.5.1.4.1.1.66.4"
LABELMAP = "1.2.840.10008.5.1.4.1.1.66.7"
SERIES_OFFSET = 3000  # keeps results after the images in lists that sort by SeriesNumber
FULL = 255  # MaximumFractionalValue
SEGMENTATION = Code(value="113076", scheme="DCM", meaning="Segmentation")
SOURCE = Code(value="121322", scheme="DCM", meaning="Source image for image processing operation")
INTELLIGENCE = Code(value="123109", scheme="DCM", meaning="Artificial Intelligence")
BACKGROUND = Code(value="125040", scheme="DCM", meaning="Background")
BITS = 8  # frames that are packed together: their bits always end on a byte


def write_seg(
    result: Result,
    path: Path,
    kind: SegKind = "BINARY",
    *,
    empty_frames: bool = False,
    compress: Compression = "none",
    uids: Uids = new_uid,
) -> Written:
    """Writes a result as one SEG file and returns its identity.

    Frames without a voxel are left out, as the standard has it, unless `empty_frames`. What is not
    compressed is read everywhere; "deflate" packs the whole file, "rle" frames of LABELMAP and FRACTIONAL.
    """
    _check_kind(result, kind, compress, path)
    frames = _frames(result, kind, empty_frames)
    numbers = {f.name: f.values[0] if kind == "LABELMAP" else n for n, f in enumerate(result.findings, 1)}
    sop_class, sop_uid, series_uid = LABELMAP if kind == "LABELMAP" else SEG, uids(), uids()
    content, notes = header(result, sop_class, sop_uid, series_uid)
    _describe(content, result, kind)
    _dimension(content, kind, uids())
    _references(content, result.series, frames)
    content.SegmentSequence = Items(_segments(result, kind, numbers))
    _groups(content, result.series, frames)
    written_as_is(content, implicit=False)
    if compress == "rle":
        content.file_meta.TransferSyntaxUID = RLELossless
    with replacing(path) as temporary:
        dcmwrite(temporary, content, enforce_file_format=True)
        with temporary.open("ab") as file:
            if compress == "rle":
                _write_runs(file, result, kind, frames)
            else:
                _write_pixels(file, result, kind, frames, path)
        if compress == "deflate":
            deflate(temporary)
    soft = kind == "FRACTIONAL" and result.probabilities is not None
    return Written("SEG", path, sop_class, sop_uid, series_uid, numbers, notes, soft)


def _check_kind(result: Result, kind: SegKind, compress: Compression, path: Path) -> None:
    if kind == "LABELMAP" and result.overlaps:
        raise DataError(
            f"{path}: structures overlap, and a label map holds one value per pixel.\n"
            f"  Write them as BINARY (--seg-kind binary), or the labels instead (without --regions)."
        )
    if kind == "BINARY" and compress == "rle":
        raise DataError(
            f"{path}: run lengths are of bytes, and a BINARY segmentation has a bit per pixel (PS3.5 G.2).\n"
            f"  Compress it by deflate (--compress deflate), or write a LABELMAP."
        )


@dataclass(frozen=True)
class SegFrame:
    """One frame: the slice that it shows, and which structure (its place in the findings; None for all)."""

    k: int
    finding: int | None


def _frames(result: Result, kind: SegKind, empty: bool) -> tuple[SegFrame, ...]:
    """Which frames there are; at least one, as an image without frames is none."""
    count = result.array.shape[2]
    if kind == "LABELMAP":
        used = result.planes.any(axis=(1, 2)) | empty
        return tuple(SegFrame(int(k), None) for k in np.flatnonzero(used)) or (SegFrame(0, None),)
    present = _present(result) | empty
    if kind == "FRACTIONAL" and result.probabilities is not None:
        present |= (stored_share(result.probabilities) > 0).any(axis=(1, 2))
    frames = tuple(SegFrame(k, n) for n in range(len(result.findings)) for k in range(count) if present[n, k])
    return frames or (SegFrame(0, 0),)


def _present(result: Result) -> npt.NDArray[np.bool_]:
    """(finding, slice): whether a structure has a voxel there."""
    most = max(max(finding.values) for finding in result.findings) + 1
    counts = np.array([np.bincount(plane.ravel(), minlength=most) for plane in result.planes])
    return np.stack([counts[:, finding.values].any(axis=1) for finding in result.findings])


def stored_share(values: Array) -> Array:
    """Probabilities as FRACTIONAL keeps them: 0 to 255."""
    return np.asarray(np.rint(np.clip(values, 0, 1) * FULL).astype(np.uint8))


# What the object says about itself


def _describe(content: Dataset, result: Result, kind: SegKind) -> None:
    columns, rows = result.series.shape
    content.Modality = "SEG"
    content.SeriesNumber = series_number(result, SERIES_OFFSET)
    content.SeriesDescription = short(f"Segmentation {result.maker.name} {result.maker.version}", 64)
    content.ImageType = ["DERIVED", "PRIMARY"]
    content.ContentDate, content.ContentTime = date(result.when), time(result.when)
    content.ContentLabel = "SEGMENTATION"
    content.ContentDescription = short(f"{len(result.findings)} structures by {result.maker.name}", 64)
    content.ContentCreatorName = result.approval.reviewer if result.approval else ""
    content.SegmentationType = kind
    content.SamplesPerPixel, content.PhotometricInterpretation = 1, "MONOCHROME2"
    content.PixelRepresentation, content.LossyImageCompression = 0, "00"
    content.Rows, content.Columns = rows, columns
    content.BurnedInAnnotation = "NO"
    bits = {"BINARY": 1, "FRACTIONAL": 8, "LABELMAP": 8 * result.array.dtype.itemsize}[kind]
    content.BitsAllocated, content.BitsStored, content.HighBit = bits, bits, bits - 1
    if kind == "FRACTIONAL":
        soft = result.probabilities is not None
        content.SegmentationFractionalType = "PROBABILITY" if soft else "OCCUPANCY"
        content.MaximumFractionalValue = FULL
    if kind == "LABELMAP":
        content.add_new("PixelPaddingValue", "US", 0)  # pydicom would settle US or SS while it parses all
    soft = kind == "FRACTIONAL" and result.probabilities is not None
    content.SegmentsOverlap = "YES" if soft or result.overlaps else "NO"


def _dimension(content: Dataset, kind: SegKind, uid: str) -> None:
    """What frames are counted by: the segment, and the place of the slice."""
    organization = Dataset()
    organization.DimensionOrganizationUID = uid
    content.DimensionOrganizationSequence = Items([organization])
    pointers = [("SegmentIdentificationSequence", "ReferencedSegmentNumber", "Segment")]
    pointers = [] if kind == "LABELMAP" else pointers
    pointers.append(("PlanePositionSequence", "ImagePositionPatient", "Place of the slice"))
    content.DimensionIndexSequence = Items()
    for group, pointer, label in pointers:
        index = Dataset()
        index.DimensionIndexPointer, index.FunctionalGroupPointer = Tag(pointer), Tag(group)
        index.DimensionOrganizationUID, index.DimensionDescriptionLabel = uid, label
        content.DimensionIndexSequence.append(index)


def _references(content: Dataset, series: Series, frames: Iterable[SegFrame]) -> None:
    """The images that the frames were made from, by series: PS3.3 C.12.2."""
    referred = Dataset()
    referred.SeriesInstanceUID = series.uid
    slices = sorted({frame.k for frame in frames})
    instances = dict.fromkeys((r.sop_class, r.uid) for k in slices for r in series.references[k])
    referred.ReferencedInstanceSequence = Items()
    for sop_class, uid in instances:
        image = Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = sop_class, uid
        referred.ReferencedInstanceSequence.append(image)
    content.ReferencedSeriesSequence = Items([referred])


def _segments(result: Result, kind: SegKind, numbers: dict[str, int]) -> Iterator[Dataset]:
    if kind == "LABELMAP":
        yield _background()
    for finding in result.findings:
        yield _segment(finding, numbers[finding.name], result)


def _background() -> Dataset:
    """What the pixels of no structure are; Supplement 243 wants an item for every value."""
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel, item.SegmentAlgorithmType = 0, "Background", "MANUAL"
    item.SegmentedPropertyCategoryCodeSequence = Items([coded(BACKGROUND)])
    item.SegmentedPropertyTypeCodeSequence = Items([coded(BACKGROUND)])
    return item


def _segment(finding: Finding, number: int, result: Result) -> Dataset:
    concept, maker = finding.concept, result.maker
    item = Dataset()
    item.SegmentNumber, item.SegmentLabel = number, finding.name
    item.SegmentedPropertyCategoryCodeSequence = Items([coded(concept.category)])
    kind = coded(concept.kind)
    region = None if concept.region is None else coded(concept.region)
    if concept.side is not None and region is not None:
        region.AnatomicRegionModifierSequence = Items([coded(concept.side)])
    elif concept.side is not None:
        kind.SegmentedPropertyTypeModifierCodeSequence = Items([coded(concept.side)])
    item.SegmentedPropertyTypeCodeSequence = Items([kind])
    if region is not None:
        item.AnatomicRegionSequence = Items([region])
    item.SegmentAlgorithmType = maker.kind
    if maker.kind != "MANUAL":
        item.SegmentAlgorithmName = short(maker.name, 64)
        item.SegmentationAlgorithmIdentificationSequence = Items([_algorithm(result)])
    item.RecommendedDisplayCIELabValue = list(to_cielab(concept.color))
    item.TrackingID, item.TrackingUID = short(finding.tracking_id, 64), finding.tracking_uid
    return item


def _algorithm(result: Result) -> Dataset:
    item = Dataset()
    item.AlgorithmFamilyCodeSequence = Items([coded(INTELLIGENCE)])
    item.AlgorithmName = short(result.maker.name, 64)
    item.AlgorithmVersion = short(result.maker.version, 64)
    if result.maker.digest:
        item.AlgorithmParameters = f"model sha256 {result.maker.digest}"
    return item


# What it says about each frame


def _groups(content: Dataset, series: Series, frames: tuple[SegFrame, ...]) -> None:
    content.NumberOfFrames = len(frames)
    content.SharedFunctionalGroupsSequence = Items([_shared(series)])
    tag, raw = raw_sequence("PerFrameFunctionalGroupsSequence", _per_frame(series, frames))
    if len(raw.value or b"") > MOST:
        raise DataError(
            f"{len(frames)} frames are more than one SEG can describe.\n"
            f"  Write a LABELMAP (--seg-kind labelmap), or deliver fewer structures at a time."
        )
    content[tag] = raw


def _shared(series: Series) -> Dataset:
    measures, orientation, shared = Dataset(), Dataset(), Dataset()
    between_columns, between_rows = series.spacing
    measures.PixelSpacing = [number(between_rows), number(between_columns)]
    measures.SliceThickness = number(series.thickness)
    if series.is_regular and len(series.positions) > 1:
        measures.SpacingBetweenSlices = number(series.gap)
    orientation.ImageOrientationPatient = [number(x) for x in series.axes.ravel()]
    shared.PixelMeasuresSequence = Items([measures])
    shared.PlaneOrientationSequence = Items([orientation])
    return shared


def number(value: float) -> str:
    """A DS: a number in at most 16 letters. PS3.5, 6.2."""
    return str(format_number_as_ds(float(value) + 0.0))


def _per_frame(series: Series, frames: tuple[SegFrame, ...]) -> Iterator[bytes]:
    slices = sorted({frame.k for frame in frames})
    place = {k: n for n, k in enumerate(slices, 1)}
    sources = {k: _derivation(series.references[k]) for k in slices}
    positions = {k: _position(series.positions[k]) for k in slices}
    for frame in frames:
        counted = () if frame.finding is None else (frame.finding + 1,)
        indices = struct.pack(f"<{len(counted) + 1}L", *counted, place[frame.k])
        described = sequence("FrameContentSequence", [element("DimensionIndexValues", "UL", indices)])
        yield sources[frame.k] + described + positions[frame.k] + b"".join(map(_named, counted))


def _named(segment: int) -> bytes:
    value = element("ReferencedSegmentNumber", "US", struct.pack("<H", segment))
    return sequence("SegmentIdentificationSequence", [value])


def _position(position: Array) -> bytes:
    value = "\\".join(number(x) for x in position).encode()
    return sequence("PlanePositionSequence", [element("ImagePositionPatient", "DS", value)])


def _derivation(references: Iterable[Reference]) -> bytes:
    derivation = Dataset()
    derivation.SourceImageSequence = Items()
    for reference in references:
        image = Dataset()
        image.ReferencedSOPClassUID = reference.sop_class
        image.ReferencedSOPInstanceUID = reference.uid
        if reference.frame is not None:
            image.ReferencedFrameNumber = reference.frame
        image.PurposeOfReferenceCodeSequence = Items([coded(SOURCE)])
        image.SpatialLocationsPreserved = "YES"
        derivation.SourceImageSequence.append(image)
    derivation.DerivationCodeSequence = Items([coded(SEGMENTATION)])
    return sequence("DerivationImageSequence", [encoded(derivation)])


# Pixels


def _write_pixels(
    file: BinaryIO, result: Result, kind: SegKind, frames: tuple[SegFrame, ...], path: Path
) -> None:
    columns, rows = result.series.shape
    bits = {"BINARY": 1, "FRACTIONAL": 8, "LABELMAP": 8 * result.array.dtype.itemsize}[kind]
    length = (len(frames) * rows * columns * bits + 7) // 8
    length += length % 2
    if length > MOST:
        raise DataError(
            f"{path}: {len(frames)} frames of {columns} x {rows} need {length / 1e9:.1f} GB; a DICOM file "
            f"without compression holds 4.3 GB of pixels.\n"
            f"  Write a LABELMAP (--seg-kind labelmap), or deliver fewer structures at a time."
        )
    vr = b"OW" if bits == 16 else b"OB"
    file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, vr, 0, length))
    written = sum(file.write(part) for part in _pixels(result, kind, frames))
    file.write(b"\0" * (length - written))


def _write_runs(file: BinaryIO, result: Result, kind: SegKind, frames: tuple[SegFrame, ...]) -> None:
    """The frames as run lengths, each an item behind an empty table of offsets. PS3.5 A.4, annex G."""
    plane = _planes_of(result, kind)
    columns, rows = result.series.shape
    bits = 8 if kind == "FRACTIONAL" else 8 * result.array.dtype.itemsize
    file.write(struct.pack("<HH2sHL", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF))
    file.write(struct.pack("<HHL", 0xFFFE, 0xE000, 0))
    for frame in frames:
        runs = RLELosslessEncoder.encode(
            plane(frame).astype(f"<u{bits // 8}").tobytes(), rows=rows, columns=columns, samples_per_pixel=1,
            bits_allocated=bits, bits_stored=bits, pixel_representation=0, number_of_frames=1,
            photometric_interpretation="MONOCHROME2",
        )  # fmt: skip
        file.write(struct.pack("<HHL", 0xFFFE, 0xE000, len(runs) + len(runs) % 2))
        file.write(runs + b"\0" * (len(runs) % 2))
    file.write(struct.pack("<HHL", 0xFFFE, 0xE0DD, 0))


def _pixels(result: Result, kind: SegKind, frames: tuple[SegFrame, ...]) -> Iterator[bytes]:
    plane = _planes_of(result, kind)
    if kind != "BINARY":
        for frame in frames:
            yield plane(frame).tobytes()
        return
    for start in range(0, len(frames), BITS):  # PS3.5, 8.1.1: bits run on from frame to frame
        together = np.stack([plane(frame) for frame in frames[start : start + BITS]])
        yield np.packbits(together, bitorder="little").tobytes()


def _planes_of(result: Result, kind: SegKind) -> Callable[[SegFrame], Array]:
    """What gives the pixels (row, column) of a frame."""
    planes = result.planes
    values = [finding.values for finding in result.findings]

    def labelled(frame: SegFrame) -> Array:
        return np.asarray(planes[frame.k])

    def filled(frame: SegFrame) -> Array:
        assert frame.finding is not None
        own = values[frame.finding]
        return np.asarray(planes[frame.k] == own[0] if len(own) == 1 else np.isin(planes[frame.k], own))

    def shared(frame: SegFrame) -> Array:
        assert frame.finding is not None
        if result.probabilities is None:
            return filled(frame).astype(np.uint8) * np.uint8(FULL)
        return stored_share(result.probabilities[frame.finding, :, :, frame.k].T)

    return {"BINARY": filled, "LABELMAP": labelled, "FRACTIONAL": shared}[kind]
