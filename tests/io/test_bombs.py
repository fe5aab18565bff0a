"""Small files that would become very large are refused before they do."""

import io
import struct
import time
import tracemalloc
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from delineate.errors import DataError
from delineate.io import read_volume
from delineate.io.bombs import check_inflates

PIXELS = np.arange(12, dtype=np.uint16).reshape(3, 4)


def deflated(dicom, path, extra: int = 0):
    """A slice that is packed as a whole, with so many bytes of nothing behind it."""
    plain = io.BytesIO()
    item = dicom.slice_at(PIXELS, (0, 0, 0))
    item.file_meta.MediaStorageSOPClassUID, item.file_meta.MediaStorageSOPInstanceUID = "1.2", "1.3"
    pydicom.dcmwrite(plain, item, enforce_file_format=True)
    whole = plain.getvalue()
    body = whole[144 + int.from_bytes(whole[140:144], "little") :]
    meta = io.BytesIO()
    item.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    empty = pydicom.Dataset()
    empty.file_meta = item.file_meta
    pydicom.dcmwrite(meta, empty, enforce_file_format=True)
    head = meta.getvalue()
    head = head[: 144 + int.from_bytes(head[140:144], "little")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    padding = b"\xfc\xff\xfc\xffOB\0\0" + struct.pack("<I", extra) + bytes(extra) if extra else b""
    path.write_bytes(head + packer.compress(body + padding) + packer.flush())
    return path


def test_a_deflated_file_is_read(tmp_path, dicom):
    volume = read_volume(deflated(dicom, tmp_path / "a.dcm"))
    assert np.array_equal(volume.array[0, :, :, 0], PIXELS.T)


def test_what_unpacks_to_too_much_is_refused_without_unpacking_it(tmp_path, dicom):
    path = deflated(dicom, tmp_path / "a.dcm", extra=50_000_000)
    assert path.stat().st_size < 100_000
    tracemalloc.start()
    with path.open("rb") as file, pytest.raises(DataError, match=r"unpacks to more than 0\.0093 GB"):
        check_inflates(file, "a.dcm", 10_000_000)
    assert tracemalloc.get_traced_memory()[1] < 8_000_000
    tracemalloc.stop()
    with path.open("rb") as file:
        check_inflates(file, "a.dcm", 60_000_000)


@pytest.mark.parametrize("content", [b"", b"DICM", bytes(200), bytes(128) + b"DICM" + bytes(20)])
def test_what_is_not_deflated_is_left_alone(content):
    check_inflates(io.BytesIO(content), "x", 1)


@pytest.mark.parametrize("count", [10_000_000, -5])
def test_frames_that_no_image_has_are_refused_at_once(tmp_path, dicom, count):
    path = dicom.save(dicom.plain(PIXELS, NumberOfFrames=count), tmp_path / "a.dcm")
    start = time.monotonic()
    with pytest.raises(DataError, match=f"says that it has {count} frames; expected 1 to 300000"):
        read_volume(path)
    assert time.monotonic() - start < 5
