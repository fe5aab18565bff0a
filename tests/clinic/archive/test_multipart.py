"""Messages of several files come apart where they were put together, however the bytes arrive."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from delineate.clinic.archive.multipart import packed, parts
from delineate.errors import ArchiveError


class Slow:
    """Gives a few bytes at a time."""

    def __init__(self, content, step):
        self.stream, self.step = BytesIO(content), step

    def read(self, amount):
        return self.stream.read(min(amount, self.step))


def message(contents, boundary="b1"):
    pieces = [
        b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (boundary.encode(), c) for c in contents
    ]
    return b"".join(pieces) + b"--%b--\r\n" % boundary.encode()


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=4), st.integers(1, 40))
def test_parts_are_what_was_put_in(contents, step):
    contents = [c for c in contents if b"\r\n--b1" not in c] or [b"x"]
    headers = {"content-type": 'multipart/related; type="application/dicom"; boundary="b1"'}
    assert list(parts(Slow(message(contents), step), headers, "pacs")) == contents


def test_one_packed_file_comes_back():
    kind, body = packed(b"\r\n--content\r\n\r\n")
    assert list(parts(BytesIO(body), {"content-type": kind}, "pacs")) == [b"\r\n--content\r\n\r\n"]


def test_a_message_that_breaks_off_is_an_error():
    kind, body = packed(b"x" * 100)
    with pytest.raises(ArchiveError, match="the answer broke off"):
        list(parts(BytesIO(body[:-60]), {"content-type": kind}, "pacs"))


def test_another_kind_of_answer_is_an_error():
    with pytest.raises(ArchiveError, match="answered with text/html, not with DICOM"):
        list(parts(BytesIO(b""), {"content-type": "text/html"}, "pacs"))
    with pytest.raises(ArchiveError, match="no content type"):
        list(parts(BytesIO(b""), {}, "pacs"))
