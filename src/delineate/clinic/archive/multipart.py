"""Multipart: several DICOM files in one HTTP message. Source: PS3.18 8.6.1, RFC 2387, RFC 2046 5.1."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator, Mapping
from typing import Protocol

from delineate.errors import ArchiveError

CHUNK = 1 << 20
DICOM = "application/dicom"
END = b"--"  # after the last mark
BOUNDARY = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)


class Stream(Protocol):
    """Where bytes come from."""

    def read(self, amount: int) -> bytes:
        """The next bytes, none at the end."""


def packed(content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a message with one DICOM file."""
    boundary = uuid.uuid4().hex
    head = f"--{boundary}\r\nContent-Type: {DICOM}\r\n\r\n".encode()
    kind = f'multipart/related; type="{DICOM}"; boundary={boundary}'
    return kind, head + content + f"\r\n--{boundary}--\r\n".encode()


def parts(stream: Stream, headers: Mapping[str, str], where: str) -> Iterator[bytes]:
    """The bodies of the parts of a message, one in memory at a time; a message cut short is an error."""
    kind = headers.get("content-type", "")
    found = BOUNDARY.search(kind)
    if not kind.lower().startswith("multipart/related") or found is None:
        raise ArchiveError(f"{where}: answered with {kind or 'no content type'}, not with DICOM files.")
    mark = b"\r\n--" + found[1].encode()
    _, held = _until(stream, b"\r\n", mark, where)  # what stands before the first part
    while not (held := _with_start(stream, held)).startswith(END):
        part, held = _until(stream, held, mark, where)
        yield part.partition(b"\r\n\r\n")[2]


def _with_start(stream: Stream, held: bytes) -> bytes:
    """What was read, and more if that is too little to say whether it is the end."""
    while len(held) < len(END) and (more := stream.read(CHUNK)):
        held += more
    return held


def _until(stream: Stream, held: bytes, mark: bytes, where: str) -> tuple[bytes, bytes]:
    """What stands before the next mark, and what was read after it."""
    pieces = bytearray(held)
    start = 0
    while (at := pieces.find(mark, start)) < 0:
        start = max(0, len(pieces) - len(mark))
        more = stream.read(CHUNK)
        if not more:
            raise ArchiveError(f"{where}: the answer broke off.")
        pieces += more
    return bytes(pieces[:at]), bytes(pieces[at + len(mark) :])
