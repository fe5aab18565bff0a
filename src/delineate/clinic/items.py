"""Items: sequences as the bytes that they are in a file.

A SEG of many organs has tens of thousands of frames, a structure set millions of numbers. One pydicom data
set for each takes minutes; most of their bytes are the same, so they are encoded once and put together here.
Encoding: Explicit VR Little Endian, or implicit where a value may be longer than 64 kB (PS3.5, 7.1.2, 7.1.3,
7.5).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.tag import BaseTag, Tag

LONG = ("OB", "OW", "OF", "SQ", "UN", "UT", "UC", "UR", "OD", "OL", "OV")  # 32-bit lengths: PS3.5, 7.1.2
MOST = 0xFFFFFFFE  # bytes that a 32-bit length can tell


def encoded(content: Dataset, *, implicit: bool = False) -> bytes:
    """A data set as bytes, its texts in UTF-8."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, implicit
    write_dataset(buffer, content, parent_encoding="utf8")
    return bytes(buffer.getvalue())


def element(keyword: str, vr: str, value: bytes, *, implicit: bool = False) -> bytes:
    """One data element; `value` is padded to an even length."""
    tag = Tag(keyword)
    padding = b"" if len(value) % 2 == 0 else (b"\0" if vr in ("UI", "OB", "UN") else b" ")
    value += padding
    number = struct.pack("<HH", tag.group, tag.element)
    if implicit:
        return number + struct.pack("<L", len(value)) + value
    if vr in LONG:
        return number + vr.encode() + struct.pack("<HL", 0, len(value)) + value
    return number + vr.encode() + struct.pack("<H", len(value)) + value


def item(content: bytes) -> bytes:
    """One item of a sequence."""
    return struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content


def sequence(keyword: str, items: Iterable[bytes], *, implicit: bool = False) -> bytes:
    """A sequence of items whose contents are given."""
    return element(keyword, "SQ", b"".join(item(content) for content in items), implicit=implicit)


def raw_sequence(
    keyword: str, items: Iterable[bytes], *, implicit: bool = False
) -> tuple[BaseTag, RawDataElement]:
    """A sequence for a pydicom data set, which writes it as it is."""
    tag, value = Tag(keyword), b"".join(item(content) for content in items)
    return tag, RawDataElement(tag, "SQ", len(value), value, 0, implicit, True)


def written_as_is(content: Dataset, *, implicit: bool) -> None:
    """Tells pydicom that raw elements are as the file will be: else it parses and encodes them anew."""
    charset = content._character_set  # noqa: SLF001 - what pydicom compares with, and tells nobody
    content.set_original_encoding(implicit, True, charset)
