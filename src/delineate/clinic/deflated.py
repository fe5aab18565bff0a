"""Deflated: a DICOM file whose data set is packed as a whole, after its meta information.

Deflated Explicit VR Little Endian, PS3.5 A.5: a raw stream of RFC 1951, of even length.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import pydicom
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian

LEVEL = 6
CHUNK = 1 << 20
HEAD = 132  # bytes of the preamble and "DICM"
META_LENGTH = HEAD + 8  # where FileMetaInformationGroupLength has its value


def deflate(path: Path) -> None:
    """Packs a file written in Explicit VR Little Endian, in place."""
    meta = pydicom.dcmread(path, specific_tags=[], stop_before_pixels=True).file_meta
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    packed = path.with_name(f"{path.name}.deflated")
    with path.open("rb") as source, packed.open("wb") as target:
        head = source.read(META_LENGTH + 4)
        target.write(head[:HEAD])
        buffer = DicomBytesIO()
        write_file_meta_info(buffer, meta)
        target.write(buffer.getvalue())
        (length,) = struct.unpack("<L", head[META_LENGTH:])
        source.seek(META_LENGTH + 4 + length)
        _pack(source, target)
    packed.replace(path)


def _pack(source: BinaryIO, target: BinaryIO) -> None:
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    length = 0
    while part := source.read(CHUNK):
        length += target.write(packer.compress(part))
    length += target.write(packer.flush())
    target.write(b"\0" * (length % 2))
