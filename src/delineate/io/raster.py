"""Raster: pictures. PNG, JPEG and BMP through Pillow, TIFF (one page or a stack) through tifffile.

Columns become i, rows j and the pages of a stack k. Pictures seldom say how large a pixel is (their
dots per inch are about paper): 1 mm is taken and a note says so, unless OME or ImageJ metadata tell.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import tifffile
from PIL import BmpImagePlugin, Image, JpegImagePlugin, PngImagePlugin

from delineate.errors import DataError, MissingPackage
from delineate.io.foreign import DAMAGED, quiet, reading
from delineate.space import Geometry, Source, Spacing, Volume

Array = npt.NDArray[Any]

MOST_PIXELS = 2**28  # of one page; a small file that claims more is a trap, a large one a slide
OPENERS: dict[str, type[Image.Image]] = {  # not Image.open: that takes any format, whatever the suffix
    ".png": PngImagePlugin.PngImageFile,
    ".jpg": JpegImagePlugin.JpegImageFile,
    ".jpeg": JpegImagePlugin.JpegImageFile,
    ".bmp": BmpImagePlugin.BmpImageFile,
}
TIFF = (".tif", ".tiff")
GREY = ("1", "L", "I", "F")  # Pillow's modes of one number a pixel, besides the I;16 family
COLOUR = ("red", "green", "blue")
TAG_BYTES = {3: 2, 4: 4, 5: 8, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}  # by TIFF type
UPRIGHT = 1  # Exif orientation
UNITS_MM = {"m": 1e3, "cm": 10.0, "mm": 1.0, "µm": 1e-3, "um": 1e-3, "micron": 1e-3, "microns": 1e-3,
            "nm": 1e-6, "inch": 25.4, "in": 25.4}  # fmt: skip
NO_SIZE = "nothing says how large a pixel is: taken as 1 mm"


def read(path: Path, *, palette_indices: bool = False) -> Volume:
    """The picture or stack in a file, grey or red, green, blue; alpha is left out and a note says so.

    Colours of a palette are looked up, unless `palette_indices` asks for the numbers themselves:
    there label pictures keep their values.
    """
    with reading(path, "a picture"):
        if path.suffix.lower() in TIFF:
            return _read_tiff(path, palette_indices)
        with path.open("rb") as file:
            return _read_picture(file, path, palette_indices)


def geometry(path: Path) -> Geometry:
    """The grid of a picture or stack; its pixels are not read."""
    with reading(path, "a picture"):
        if path.suffix.lower() in TIFF:
            with tifffile.TiffFile(path) as file:
                return _tiff_grid(file, path)[0]
        with path.open("rb") as file:
            return Geometry.of_image(_opened(file, path).size)


def write(path: Path, array: Array, grid: Geometry) -> None:
    """Writes (i, j, k) or (channel, i, j, k) as PNG (one slice) or TIFF (a stack, with its spacing).

    Pictures have no place in the patient: grids other than that of a picture are refused.
    """
    if grid.orientation != "LPS" or np.abs(grid.affine[:3, :3] - _straight(grid)).max() > 1e-6:
        raise DataError(
            f"{path}: a picture cannot say how a grid lies in the patient ({grid.orientation}, {grid!r}).\n"
            f"  Write NIfTI (.nii.gz) instead."
        )
    channels = array if array.ndim == 4 else array[None]
    if path.suffix.lower() in TIFF:
        _write_tiff(path, channels, grid)
    else:
        _write_png(path, channels)


def _straight(grid: Geometry) -> Array:
    i, j, k = grid.spacing
    return np.diag([-i, -j, k])


# Pictures


def _opened(file: Any, path: Path) -> Any:
    image = OPENERS[path.suffix.lower()](file)  # type: ignore[call-arg]
    _check_size(path, *image.size)
    if getattr(image, "n_frames", 1) > 1:
        raise DataError(f"{path}: is animated; expected one picture.\n  Save its frames as pages of a TIFF.")
    return image


def _check_size(path: Path, columns: int, rows: int) -> None:
    if columns * rows > MOST_PIXELS:
        raise DataError(
            f"{path}: says that it has {columns} x {rows} pixels; up to {MOST_PIXELS:,} are read at once.\n"
            f"  If it is a whole slide, cut it into tiles first; if it should be small, it is damaged."
        )


def _read_picture(file: Any, path: Path, palette_indices: bool) -> Volume:
    image = _opened(file, path)
    notes = [NO_SIZE]
    with quiet("PIL"):
        if image.getexif().get(0x0112, UPRIGHT) != UPRIGHT:
            notes.append("its Exif data ask viewers to turn it; the pixels were read as stored")
    bits, kind = _png_kind(file) if path.suffix.lower() == ".png" else (8, -1)
    if bits == 16 and kind != 0:
        pixels = _sixteen_bits(path, kind)
        notes += [_ALPHA] * (kind == 6)
    else:
        pixels = _pixels(image, palette_indices, notes)
    array = np.moveaxis(np.atleast_3d(pixels), -1, 0).swapaxes(1, 2)[..., None]  # (channel, i, j, 1)
    return Volume(
        array,
        Geometry.of_image(image.size),
        COLOUR if len(array) == 3 else ("image",),
        Source(files=(str(path),), notes=tuple(notes)),
    )


_ALPHA = "the alpha channel was left out"
_LOOKED_UP = "colours were looked up in its palette"
_INDICES = "values are the indices of its palette, not its colours"


def _png_kind(file: Any) -> tuple[int, int]:
    """Bits per sample and colour type: PNG specification, 11.2.2 IHDR."""
    place = file.tell()
    file.seek(24)
    bits, kind = file.read(2)
    file.seek(place)
    return bits, kind


def _sixteen_bits(path: Path, kind: int) -> Array:
    """(row, column, 3) of a PNG in colour; Pillow would round it to 8 bits."""
    if kind == 4:
        raise DataError(
            f"{path}: is grey of 16 bits with an alpha channel, which no reader here keeps whole.\n"
            f"  Save it without the alpha channel."
        )
    from delineate.io import itk

    return itk.pixels(path)[:3].transpose(2, 1, 0)


def _pixels(image: Image.Image, palette_indices: bool, notes: list[str]) -> Array:
    """(row, column) or (row, column, 3)."""
    if image.info.pop("transparency", None) is not None or "A" in image.getbands():
        notes.append(_ALPHA)
    mode = image.mode
    if mode == "1":
        notes.append("a picture of one bit: values 0 and 1")
        return np.asarray(image).astype(np.uint8)
    if mode == "P" and palette_indices:
        notes.append(_INDICES)
        return np.array(image)
    if mode == "P":
        notes.append(_LOOKED_UP)
    if mode in GREY or mode.startswith("I;16"):
        grey = np.array(image)
        return grey.astype(grey.dtype.newbyteorder("="))
    if mode == "LA":
        return np.array(image)[..., 0]
    if mode in ("CMYK", "YCbCr", "LAB"):
        notes.append(f"colours were converted from {mode}")
    return np.array(image.convert("RGB"))


def _write_png(path: Path, channels: Array) -> None:
    if channels.shape[3] != 1 or len(channels) not in (1, 3):
        raise DataError(
            f"{path}: PNG holds one slice, grey or RGB; this is {len(channels)} channels of "
            f"{channels.shape[3]} slices.\n  Write TIFF (.tif) or NIfTI (.nii.gz) instead."
        )
    pixels = channels[..., 0].T  # (row, column, channel)
    pixels = pixels[..., 0] if len(channels) == 1 else pixels
    if pixels.dtype != np.uint8 and not (pixels.dtype == np.uint16 and pixels.ndim == 2):
        raise DataError(
            f"{path}: PNG holds whole numbers of 8 bits, or grey ones of 16, not {pixels.dtype}"
            f"{' in colour' if pixels.ndim == 3 else ''}.\n  Write TIFF (.tif) or NIfTI (.nii.gz) instead."
        )
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, format="PNG")


# TIFF


def _read_tiff(path: Path, palette_indices: bool) -> Volume:
    with tifffile.TiffFile(path) as file:
        grid, notes = _tiff_grid(file, path)
        _check_whole(file, path)
        series, page = file.series[0], file.series[0].keyframe
        array = _arranged(_stored(series, path), series.axes)  # (channel, i, j, k)
        if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
            notes.append(_INDICES if palette_indices else _LOOKED_UP)
            array = array if palette_indices else _shortened(page.colormap)[:, array[0]]
        if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE:
            notes.append("0 is white in this file; values were read as stored")
        if len(page.extrasamples) > 0 and len(array) in (2, 4):
            array = array[: len(array) - 1]
            notes.append(_ALPHA)
    names = COLOUR if len(array) == 3 else tuple(f"image_{n}" for n in range(len(array)))
    kind = np.dtype(np.uint8) if array.dtype == bool else array.dtype.newbyteorder("=")
    return Volume(
        array.astype(kind, copy=False),
        grid,
        ("image",) if len(array) == 1 else names,
        Source(files=(str(path),), notes=tuple(notes)),
    )


def _stored(series: tifffile.TiffPageSeries, path: Path) -> Array:
    try:
        return series.asarray()
    except (KeyError, ValueError) as error:
        if "imagecodecs" not in str(error):
            raise
        raise MissingPackage(
            f"{path}: is compressed in a way that needs one more package:  pip install 'delineate[tiff]'"
        ) from None


def _shortened(colormap: Array) -> Array:
    """A palette (3, n) of 16 bits as 8 bits where that loses nothing."""
    return (colormap // 257).astype(np.uint8) if not (colormap % 257).any() else colormap


def _tiff_grid(file: tifffile.TiffFile, path: Path) -> tuple[Geometry, list[str]]:
    if file.is_svs or file.is_ndpi or file.is_scn or any(len(s.levels) > 1 for s in file.series):
        raise DataError(
            f"{path}: is a whole slide (a pyramid of resolutions); expected one picture or a stack.\n"
            f"  Cut the region of interest out as TIFF first."
        )
    if len(file.series) != 1:
        different = ", ".join(" x ".join(map(str, series.shape)) for series in file.series[:4])
        raise DataError(
            f"{path}: its pages differ in size ({different}); expected one picture or a stack of equal "
            f"pages.\n  Save each as a file of its own."
        )
    sizes = dict(zip(file.series[0].axes, file.series[0].shape, strict=True))
    stacked = [n for axis, n in sizes.items() if axis not in "YXSC" and n > 1]
    colours = [n for axis, n in sizes.items() if axis in "SC" and n > 1]
    if not {"X", "Y"} <= sizes.keys() or len(stacked) > 1 or len(colours) > 1:
        shown = " x ".join(f"{n} {axis}" for axis, n in sizes.items())
        raise DataError(
            f"{path}: has {shown}; expected rows, columns, and at most one axis of slices and one of "
            f"colours.\n  Save one time point or field a file."
        )
    _check_size(path, sizes["X"], sizes["Y"])
    _check_pages(file, path)
    spacing = _tiff_spacing(file)
    i, j, k = spacing or (1.0, 1.0, 1.0)
    shape = (sizes["X"], sizes["Y"], stacked[0] if stacked else 1)
    return Geometry(shape, np.diag([-i, -j, k, 1.0])), [] if spacing else [NO_SIZE]


def _check_pages(file: tifffile.TiffFile, path: Path) -> None:
    """Refuses a stack whose chain of pages, or whose tags, lead beyond the file.

    tifffile stops at such a page, leaves such a tag out, and gives what is left.
    """
    tiff, seen, size = file.tiff, set(), file.filehandle.size
    with path.open("rb") as raw:
        offset = _number(raw, tiff.offsetsize, 8 if tiff.is_bigtiff else 4, tiff)
        while offset > 0 and offset not in seen:
            seen.add(offset)
            tags = offset + tiff.tagnosize
            count = min(_number(raw, tiff.tagnosize, offset, tiff), size // tiff.tagsize)
            ends = [_tag_end(raw, tags + n * tiff.tagsize, tiff) for n in range(count)]
            offset = _number(raw, tiff.offsetsize, tags + count * tiff.tagsize, tiff)
            offset = -1 if max(ends, default=0) > size else offset
    if offset or any(page is None for page in file.series[0].pages):
        raise DataError(f"{path}: some of its pages are missing.\n  {DAMAGED}")


def _tag_end(raw: BinaryIO, place: int, tiff: Any) -> int:
    """Where the value of a tag ends: TIFF 6.0, section 2, IFD entry."""
    kind, width = _number(raw, 2, place + 2, tiff), tiff.offsetsize
    length = TAG_BYTES.get(kind, 1) * _number(raw, width, place + 4, tiff)
    return 0 if length <= width else _number(raw, width, place + 4 + width, tiff) + length


def _number(raw: BinaryIO, size: int, place: int, tiff: Any) -> int:
    """An unsigned number in a file, -1 beyond its end."""
    raw.seek(place)
    read = raw.read(size)
    return int.from_bytes(read, "little" if tiff.byteorder == "<" else "big") if len(read) == size else -1


def _check_whole(file: tifffile.TiffFile, path: Path) -> None:
    """Refuses pixels that begin within the file and end beyond it."""
    series, size = file.series[0], file.filehandle.size
    ends = [
        offset + count
        for page in series.pages
        if page is not None
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False)
    ]
    if series.dataoffset is not None:
        ends.append(series.dataoffset + series.nbytes)
    if max(ends, default=0) > size:
        raise DataError(f"{path}: is cut short: {max(ends)} bytes expected, {size} found.\n  {DAMAGED}")


def _arranged(stored: Array, axes: str) -> Array:
    """(channel, i, j, k) of an array whose axes are named as tifffile does."""
    slices = [n for n, axis in enumerate(axes) if axis not in "YXSC"]
    colours = [n for n, axis in enumerate(axes) if axis in "SC"]
    turned = stored.transpose(*colours, axes.index("X"), axes.index("Y"), *slices)
    columns, rows = stored.shape[axes.index("X")], stored.shape[axes.index("Y")]
    lead = int(np.prod([stored.shape[n] for n in colours], dtype=int))
    return turned.reshape(lead, columns, rows, -1)


def _tiff_spacing(file: tifffile.TiffFile) -> Spacing | None:
    """Voxel size in mm along (i, j, k), where OME or ImageJ metadata say it."""
    if file.is_ome and file.ome_metadata:
        return _ome_spacing(file.ome_metadata)
    about: dict[str, Any] = file.imagej_metadata or {}
    unit = UNITS_MM.get(str(about.get("unit", "")).replace("\\u00B5", "µ"))
    tags = file.pages.first.tags
    if unit is None or "XResolution" not in tags or "YResolution" not in tags:
        return None
    per_unit = [tags[name].value for name in ("XResolution", "YResolution")]
    if not all(a > 0 and b > 0 for a, b in per_unit):
        return None
    i, j = (unit * b / a for a, b in per_unit)
    return i, j, unit * abs(float(about.get("spacing", 0))) or i


def _ome_spacing(text: str) -> Spacing | None:
    """PhysicalSizeX, Y and Z of the first <Pixels>: OME schema 2016-06; µm where no unit is said."""
    i, j, k = (_ome_size(text, axis) for axis in "XYZ")
    return (i, j, k or i) if i and j else None


def _ome_size(text: str, axis: str) -> float | None:
    size = re.search(rf'PhysicalSize{axis}="([^"]+)"', text)
    unit = re.search(rf'PhysicalSize{axis}Unit="([^"]+)"', text)
    scale = UNITS_MM.get(unit.group(1) if unit else "µm")
    return float(size.group(1)) * scale if size and scale else None


def _write_tiff(path: Path, channels: Array, grid: Geometry) -> None:
    if channels.dtype.itemsize > 4 or channels.dtype == bool or len(channels) not in (1, 3):
        raise DataError(
            f"{path}: TIFF is written with one channel or RGB, of 8 to 32 bits; this is {len(channels)} "
            f"channels of {channels.dtype}.\n  Write NIfTI (.nii.gz) instead."
        )
    pages = channels.transpose(3, 2, 1, 0)  # (k, j, i, channel)
    colour = len(channels) == 3
    sizes = dict(zip(("PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ"), grid.spacing, strict=True))
    tifffile.imwrite(
        path,
        np.ascontiguousarray(pages if colour else pages[..., 0]),
        ome=True,
        photometric="rgb" if colour else "minisblack",
        compression="zlib",
        metadata={"axes": "ZYXS" if colour else "ZYX", **sizes, **{f"{name}Unit": "mm" for name in sizes}},
    )
