"""ITK: NRRD, MetaImage (MHA, MHD) and GIPL, through SimpleITK.

ITK places voxels in LPS+ and hands out arrays as (k, j, i, component). This is the one place that
turns that into ours, and back.
"""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import SimpleITK
from isal import igzip, isal_zlib

from delineate.errors import DataError
from delineate.io.foreign import DAMAGED, reading
from delineate.space import Geometry, Source, Volume, triple

Array = npt.NDArray[Any]

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0])
MILLIMETRES = {"mm": 1.0, "millimeter": 1.0, "millimeters": 1.0, "um": 1e-3, "µm": 1e-3, "micron": 1e-3,
               "microns": 1e-3, "cm": 10.0, "m": 1000.0}  # fmt: skip

METAIMAGE_BYTES = {
    "MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4,
    "MET_LONG": 4, "MET_ULONG": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8,
}  # fmt: skip
MOST_LETTERS = 10_000  # of one line of a header
GIPL_HEADER = 256  # bytes
GIPL_BITS = {1: 1, 7: 8, 8: 8, 15: 16, 16: 16, 31: 32, 32: 32, 64: 32, 65: 64}  # by type code


def read(path: Path) -> Volume:
    """The volume in a file: components, or a fourth axis, become channels; 2D is one voxel thick."""
    with reading(path, "an ITK image"):
        _check_length(path)
        _check_compressed(path)
        image = SimpleITK.ReadImage(str(path))
        grid, notes = _grid(image, image.GetNumberOfComponentsPerPixel(), path)
        array = _channels_first(image)
    if np.iscomplexobj(array):
        raise DataError(f"{path}: holds complex numbers.\n  Save their magnitude as float32 and read that.")
    names = ("image",) if len(array) == 1 else tuple(f"image_{n}" for n in range(len(array)))
    return Volume(array, grid, names, Source(files=(str(path),), notes=notes))


def geometry(path: Path) -> Geometry:
    """The grid of a file; its voxels are not read."""
    with reading(path, "an ITK image"):
        header = SimpleITK.ImageFileReader()
        header.SetFileName(str(path))
        header.ReadImageInformation()
        return _grid(header, header.GetNumberOfComponents(), path)[0]


def pixels(path: Path) -> Array:
    """The numbers of a picture (channel, i, j): for those that other readers would round."""
    with reading(path, "a picture"):
        return _channels_first(SimpleITK.ReadImage(str(path)))[..., 0]


def write(path: Path, array: Array, grid: Geometry) -> None:
    """Writes (i, j, k) or (channel, i, j, k), compressed; channels become components."""
    axes = grid.affine[:3, :3] / np.array(grid.spacing)
    vector = array.ndim == 4 and len(array) > 1
    voxels = np.moveaxis(array, 0, -1) if vector else array.reshape(array.shape[-3:])
    backwards = voxels.transpose(2, 1, 0, 3) if vector else voxels.T
    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(backwards), isVector=vector)
    image.SetSpacing(grid.spacing)
    image.SetOrigin(tuple(LPS_TO_RAS @ grid.affine[:3, 3]))
    image.SetDirection((LPS_TO_RAS @ axes).ravel().tolist())
    SimpleITK.WriteImage(image, str(path), useCompression=True)


def _grid(image: Any, components: int, path: Path) -> tuple[Geometry, tuple[str, ...]]:
    """The grid of an ITK image, or of a reader that has seen the header, and what had to be decided."""
    rank, size = image.GetDimension(), [*image.GetSize(), 1]
    if not 2 <= rank <= 4 or (rank == 4 and size[3] > 1 and components > 1):
        raise DataError(
            f"{path}: has {rank} axes and {components} components a voxel; expected two or three axes in "
            f"space, and either components or a fourth axis as channels.\n"
            f"  Split it into files of one volume each."
        )
    space = min(rank, 3)
    axes, spacing, origin = np.eye(3), np.ones(3), np.zeros(3)
    axes[:space, :space] = np.reshape(image.GetDirection(), (rank, rank))[:space, :space]
    spacing[:space], origin[:space] = image.GetSpacing()[:space], image.GetOrigin()[:space]
    scale, notes = _nrrd_space(path) if path.suffix.lower() in (".nrrd", ".nhdr") else (1.0, ())
    affine = np.eye(4)
    affine[:3, :3] = LPS_TO_RAS @ axes * spacing * scale
    affine[:3, 3] = LPS_TO_RAS @ origin * scale
    return Geometry(triple(size[:3]), affine), notes


def _nrrd_space(path: Path) -> tuple[float, tuple[str, ...]]:
    """Millimetres per unit of a NRRD file, which SimpleITK does not ask, and what its header leaves open."""
    with path.open("rb") as file:
        lines = [line.decode(errors="replace").strip() for line in takewhile(bytes.strip, file)]
    fields = dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))
    units = set(re.findall(r'"([^"]+)"', fields.get("space units", ""))) or {"mm"}
    if len(units) > 1 or not units <= MILLIMETRES.keys():
        raise DataError(
            f"{path}: its space units are {', '.join(sorted(units))}; expected one of "
            f"{', '.join(MILLIMETRES)} for all axes.\n  Save it with millimetres."
        )
    (unit,) = units
    notes = [] if MILLIMETRES[unit] == 1 else [f"its unit is {unit}; read as millimetres"]
    if not re.fullmatch(r"\s*(left|right|[lr]).*", fields.get("space", ""), re.IGNORECASE):
        notes.append("nothing in the header says how the patient lies: taken as left, posterior, superior")
    return MILLIMETRES[unit], tuple(notes)


def _channels_first(image: SimpleITK.Image) -> Array:
    """(channel, i, j, k) of an image that SimpleITK hands out as ([time], [k], j, i, [component])."""
    array = SimpleITK.GetArrayFromImage(image)
    array = np.moveaxis(array, -1, 0) if image.GetNumberOfComponentsPerPixel() > 1 else array[None]
    backwards = (*image.GetSize()[:3], 1)[2::-1]
    return array.reshape(-1, *backwards).transpose(0, 3, 2, 1)


def _check_compressed(path: Path) -> None:
    """MetaImage only: where its compressed voxels are damaged, SimpleITK gives noise, or never returns."""
    if path.suffix.lower() not in (".mha", ".mhd"):
        return
    with path.open("rb") as file:
        fields = _metaimage_fields(file)
        if fields.get("CompressedData") != "True":
            return
        other = fields["ElementDataFile"]
        packed = file.read() if other == "LOCAL" else (path.parent / other).read_bytes()
    numbers = int(np.prod([int(n) for n in fields["DimSize"].split()], dtype=object))
    needed = numbers * int(fields.get("ElementNumberOfChannels", 1)) * METAIMAGE_BYTES[fields["ElementType"]]
    unpacking = isal_zlib.decompressobj(wbits=47)  # zlib or gzip, whichever it is
    got = len(unpacking.decompress(packed, needed + 1))
    if got != needed or not unpacking.eof:
        raise DataError(f"{path}: {needed} bytes of voxels expected, {got} found.\n  {DAMAGED}")


def _metaimage_fields(file: BinaryIO) -> dict[str, str]:
    """The header, up to the line that says where the voxels are."""
    fields: dict[str, str] = {}
    while "ElementDataFile" not in fields and (line := file.readline(MOST_LETTERS)):
        name, _, value = line.decode(errors="replace").partition("=")
        fields[name.strip()] = value.strip()
    return fields


def _check_length(path: Path) -> None:
    """GIPL only: SimpleITK fills what is missing with whatever is in memory, and says nothing."""
    if ".gipl" not in path.name:
        return
    with igzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        header = file.read(GIPL_HEADER)
        dims = np.frombuffer(header, ">u2", 4).astype(int)
        code = int.from_bytes(header[8:10], "big")
        needed = int(np.prod(np.maximum(dims, 1))) * GIPL_BITS.get(code, 8) // 8
        got = 0
        while chunk := file.read(1 << 20):
            got += len(chunk)
    if got < needed:
        raise DataError(f"{path}: is cut short: {needed} bytes of voxels expected, {got} found.\n  {DAMAGED}")
