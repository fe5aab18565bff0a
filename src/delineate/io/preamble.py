"""Preamble: whether a file is DICOM, from its first bytes alone; no DICOM package is needed to ask."""

from __future__ import annotations

from pathlib import Path


def is_dicom(path: Path) -> bool:
    """Whether the first bytes are those of DICOM, with its preamble or, as in old files, without."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    return start[128:] == b"DICM" or _starts_bare(start)


def _starts_bare(start: bytes) -> bool:
    """Without preamble: group 2 or 8, a low even element, and a length or a value representation."""
    group, element = int.from_bytes(start[:2], "little"), int.from_bytes(start[2:4], "little")
    explicit = start[4:6] in (b"UL", b"UI", b"CS", b"OB", b"DA", b"TM")
    implicit = 0 < int.from_bytes(start[4:8], "little") <= 64
    return group in (2, 8) and element <= 0x18 and len(start) >= 8 and (explicit or implicit)
