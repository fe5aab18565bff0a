"""Pixels: burned-in text is found and blanked, faces are cut away, in the stored values of DICOM images.

Kinds of image in which machines and people write are looked at (`may_hold_text`); slices of CT, MR and PET as
the scanner makes them are not. Of an ultrasound image that says where its picture lies (PS3.3 C.8.5.5), all
that is outside is blanked too: that is where names stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian

from delineate.clinic.privacy.lettering import Area, find_text
from delineate.io.foreign import quiet

Array = npt.NDArray[Any]

WRITTEN_ON = (
    "US",
    "IVUS",
    "SC",
    "OT",
    "XC",
    "ES",
    "GM",
    "EC",
    "ECG",
    "XA",
    "RF",
    "OP",
    "DOC",
    "PX",
    "IO",
    "SMR",
)
ROUNDS = 4  # of blanking: what is blanked may lay bare what was hidden beside it
SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds below it


def may_hold_text(content: Dataset) -> bool:
    """Whether people or machines write into images of this kind, or the header says that it holds text."""
    if not holds_pixels(content):
        return False
    kinds = [str(part) for part in content.get("ImageType") or ()]
    return (
        str(content.get("BurnedInAnnotation") or "") == "YES"
        or str(content.get("Modality") or "") in WRITTEN_ON
        or (
            str(content.get("SOPClassUID") or "").startswith(SECONDARY_CAPTURE)
            and str(content.get("SOPClassUID"))[len(SECONDARY_CAPTURE) :][:1] in ("", ".")
        )
        or "SCREEN SAVE" in kinds
        or (int(content.get("SamplesPerPixel") or 1) == 3 and str(content.get("Modality")) != "SM")
    )


def holds_pixels(content: Dataset) -> bool:
    """Whether an object is an image whose pixels are whole numbers, and no map of labels."""
    return "PixelData" in content and "Rows" in content and int(content.get("BitsAllocated") or 1) > 1


def blanked(content: Dataset) -> bool | None:
    """Blanks text until none is seen; None where there was none, False where some is left."""
    frames = _grey(content)
    span = float(frames.min()), float(frames.max())  # of the whole, or noise looks like letters afterwards
    areas = find_text(frames, span)
    if not areas and outside_regions(content) is None:
        return None
    for _ in range(ROUNDS):
        blank(content, areas)
        areas = find_text(_grey(content), span)
        if not areas:
            return True
    return False


def text_areas(content: Dataset) -> tuple[Area, ...]:
    """Where text seems to stand in an image, in any of its frames."""
    return find_text(_grey(content))


def _grey(content: Dataset) -> Array:
    """Stored values (frame, row, column), of colours the brightest."""
    frames = stored(content)
    return frames if frames.ndim == 3 else np.asarray(frames.astype(np.float32).max(axis=-1))


def blank(content: Dataset, areas: Sequence[Area]) -> None:
    """Blanks areas of every frame, and what lies outside the pictures of an ultrasound image.

    Compressed images are written uncompressed afterwards.
    """
    frames = stored(content).copy()
    for area in areas:
        frames[(slice(None), *area.slices)] = _ground(content, frames)
    outside = outside_regions(content)
    if outside is not None:
        frames[:, outside] = _ground(content, frames)
    store(content, frames)


def outside_regions(content: Dataset) -> npt.NDArray[np.bool_] | None:
    """(row, column): outside of all regions that an ultrasound image declares; None without any."""
    regions = content.get("SequenceOfUltrasoundRegions") or []
    mask = np.ones((int(content.Rows), int(content.Columns)), bool)
    for region in regions:
        try:
            left, top = int(region.RegionLocationMinX0), int(region.RegionLocationMinY0)
            right, bottom = int(region.RegionLocationMaxX1), int(region.RegionLocationMaxY1)
        except (AttributeError, TypeError, ValueError):
            return None
        mask[top : bottom + 1, left : right + 1] = False
    return mask if regions and not mask.all() else None


def stored(content: Dataset) -> Array:
    """Stored values, (frame, row, column) or (frame, row, column, colour)."""
    with quiet("pydicom"):
        array = np.asarray(pixel_array(content))
    colours = int(content.get("SamplesPerPixel") or 1) > 1
    return array if array.ndim == 3 + colours else array[None]


def _ground(content: Dataset, frames: Array) -> Any:
    """The stored value of black."""
    if content.PhotometricInterpretation == "MONOCHROME1":
        return frames.max()
    return frames.min() if frames.dtype.kind == "i" else 0


def store(content: Dataset, frames: Array) -> None:
    """Puts stored values (frame, row, column, ...) back, uncompressed, and says that the image is derived."""
    order: Literal["<", ">"] = (
        ">" if not content.original_encoding[1] and not _is_compressed(content) else "<"
    )
    values = np.ascontiguousarray(frames.astype(frames.dtype.newbyteorder(order)))
    content.PixelData = values.tobytes() + b"\0" * (values.nbytes % 2)
    content["PixelData"].VR = "OW" if int(content.BitsAllocated) > 8 else "OB"
    content["PixelData"].is_undefined_length = False
    if frames.ndim == 4:
        content.PlanarConfiguration = 0
        if str(content.PhotometricInterpretation).startswith("YBR"):
            content.PhotometricInterpretation = "RGB"  # as pydicom decodes it
    if order == "<":
        content.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    kinds = [str(part) for part in content.get("ImageType") or ("DERIVED", "PRIMARY")]
    content.ImageType = ["DERIVED", *kinds[1:]]


def _is_compressed(content: Dataset) -> bool:
    return bool(getattr(content.file_meta.get("TransferSyntaxUID", ""), "is_encapsulated", False))


def overlay_text(content: Dataset) -> tuple[int, ...]:
    """Groups (60xx) of overlays in which text seems to stand."""
    groups = [group for group in range(0x6000, 0x6020, 2) if (group, 0x3000) in content]
    return tuple(group for group in groups if find_text(_overlay(content, group)))


def _overlay(content: Dataset, group: int) -> Array:
    rows, columns = int(content[group, 0x0010].value), int(content[group, 0x0011].value)
    bits = np.unpackbits(np.frombuffer(content[group, 0x3000].value, np.uint8), bitorder="little")
    count = len(bits) // (rows * columns)
    return bits[: count * rows * columns].reshape(count, rows, columns)
