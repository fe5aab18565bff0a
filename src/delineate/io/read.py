"""Read: any supported file, or a DICOM folder, as a volume, as label values, or as its grid alone.

The suffix says which reader is asked, and the first bytes must agree: what is named wrong is refused by
name, not guessed. Readers are loaded when a file needs them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError, MissingPackage
from delineate.io.disk import is_partial
from delineate.io.manner import PLAIN, Manner
from delineate.io.preamble import is_dicom
from delineate.space import Geometry, Volume

Values = npt.NDArray[np.integer[Any]]

READERS = {  # suffix -> the module that reads it
    ".nii.gz": "nifti", ".nii": "nifti",
    ".nrrd": "itk", ".nhdr": "itk", ".mha": "itk", ".mhd": "itk", ".gipl": "itk", ".gipl.gz": "itk",
    ".png": "raster", ".tif": "raster", ".tiff": "raster", ".bmp": "raster", ".jpg": "raster",
    ".jpeg": "raster",
    ".dcm": "dicom", ".dicom": "dicom", ".ima": "dicom",
}  # fmt: skip
SUFFIXES = tuple(READERS)

NIB_CONVERT = "Convert it:  nib-convert {name} {stem}.nii.gz"
FOREIGN = {  # formats that we know and do not read: what they are, and the way to one that we read
    ".dconn.nii": ("CIFTI", "Take out its volume first:  wb_command -cifti-separate"),
    ".dtseries.nii": ("CIFTI", "Take out its volume first:  wb_command -cifti-separate"),
    ".dscalar.nii": ("CIFTI", "Take out its volume first:  wb_command -cifti-separate"),
    ".dlabel.nii": ("CIFTI", "Take out its volume first:  wb_command -cifti-separate"),
    ".hdr": ("the header of an Analyze or NIfTI pair", NIB_CONVERT),
    ".img": ("half of an Analyze or NIfTI pair", "Convert it:  nib-convert {stem}.hdr {stem}.nii.gz"),
    ".mnc": ("MINC", "Convert it:  mnc2nii {name} {stem}.nii"),
    ".mgh": ("FreeSurfer MGH", NIB_CONVERT),
    ".mgz": ("FreeSurfer MGH", NIB_CONVERT),
    ".head": ("AFNI", "Convert it:  3dAFNItoNIFTI -prefix {stem}.nii.gz {name}"),
    ".brik": ("AFNI", "Convert it:  3dAFNItoNIFTI -prefix {stem}.nii.gz {name}"),
    ".brik.gz": ("AFNI", "Convert it:  3dAFNItoNIFTI -prefix {stem}.nii.gz {name}"),
    ".par": ("Philips PAR/REC", "Convert it:  parrec2nii {name}"),
    ".rec": ("half of Philips PAR/REC", "Convert it:  parrec2nii {stem}.PAR"),
    ".v": ("ECAT", "Convert it to NIfTI with the scanner's software or with nibabel.ecat."),
    ".svs": ("a whole slide", "Cut the region of interest out as TIFF first."),
    ".ndpi": ("a whole slide", "Cut the region of interest out as TIFF first."),
    ".mrxs": ("a whole slide", "Cut the region of interest out as TIFF first."),
    ".scn": ("a whole slide", "Cut the region of interest out as TIFF first."),
    ".gif": ("GIF", "Save it as PNG."),
    ".webp": ("WebP", "Save it as PNG."),
    ".jp2": ("JPEG 2000", "Save it as PNG or TIFF."),
    ".npy": ("a NumPy array, which has no place in the patient", "Save it as NIfTI with its affine."),
    ".npz": ("NumPy arrays, which have no place in the patient", "Save them as NIfTI with their affine."),
    ".seg": ("a DICOM segmentation", "Convert it:  segimage2itkimage --inputDICOM {name} --outputType nrrd"),
    ".zip": ("an archive", "Unpack it first."),
    ".tar": ("an archive", "Unpack it first."),
    ".tar.gz": ("an archive", "Unpack it first."),
    ".dcm.gz": ("compressed DICOM", "Unpack it first:  gunzip {name}"),
}
CONTENTS: tuple[
    tuple[int, bytes, str, tuple[str, ...]], ...
] = (  # place, bytes, what they begin, its suffixes
    (128, b"DICM", "DICOM", (".dcm", ".dicom", ".ima")),
    (0, b"\x1f\x8b", "gzip", (".nii.gz", ".gipl.gz")),
    (344, b"n+1\0", "NIfTI", (".nii",)),
    (4, b"n+2\0", "NIfTI", (".nii",)),
    (0, b"NRRD", "NRRD", (".nrrd", ".nhdr")),
    (0, b"\x89PNG", "PNG", (".png",)),
    (0, b"\xff\xd8\xff", "JPEG", (".jpg", ".jpeg")),
    (0, b"II*\0", "TIFF", (".tif", ".tiff")),
    (0, b"MM\0*", "TIFF", (".tif", ".tiff")),
    (0, b"II+\0", "TIFF", (".tif", ".tiff")),
    (0, b"MM\0+", "TIFF", (".tif", ".tiff")),
    (0, b"BM", "BMP", (".bmp",)),
    (0, b"GIF8", "GIF", ()),
    (0, b"PK\3\4", "ZIP", ()),
    (0, b"\x89HDF", "HDF5", ()),
)
WHOLE = 1e-3  # a label value may be this far from a whole number: scaling with a rounded slope does that
PEEKED = 32  # files of a folder that are looked into to see whether it is a DICOM folder


@dataclass(frozen=True, eq=False)
class LabelFile:
    """The values in a label file, as they are there: what they mean is the dataset's business.

    array   (i, j, k) whole numbers
    packed  whether the values are colours, 0xRRGGBB
    """

    array: Values
    geometry: Geometry
    notes: tuple[str, ...] = ()
    packed: bool = False


def read_volume(
    path: Path | str, *, channels: tuple[str, ...] | None = None, manner: Manner = PLAIN
) -> Volume:
    """The volume in a file or DICOM folder, its channels named `channels` where that is given.

    manner  how a DICOM series is read where there is a choice
    """
    path = Path(path)
    volume = _read(path, manner)
    if channels is None:
        return volume
    if len(channels) != len(volume.array):
        raise DataError(
            f"{path}: holds {len(volume.array)} channels ({', '.join(volume.channels)}); "
            f"expected {len(channels)} ({', '.join(channels)}).\n"
            f"  Name as many channels as the file holds, or choose another file."
        )
    return Volume(volume.array, volume.geometry, channels, volume.source)


def read_label_values(path: Path | str) -> LabelFile:
    """The label values in a file, and its grid.

    Reals that are whole numbers are taken as such, and a note says so; colours become 0xRRGGBB.
    """
    path = Path(path)
    if suffix_of(path) in (".jpg", ".jpeg"):
        raise DataError(
            f"{path}: JPEG changes values when it compresses, so it cannot hold labels.\n"
            f"  Save the labels as PNG or NIfTI from where they were drawn."
        )
    picture = READERS.get(suffix_of(path)) == "raster"
    volume = _read_indices(path) if picture else _reader(path).read(path)
    array, notes = volume.array, volume.source.notes
    if picture and len(array) == 3 and array.dtype == np.uint8:
        red, green, blue = array.astype(np.int32)
        return LabelFile((red << 16) | (green << 8) | blue, volume.geometry, notes, packed=True)
    if array.shape[0] != 1:
        raise DataError(
            f"{path}: holds {array.shape[0]} channels; expected one label value per voxel.\n"
            f"  Merge the channels into one map of values 1, 2, ... first."
        )
    whole, said = _whole(array[0], path)
    return LabelFile(whole, volume.geometry, (*notes, *said))


def read_geometry(path: Path | str) -> Geometry:
    """The grid of a file or DICOM folder; voxels are not read."""
    path = Path(path)
    return _reader(path).geometry(path)


def is_scan(path: Path) -> bool:
    """Whether a path looks like something to read: by suffix, or by content where there is none.

    A folder is a scan where DICOM files lie in it; folders below it do not count.
    """
    if path.name.startswith(".") or is_partial(path):
        return False
    if path.is_dir():
        files = islice((file for file in sorted(path.iterdir()) if file.is_file()), PEEKED)
        return any(is_dicom(file) for file in files)
    if not path.is_file():
        return False
    suffix = _suffix(path)
    return is_dicom(path) if suffix is None else suffix in READERS


def suffix_of(path: Path) -> str:
    """The suffix that names a format we read (".nii.gz", ".png"), in small letters; "" for any other."""
    suffix = _suffix(path)
    return suffix if suffix in READERS else ""


def _suffix(path: Path) -> str | None:
    """The longest suffix of a name that means something to us."""
    fitting = [suffix for suffix in (*READERS, *FOREIGN) if path.name.lower().endswith(suffix)]
    return max(fitting, key=len, default=None)


class Reader(Protocol):
    """What every module that reads a family of formats offers."""

    def read(self, path: Path) -> Volume:
        """The volume in a file."""

    def geometry(self, path: Path) -> Geometry:
        """Its grid alone."""


def _reader(path: Path) -> Reader:
    """The module that reads a path, loaded now; refuses what no module reads."""
    match _module(path):
        case "nifti":
            from delineate.io import nifti

            return nifti
        case "itk":
            from delineate.io import itk

            return itk
        case "raster":
            from delineate.io import raster

            return raster
        case _:
            with _needing_pydicom(path):
                from delineate.io import dicom
            return dicom


def _read(path: Path, manner: Manner) -> Volume:
    """The volume in a file; only DICOM is read in more than one manner."""
    if _module(path) != "dicom":
        return _reader(path).read(path)
    with _needing_pydicom(path):
        from delineate.io import dicom
    return dicom.read(path, manner)


@contextmanager
def _needing_pydicom(path: Path) -> Iterator[None]:
    """Names the missing package and the line that installs it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pydicom":
            raise
        raise MissingPackage(
            f"{path}: DICOM needs pydicom, which is not installed:  pip install 'delineate[dicom]'"
        ) from None


def _read_indices(path: Path) -> Volume:
    """A picture of labels: where it has a palette, its values are the indices."""
    _module(path)  # refuses what is named wrong
    from delineate.io import raster

    return raster.read(path, palette_indices=True)


def _module(path: Path) -> str:
    """The name of the module that reads a path, or why none does."""
    if not path.exists():
        raise DataError(
            f"{path}: no such file or folder.\n  Check the spelling, and whether the disk is there."
        )
    if path.is_dir():
        return "dicom"
    suffix, start = _suffix(path), _start(path)
    if suffix in READERS:
        _check_content(path, suffix, start)
        return READERS[suffix]
    if suffix in FOREIGN:
        what, remedy = FOREIGN[suffix]
        stem = path.name[: -len(suffix)]
        raise DataError(
            f"{path}: is {what}, which is not read here.\n  {remedy.format(name=path.name, stem=stem)}"
        )
    if is_dicom(path):
        return "dicom"
    what = next((f", although its content looks like {kind}" for _, kind, _ in _contents(start)), "")
    raise DataError(
        f"{path}: is no image that can be read{what}; expected a DICOM series or file, or one of\n"
        f"  {' '.join(SUFFIXES)}\n  If it is one of these, give it its suffix; if not, convert it to NIfTI."
    )


def _start(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            start = file.read(352)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened: {error.strerror}.\n  Check its permissions.") from None
    if not start:
        raise DataError(f"{path}: is empty (0 bytes).\n  Copy it again from where it came, or leave it out.")
    return start


def _contents(start: bytes) -> list[tuple[bytes, str, tuple[str, ...]]]:
    return [entry[1:] for entry in CONTENTS if start[entry[0] :].startswith(entry[1])]


def _check_content(path: Path, suffix: str, start: bytes) -> None:
    """Refuses a file whose first bytes are those of another format than its name says."""
    found = _contents(start)
    if not found or any(suffix in suffixes for _, _, suffixes in found):
        return
    _, kind, suffixes = found[0]
    stem = path.name[: -len(suffix)]
    remedy = f"Rename it to {stem}{suffixes[0]}." if suffixes else "Convert it to NIfTI, PNG or TIFF."
    raise DataError(f"{path}: is named {suffix} but its content is {kind}.\n  {remedy}")


def _whole(values: npt.NDArray[Any], path: Path) -> tuple[Values, tuple[str, ...]]:
    """Label values as integers, and what had to be done for it."""
    if np.issubdtype(values.dtype, np.integer):
        return values, ()
    if not np.isfinite(values).all():
        raise DataError(
            f"{path}: label values hold NaN or infinity; expected whole numbers.\n"
            f"  Set those voxels to 0 (background) or to the ignore value."
        )
    nearest = np.rint(values)
    off = np.abs(values - nearest)
    if off.max() > WHOLE:
        example = values.flat[int(off.argmax())]
        raise DataError(
            f"{path}: label values are no whole numbers, for example {example:g}.\n"
            f"  These may be probabilities, or labels that were interpolated: threshold them, or resample "
            f"the original labels with nearest neighbour."
        )
    return nearest.astype(_whole_kind(nearest)), (f"labels were stored as {values.dtype}",)


def _whole_kind(values: npt.NDArray[Any]) -> np.dtype[Any]:
    """The smallest integer type that holds the values, unsigned where none is negative."""
    low, high = int(values.min()), int(values.max())
    return np.min_scalar_type(min(low, -high - 1) if low < 0 else high)
