"""NIfTI: .nii and .nii.gz, versions 1 and 2.

Standard: nifti.nimh.nih.gov (nifti1.h, nifti2.h). Affines are RAS+ mm already. The sform is used where
its code is above 0, else the qform, else nothing says where the voxels are, and a note says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
from isal import igzip

from delineate.errors import DataError, GeometryError
from delineate.io.alone import imported_without
from delineate.io.foreign import DAMAGED, reading
from delineate.io.rescale import Rescale
from delineate.space import Geometry, Shape, Source, Volume, triple

Array = npt.NDArray[Any]
Raw = Any  # nibabel.Nifti1Header, which has no types

nibabel = imported_without("nibabel", "pydicom")  # for DICOM headers inside NIfTI; longer than all the rest

LEVEL = 2  # isal: as small as zlib's level 6 and ten times as fast
RATIO = 1032  # deflate cannot shrink more than this: a header that asks for more is cut short or broken
MILLIMETRES = {0: 1.0, 1: 1000.0, 2: 1.0, 3: 0.001}  # xyzt_units & 7: unknown, metre, millimetre, micron
RGB, RGBA = 128, 2304  # data type codes of colour
TYPES = {  # data type code -> stored numbers
    2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", RGB: "u1", 256: "i1", 512: "u2", 768: "u4",
    1024: "i8", 1280: "u8", RGBA: "u1",
}  # fmt: skip
COMMENT, OURS = 6, "delineate:"  # an extension of text, and the first line of one that we wrote
EXTENSIONS = 1 << 16  # bytes of extensions that are looked into
REFUSED = {1: "1-bit", 32: "complex", 1536: "128-bit", 1792: "complex", 2048: "complex"}
CIFTI = range(3000, 3100)  # intent codes of surfaces and matrices
VERSIONS: dict[bytes, tuple[Any, str, int]] = {  # first bytes -> header, byte order, place of "n+1"
    b"\x5c\x01\0\0": (nibabel.Nifti1Header, "<", 344),
    b"\0\0\x01\x5c": (nibabel.Nifti1Header, ">", 344),
    b"\x1c\x02\0\0": (nibabel.Nifti2Header, "<", 4),
    b"\0\0\x02\x1c": (nibabel.Nifti2Header, ">", 4),
}
UNKNOWN = (nibabel.Nifti1Header, "<", 344)
QFORM_FITS = 0.01  # mm at the far corner: near a half turn a quaternion in float32 loses digits
DISAGREE = 0.1  # mm at the far corner: sform and qform nearer than this say the same


@dataclass(frozen=True)
class Header:
    """What the first bytes of a file say, in our words."""

    path: Path
    geometry: Geometry
    channels: int
    dtype: np.dtype[Any]  # as stored, with its byte order
    samples: int  # numbers per voxel and channel that lie side by side: 3 or 4 for colour
    offset: int  # bytes before the voxels
    rescale: Rescale
    notes: tuple[str, ...]

    @property
    def numbers(self) -> int:
        """How many numbers the file holds."""
        return int(np.prod(self.geometry.shape, dtype=object)) * self.channels * self.samples


def read(path: Path) -> Volume:
    """The volume in a file: 3D, or 4D with one channel per time point or component."""
    with reading(path, "NIfTI"), _opened(path) as file:
        header = _header(file, path)
        voxels = _voxels(file, header)
    backwards = header.geometry.shape[::-1]  # i runs fastest in the file
    if header.samples > 1:
        array = voxels.reshape(*backwards, header.samples).T[:3]
    else:
        array = header.rescale.applied(voxels.reshape(-1, *backwards).transpose(0, 3, 2, 1))
    return Volume(array, header.geometry, _names(header), Source(files=(str(path),), notes=header.notes))


def geometry(path: Path) -> Geometry:
    """The grid of a file; its voxels are not read."""
    with reading(path, "NIfTI"), _opened(path) as file:
        return _header(file, path).geometry


def write(path: Path, array: Array, grid: Geometry, notes: tuple[str, ...] = ()) -> None:
    """Writes (i, j, k) or (channel, i, j, k): sform and qform both set, in millimetres.

    Notes go into a comment (extension 6 of the format), which `read` gives back.
    """
    voxels = np.moveaxis(array, 0, -1) if array.ndim == 4 else array
    voxels = voxels[..., 0] if voxels.ndim == 4 and voxels.shape[-1] == 1 else voxels
    version: Any = nibabel.Nifti1Image if max(voxels.shape) < 2**15 else nibabel.Nifti2Image
    image: Any = version(voxels, grid.affine, dtype=voxels.dtype)
    image.header.set_xyzt_units("mm")
    image.set_sform(grid.affine, code=1)
    image.set_qform(grid.affine, code=1)  # the nearest one without shear, which a qform cannot hold
    if _distance(Geometry(grid.shape, image.get_qform()), grid) > QFORM_FITS:
        image.set_qform(None, code=0)
    if notes:
        image.header.extensions.append(
            nibabel.nifti1.Nifti1Extension("comment", "\n".join((OURS, *notes)).encode())
        )
    with path.open("wb") as raw:
        if path.name.lower().endswith(".gz"):
            with igzip.IGzipFile("", "wb", LEVEL, raw, mtime=0) as file:
                image.to_stream(file)
        else:
            image.to_stream(raw)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    opened: Any = igzip.IGzipFile(path) if path.name.lower().endswith(".gz") else path.open("rb")
    with opened as file:
        yield file


def _header(file: BinaryIO, path: Path) -> Header:
    start = file.read(540)  # NIfTI-2's header; NIfTI-1's is 348 bytes
    raw = _parsed(start, path)
    shape, channels = _shape(raw, path)
    affine, notes = _affine(raw, shape, path)
    code = int(raw["datatype"])
    samples = {RGB: 3, RGBA: 4}.get(code, 1)
    if code not in TYPES or (samples > 1 and channels > 1):
        kind = "a series of colour" if samples > 1 else REFUSED.get(code, f"unknown (type {code})")
        raise DataError(
            f"{path}: holds {kind} numbers; expected integers or reals of 8 to 64 bits, or one RGB volume.\n"
            f"  Save it as float32 or int16 (for complex numbers: the magnitude) and read that."
        )
    if samples == 4:
        notes = (*notes, "the alpha channel was left out")
    offset = _offset(raw, path)
    return Header(
        path=path,
        geometry=Geometry(shape, affine),
        channels=channels,
        dtype=np.dtype(TYPES[code]).newbyteorder(raw.endianness),
        samples=samples,
        offset=offset,
        rescale=_rescale(raw),
        notes=(*notes, *_comments(file, raw, offset)),
    )


def _parsed(start: bytes, path: Path) -> Raw:
    kind, order, place = VERSIONS.get(start[:4], UNKNOWN)
    magic, size = start[place : place + 3], kind.template_dtype.itemsize
    if magic in (b"ni1", b"ni2"):
        raise DataError(
            f"{path}: is the header of a pair of files (.hdr and .img); expected one .nii or .nii.gz.\n"
            f"  Join them:  nib-convert {path.stem}.hdr {path.stem}.nii.gz"
        )
    if len(start) < size or magic not in (b"n+1", b"n+2"):
        raise DataError(f"{path}: is not NIfTI: its header does not say n+1 or n+2.\n  {DAMAGED}")
    return kind(start[:size], order, check=False)  # extensions are left aside: some are cut short


def _shape(raw: Raw, path: Path) -> tuple[Shape, int]:
    """Voxels along (i, j, k), and channels: the fourth axis, or the fifth where the fourth is 1."""
    if int(raw["intent_code"]) in CIFTI:
        raise DataError(
            f"{path}: is CIFTI (surfaces or connectivity), not a voxel grid.\n"
            f"  Take out its volume first:  wb_command -cifti-separate"
        )
    rank = int(raw["dim"][0])
    dims = [int(n) for n in raw["dim"][1 : rank + 1]]
    if not 1 <= rank <= 7 or min(dims) < 1:
        raise DataError(f"{path}: the header says {rank} axes of {dims} voxels.\n  {DAMAGED}")
    dims += [1] * (7 - len(dims))
    longer = [n for n in dims[3:] if n > 1]
    if len(longer) > 1:
        raise DataError(
            f"{path}: has {' x '.join(map(str, dims))} voxels; expected three axes in space and at most "
            f"one more, of channels.\n  Split it into files of one volume each (e.g. `fslsplit`)."
        )
    return triple(dims[:3]), longer[0] if longer else 1


def _affine(raw: Raw, shape: Shape, path: Path) -> tuple[Array, tuple[str, ...]]:
    """Voxel index -> RAS+ mm, and what had to be decided."""
    notes = []
    sform = np.vstack([raw[f"srow_{axis}"] for axis in "xyz"] + [[0, 0, 0, 1]]).astype(float)
    with_sform, with_qform = int(raw["sform_code"]) > 0, int(raw["qform_code"]) > 0
    if with_sform:
        affine = sform
    elif with_qform:
        affine = _qform(raw)
    else:
        affine = np.array(raw.get_base_affine())
        notes.append(
            "nothing in the header says how the patient lies (sform_code and qform_code are 0): "
            "taken as left, anterior, superior about the centre, as nibabel and SPM do"
        )
    unit = int(raw["xyzt_units"]) & 7
    if MILLIMETRES.get(unit, 1.0) != 1:
        affine[:3] *= MILLIMETRES[unit]
        notes.append(f"its unit is the {'metre' if unit == 1 else 'micron'}; read as millimetres")
    if shape[2] == 1 and not np.nan_to_num(affine[:3, 2]).any():
        affine[:3, 2] = _normal(affine)
        notes.append("a flat image without thickness: taken as 1 mm")
    if with_sform and with_qform:
        notes += _disagreement(raw, sform, shape)
    return affine, tuple(notes)


def _qform(raw: Raw) -> Array:
    header = raw.copy()
    if header["pixdim"][0] not in (-1, 1):
        header["pixdim"][0] = 1  # "if qfac is 0, it is taken as 1": nifti1.h, METHOD 2
    return np.array(header.get_qform())


def _normal(affine: Array) -> Array:
    """Unit vector at right angles to the first two axes; 0 where these are parallel."""
    cross = np.cross(affine[:3, 0], affine[:3, 1])
    length = float(np.linalg.norm(cross))
    return np.asarray(cross / length if length else cross)


def _disagreement(raw: Raw, sform: Array, shape: Shape) -> list[str]:
    try:
        far = _distance(Geometry(shape, sform), Geometry(shape, _qform(raw)))
    except (GeometryError, ValueError, nibabel.spatialimages.HeaderDataError):
        return ["its qform makes no sense; the sform was used"]
    return [f"sform and qform differ by up to {far:.3g} mm; the sform was used"] if far > DISAGREE else []


def _distance(a: Geometry, b: Geometry) -> float:
    return float(np.abs(a.corners() - b.corners()).max())


def _offset(raw: Raw, path: Path) -> int:
    least = int(raw.template_dtype.itemsize) + 4
    offset = float(raw["vox_offset"])
    if offset == 0:
        return least
    if not (least - 4 <= offset < 2**40 and offset.is_integer()):
        raise DataError(f"{path}: the header says that voxels begin at byte {offset:g}.\n  {DAMAGED}")
    return int(offset)


def _comments(file: BinaryIO, raw: Raw, offset: int) -> tuple[str, ...]:
    """The notes that `write` left before the voxels."""
    start = int(raw.template_dtype.itemsize)
    if offset < start + 4 + 16:
        return ()
    file.seek(start)
    if not file.read(4)[:1].strip(b"\0"):
        return ()
    rest = file.read(min(offset - start - 4, EXTENSIONS))
    while len(rest) > 8:
        size, code = (int(n) for n in np.frombuffer(rest[:8], f"{raw.endianness}i4"))
        text = rest[8:size].rstrip(b"\0").decode("utf-8", "replace").split("\n")
        if code == COMMENT and text[0] == OURS:
            return tuple(text[1:])
        rest = rest[size:] if size >= 16 else b""
    return ()


def _rescale(raw: Raw) -> Rescale:
    slope, intercept = float(raw["scl_slope"]), float(raw["scl_inter"])
    if slope == 0 or not np.isfinite(slope) or int(raw["datatype"]) in (RGB, RGBA):
        return Rescale()  # "if scl_slope is 0, no scaling is done": nifti1.h; NaN is nibabel's way to say so
    return Rescale(slope, intercept if np.isfinite(intercept) else 0.0)


def _voxels(file: BinaryIO, header: Header) -> Array:
    """All the numbers of the file, in its order and our byte order."""
    size = header.path.stat().st_size
    needed = header.numbers * header.dtype.itemsize
    room = size * RATIO if header.path.name.lower().endswith(".gz") else size - header.offset
    if needed > room:
        raise DataError(_cut(header, needed, max(room, 0)))
    file.seek(header.offset)
    voxels = np.empty(header.numbers, header.dtype)
    target, filled = voxels.view(np.uint8).data, 0
    try:
        while filled < needed and (got := file.readinto(target[filled:])):  # type: ignore[attr-defined]
            filled += got
        file.read(1)  # past the end: there gzip checks that what it gave is what was written
    except EOFError:
        filled = min(filled, needed - 1)
    if filled < needed:
        raise DataError(_cut(header, needed, filled))
    return voxels.astype(header.dtype.newbyteorder("="), copy=False)


def _cut(header: Header, needed: int, got: int) -> str:
    return (
        f"{header.path}: is cut short: {needed} bytes of voxels expected, {got} found at most.\n  {DAMAGED}"
    )


def _names(header: Header) -> tuple[str, ...]:
    if header.samples > 1:
        return ("red", "green", "blue")
    if header.channels == 1:
        return ("image",)
    return tuple(f"image_{n}" for n in range(header.channels))
