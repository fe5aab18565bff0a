"""Bombs: small files that become very large when they are read, refused before they are.

A deflated data set may be a thousand times its file (RFC 1951), and is inflated whole before its first
element is known. A header may say any number of frames. Whoever reads what strangers send asks here first.
"""

from __future__ import annotations

import zlib
from typing import BinaryIO

from delineate.errors import DataError

LARGEST = 4 << 30  # bytes; also the longest element that DICOM can hold, PS3.5 7.1.1
MOST_FRAMES = 300_000  # an hour of film
DEFLATED = b"1.2.840.10008.1.2.1.99"
PREAMBLE = 132  # bytes before the meta information, whose first element says how long it is
META = PREAMBLE + 12
CHUNK = 1 << 20


def check_inflates(file: BinaryIO, where: str, most: int = LARGEST) -> None:
    """Refuses a deflated DICOM file whose data set has more than `most` bytes; leaves others alone."""
    head = file.read(META + 512)
    if DEFLATED not in head or head[PREAMBLE - 4 : PREAMBLE] != b"DICM":
        return
    file.seek(META + int.from_bytes(head[META - 4 : META], "little"))
    inflate, size, packed = zlib.decompressobj(-zlib.MAX_WBITS), 0, b""
    while packed or (packed := file.read(CHUNK)):
        size += len(inflate.decompress(packed, CHUNK))
        packed = inflate.unconsumed_tail
        if size > most:
            raise DataError(
                f"{where}: unpacks to more than {most / (1 << 30):.2g} GB, and was not read.\n"
                f"  Export it without deflating it, if it is an image."
            )
        if inflate.eof:
            return


def check_frames(count: int, where: str) -> None:
    """Refuses a number of frames that no image has."""
    if not 0 < count <= MOST_FRAMES:
        raise DataError(
            f"{where}: says that it has {count} frames; expected 1 to {MOST_FRAMES}.\n"
            f"  Export it again, a long film in parts."
        )
