"""NIfTI: the few fields of its header in which somebody may have been named, and the extensions behind it.

Emptied are descrip, aux_file, db_name, data_type and intent_name, and all extensions are dropped (they may
hold a whole DICOM header). Voxels and geometry stay byte for byte. The compressed file tells neither the name
of the original nor a time.
"""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError

# (first byte, end) of the fields of text, and where the header ends; nifti1.h, nifti2.h
FIELDS = {
    348: ((4, 32), (148, 252), (328, 344)),
    540: ((240, 344), (508, 524)),
}
OFFSET = {348: (108, "f4"), 540: (168, "i8")}  # vox_offset
KINDS = {
    2: "u1",
    4: "i2",
    8: "i4",
    16: "f4",
    64: "f8",
    256: "i1",
    512: "u2",
    768: "u4",
    1024: "i8",
    1280: "u8",
}
MOST_HEADER = 544  # bytes before the voxels
ENDINGS = (".nii", ".nii.gz")


def without_names(path: Path, face: npt.NDArray[np.bool_] | None = None) -> bytes:
    """The bytes of a NIfTI file (not compressed) without texts, and with the voxels of a face as air."""
    content = _read(path)
    size, order = _layout(content, path)
    place, kind = OFFSET[size]
    start = int(np.frombuffer(content, f"{order}{kind}", 1, place)[0])
    if not size <= start <= len(content):
        raise DataError(f"{path}: its voxels begin at byte {start} of {len(content)}. The file is damaged.")
    header = bytearray(content[:size])
    for first, end in FIELDS[size]:
        header[first:end] = bytes(end - first)
    header[place : place + int(kind[1])] = np.array(size + 4, f"{order}{kind}").tobytes()
    voxels = content[start:] if face is None else _faceless(content, size, order, start, face)
    return bytes(header) + bytes(4) + voxels


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as NIfTI: {type(error).__name__}. Copy it again.") from None


def _layout(content: bytes, path: Path) -> tuple[int, str]:
    """The size of the header and the order of bytes."""
    for size in FIELDS:
        for order, name in (("<", "little"), (">", "big")):
            if content[:4] == size.to_bytes(4, name) and len(content) >= size:  # type: ignore[arg-type]
                return size, order
    raise DataError(f"{path}: is no NIfTI file of one part (.nii, .nii.gz). Convert it first.")


def _faceless(content: bytes, size: int, order: str, start: int, face: npt.NDArray[np.bool_]) -> bytes:
    """The voxels, those of the face as the lowest value of their volume."""
    code = int(np.frombuffer(content, f"{order}i2", 1, 70 if size == 348 else 12)[0])
    if code not in KINDS:
        raise DataError(f"voxels of NIfTI type {code} cannot be defaced; expected whole numbers or reals.")
    values: npt.NDArray[Any] = np.frombuffer(content, order + KINDS[code], offset=start).copy()
    count = face.size
    for volume in range(len(values) // count):
        part = values[volume * count : (volume + 1) * count]
        part[face.ravel(order="F")] = part.min()
    return values.tobytes()


def compressed(content: bytes) -> bytes:
    """As gzip, without name and time."""
    return gzip.compress(content, mtime=0)
