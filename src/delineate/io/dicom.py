"""DICOM: a folder of slices, or one file with one frame or many.

A folder is read by headers first: `find_series` lists what it holds, `read_series` makes one series a
volume (module `stack` has the checks), `split_series` takes a series apart that holds several volumes.
Images without a place in the patient (ultrasound, radiographs, photographs) are read as pictures.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_color_lut, apply_modality_lut
from pydicom.pixels.utils import iter_pixels
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from delineate.errors import DataError, MissingPackage
from delineate.io.foreign import quiet, reading
from delineate.io.frames import VOLUMETRIC, Frame, dataset, frames_of, is_dicom, object_kind, read_header
from delineate.io.manner import PLAIN, Manner
from delineate.io.pet import pet_headers
from delineate.io.rescale import Rescale
from delineate.io.stack import Frames, Stack, in_order, oddities, slices_of, split, stack
from delineate.io.suv import UNIT
from delineate.space import Geometry, Source, Volume

Array = npt.NDArray[Any]

CT = {"1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.2.1", "1.2.840.10008.5.1.4.1.1.2.2"}
PALETTE = tuple(f"{color}PaletteColorLookupTableData" for color in ("Red", "Green", "Blue"))
PET = {"1.2.840.10008.5.1.4.1.1.128", "1.2.840.10008.5.1.4.1.1.128.1", "1.2.840.10008.5.1.4.1.1.130"}


@dataclass(frozen=True)
class Series:
    """The frames of one series, in no order yet.

    where  the folder or file, for messages
    uid    SeriesInstanceUID; may be empty
    notes  what was left out of the folder
    """

    where: Path
    uid: str
    modality: str
    frames: Frames
    notes: tuple[str, ...] = ()

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that hold it."""
        return tuple(dict.fromkeys(frame.file for frame in self.frames))

    def __repr__(self) -> str:
        columns, rows = self.frames[0].shape
        size = f"{len(self.frames)} images of {columns} x {rows}"
        return f"Series({self.modality}, {size}, {self.uid or 'no UID'})"


def find_series(folder: Path) -> tuple[Series, ...]:
    """The image series in a folder and the folders below it, the largest first; only headers are read."""
    groups: dict[str, list[Frame]] = defaultdict(list)
    others: Counter[str] = Counter()
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or not is_dicom(path):
            continue
        header = read_header(path)
        if kind := object_kind(path, header):
            others[kind] += 1
            continue
        for frame in frames_of(path, header):
            groups[frame.series_uid].append(frame)
    if not groups:
        there = f"; it holds {_listed(others)}" if others else ""
        raise DataError(
            f"{folder}: no DICOM images here{there}.\n"
            f"  Expected the folder of a series (its slices as files), or name a single image file."
        )
    scans = _without_localizers(groups)
    if scouts := sum(map(len, groups.values())) - sum(map(len, scans.values())):
        others["a localiser image"] = scouts
    left_out = (f"left out: {_listed(others)}",) if others else ()
    found = [Series(folder, uid, frames[0].modality, frames, left_out) for uid, frames in scans.items()]
    return tuple(sorted(found, key=lambda series: -len(series.frames)))


def _without_localizers(groups: Mapping[str, Sequence[Frame]]) -> dict[str, Frames]:
    """The series without scouts, and without series of scouts only; all of them if nothing else is there."""
    kept = {uid: tuple(f for f in frames if not f.is_localizer) for uid, frames in groups.items()}
    if not any(kept.values()):
        return {uid: tuple(frames) for uid, frames in groups.items()}
    return {uid: frames for uid, frames in kept.items() if frames}


def _listed(kinds: Counter[str]) -> str:
    return ", ".join(f"{count} x {kind}" for kind, count in sorted(kinds.items()))


def split_series(series: Series) -> tuple[Series, ...]:
    """The volumes in a series: those of other sizes or directions, echoes, time points, ..."""
    return tuple(
        Series(series.where, series.uid, series.modality, frames, series.notes)
        for frames in split(series.frames)
    )


def read_series(series: Series, manner: Manner = PLAIN) -> Volume:
    """One series as a volume, its slices along k by where they lie; or a picture where it is one.

    Values are Hounsfield units in CT, and SUV by body weight in PET unless `manner` says otherwise.
    """
    if manner.straighten and (why := _crooked(series)) is not None:
        return _straightened(series, why, manner)
    placed = _film(series) if manner.film and _is_picture(series) else layout(series)
    array, unit, notes = _values(placed.frames, str(series.where), manner)
    source = _source(placed)
    source = replace(source, unit=unit, notes=(*source.notes, *notes))
    return Volume(array, placed.geometry, picture_names(len(array)), source)


def _is_picture(series: Series) -> bool:
    return not any(frame.is_placed for frame in series.frames) and (
        series.frames[0].sop_class not in VOLUMETRIC
    )


def _crooked(series: Series) -> str | None:
    """Why the slices of a series are no even upright grid; None where they are one, or a picture."""
    if _is_picture(series):
        return None
    where = str(series.where)
    with reading(series.where, "DICOM", private=True):
        found = oddities(in_order(series.frames, where), where)
    return "; ".join(odd.words for odd in found) or None


def _straightened(series: Series, why: str, manner: Manner) -> Volume:
    """Slices that lean or are uneven, interpolated onto an even upright grid; a note says so."""
    ordered = in_order(series.frames, str(series.where))
    slices = slices_of(ordered)
    array, unit, notes = _values(ordered, str(series.where), manner)
    even = slices.even
    planes = f"{len(ordered)} slices became {even.shape[2]} planes {even.spacing[2]:.3g} mm apart"
    said = f"straightened, as asked: {why}; {planes}, interpolated between the slices"
    files = tuple(str(path) for path in dict.fromkeys(frame.file for frame in ordered))
    source = Source(files=files, unit=unit, notes=(*series.notes, said, *notes))
    return Volume(slices.image_on_even(array), even, picture_names(len(array)), source)


def layout(series: Series) -> Stack:
    """The slices in order and their grid, from the headers alone."""
    where = str(series.where)
    if _is_picture(series):
        return _picture(series)
    with reading(series.where, "DICOM", private=True):
        placed = stack(series.frames, where)
    return Stack(placed.frames, placed.geometry, (*series.notes, *placed.notes))


def read(path: Path, manner: Manner = PLAIN) -> Volume:
    """The volume (or picture) in a DICOM file, or in a folder that holds one series."""
    return read_series(_only(path), manner)


def geometry(path: Path) -> Geometry:
    """The grid of a DICOM file or folder; no pixels are read."""
    return layout(_only(path)).geometry


def _only(path: Path) -> Series:
    """The one series in a folder or file."""
    if path.is_dir():
        found = find_series(path)
        if len(found) > 1:
            listed = "\n".join(f"  [{n}] {series!r}" for n, series in enumerate(found))
            raise DataError(
                f"{path}: {len(found)} series are mixed in this folder; expected one:\n{listed}\n"
                f"  See what there is:  delineate studies {path}\n"
                f"  Give each a folder of its own, or choose:  "
                f"delineate.io.read_series(delineate.io.find_series(folder)[0])"
            )
        return found[0]
    header = read_header(path)
    if kind := object_kind(path, header):
        raise DataError(
            f"{path}: is {kind}, not a scan.\n  Name an image, or the folder of its series; contours and "
            f"segments become labels with  delineate import-dicom FOLDER OUT"
        )
    frames = frames_of(path, header)
    return Series(path, frames[0].series_uid, frames[0].modality, frames)


def _picture(series: Series) -> Stack:
    """One image without a place in the patient."""
    if len(series.frames) > 1:
        raise DataError(
            f"{series.where}: {len(series.frames)} images that do not say where in the patient they lie "
            f"({series.modality}: views, or a film); expected a volume or one picture.\n"
            f"  Take the pictures of a film as planes, one after the other:  --film (delineate segment), in "
            f"Python read_film(file); of views, export the image you want as a file of its own."
        )
    geometry, notes = picture_grid(series.frames[0])
    return Stack(series.frames, geometry, (*series.notes, *notes))


def _film(series: Series) -> Stack:
    """The images of a file without a place in the patient as planes: k is time."""
    count = len(series.frames)
    if len(series.files) > 1:
        return _picture(series)
    geometry, notes = picture_grid(series.frames[0])
    said = (f"{count} pictures of a film are planes, as asked: k is time, not mm",) if count > 1 else ()
    deep = Geometry((*geometry.shape[:2], count), geometry.affine)
    return Stack(series.frames, deep, (*series.notes, *notes, *said))


def picture_grid(frame: Frame) -> tuple[Geometry, tuple[str, ...]]:
    """The grid of a picture, columns to the left and rows to posterior; what was taken for its size."""
    notes = ["no place in the patient: read as a picture"]
    notes += [frame.sized] if frame.sized else []
    if frame.spacing is None or not min(frame.spacing) > 0:
        notes.append("nothing says how large a pixel is: taken as 1 mm")
        return Geometry.of_image(frame.shape), tuple(notes)
    return Geometry.of_image(frame.shape, frame.spacing), tuple(notes)


def picture_names(count: int) -> tuple[str, ...]:
    """What the channels of an image are called."""
    return ("red", "green", "blue") if count == 3 else ("image",)


def _source(placed: Stack) -> Source:
    uids = tuple(frame.instance_uid for frame in placed.frames)
    notes = list(placed.notes)
    if empty := uids.count(""):
        notes.append(
            f"{empty} of {len(uids)} slices have no SOPInstanceUID: nothing can refer to them "
            f"(SEG and RTSTRUCT made for them cannot be lawful)"
        )
    if placed.frames[0].photometric == "MONOCHROME1":
        notes.append("low values are bright in this image (MONOCHROME1); values were read as stored")
    return Source(
        files=tuple(str(frame.file) for frame in placed.frames),
        instance_uids=uids,
        frame_numbers=tuple(frame.number + 1 for frame in placed.frames),
        notes=tuple(notes),
    )


# Pixels


def _values(frames: Frames, where: str, manner: Manner) -> tuple[Array, str, tuple[str, ...]]:
    """(channel, i, j, k) of frames in order, their unit, and what had to be done for it."""
    array = pixels_of(frames)
    first = frames[0]
    if first.sop_class in CT and len(array) == 1:
        return array, "HU", ()
    if first.sop_class not in PET:
        return array, "", ()
    headers = pet_headers(frames, where)
    if manner.pet == "stored":
        unit = headers.unit
        array = array if headers.scale == 1 else (array * headers.scale).astype(np.float32)
        return array, unit, (f"PET values are as stored{f', in {unit}' if unit else ''}, as asked",)
    with reading(frames[0].file, "DICOM", private=True), quiet("pydicom"):
        found = headers.uptake(where)
    values = array if found.factor == 1 else (array * found.factor).astype(np.float32)
    return values, UNIT, (found.note,)


def pixels_of(frames: Frames) -> Array:
    """(channel, i, j, k) of frames in order, rescaled; each file is opened once."""
    rescales = [_rescale(frame) for frame in frames]
    common = rescales[0] if len(set(rescales)) == 1 else None
    place = {(frame.file, frame.number): k for k, frame in enumerate(frames)}
    values: Array | None = None
    for path in dict.fromkeys(frame.file for frame in frames):
        numbers = [frame.number for frame in frames if frame.file == path]
        for number, plane in zip(numbers, planes_of(path, numbers), strict=True):
            k = place[path, number]
            plane = plane if common else rescales[k].applied(plane)
            values = np.empty((len(frames), *plane.shape), plane.dtype) if values is None else values
            values = values.astype(np.result_type(values, plane), copy=False)
            values[k] = _fitting(plane, values.shape[1:], path)
    assert values is not None  # a series has at least one frame
    values = common.applied(values) if common else values
    colours = values if values.ndim == 4 else values[..., None]
    return colours.transpose(3, 2, 1, 0)  # (channel, i, j, k)


def _fitting(plane: Array, shape: tuple[int, ...], path: Path) -> Array:
    if plane.shape != shape:
        raise DataError(
            f"{path}: holds a {_plane(plane.shape)}, the images before it are {_plane(shape)}s.\n"
            f"  Take images of another kind out of the folder."
        )
    return plane


def _plane(shape: tuple[int, ...]) -> str:
    return f"{shape[1]} x {shape[0]} {'colour' if len(shape) == 3 else 'grey'} image"


def _rescale(frame: Frame) -> Rescale:
    try:
        return Rescale(frame.slope, frame.intercept)
    except DataError as error:
        raise DataError(f"{frame.file}: {error}\n  Export the series again.") from None


def planes_of(path: Path, numbers: Sequence[int]) -> Iterator[Array]:
    """The frames of a file as they are stored, (row, column[, colour]), each decoded when it is its turn."""
    content = dataset(path)
    with reading(path, "DICOM pixels"), quiet("pydicom"):
        _name_syntax(content)
        check_codec(path, content)
        planes = iter_pixels(content, indices=list(numbers))
    for _ in numbers:
        with reading(path, "DICOM pixels"), quiet("pydicom"):
            plane = _looked_up(np.array(next(planes)), content)
        yield plane


def _name_syntax(content: Dataset) -> None:
    """Old files without meta information do not name their encoding; pydicom has found it out."""
    if "TransferSyntaxUID" in content.file_meta:
        return
    implicit, little = content.original_encoding
    plain = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    content.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else plain


def check_codec(path: Path, content: Dataset) -> None:
    """Refuses pixels that nothing installed can decode; names the install line where something could."""
    syntax = UID(content.file_meta.TransferSyntaxUID)
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        raise DataError(
            f"{path}: is encoded as {syntax.name}, which is no still image that can be read.\n"
            f"  Export it uncompressed, or as JPEG 2000."
        ) from None
    if not decoder.is_available:
        raise MissingPackage(
            f"{path}: is encoded as {syntax.name}, which needs more packages:  pip install 'delineate[dicom]'"
        )


def _looked_up(plane: Array, content: Dataset) -> Array:
    """The plane with the tables of its header applied: a modality LUT, or a palette."""
    if "ModalityLUTSequence" in content:
        plane = apply_modality_lut(plane, content)
    elif content.get("PhotometricInterpretation") == "PALETTE COLOR":
        plane = apply_color_lut(plane, _palette(content))
    return plane.astype(plane.dtype.newbyteorder("="), copy=False)


def _palette(content: Dataset) -> Dataset:
    """The tables of a palette in this machine's byte order, which pydicom 3 takes for granted."""
    tables = [name for name in PALETTE if name in content]
    if content.original_encoding[1] or content[tables[0]].VR != "OW":
        return content
    swapped = Dataset()
    for name in content.dir("PaletteColor"):
        element = content[name]
        whole = (
            np.frombuffer(element.value, ">u2").astype("<u2").tobytes() if name in tables else element.value
        )
        swapped.add_new(element.tag, element.VR, whole)
    return swapped
