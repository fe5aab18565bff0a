import io
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage, generate_uid

from delineate.errors import DataError
from delineate.io import write_volume
from delineate.pipeline.frames import SETTLE_S, Raw, Source, arriving, named, paced, raw_frames
from delineate.space import Geometry, Volume


class Clock:
    """Seconds that pass while somebody waits."""

    def __init__(self):
        self.now, self.waits = 10.0, []

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.waits.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


def write_png(path: Path, value=7, size=(12, 8)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size[::-1], value, np.uint8)).save(path)


def write_loop(path: Path, count=5, size=(12, 8)):
    """An ultrasound loop: picture n is grey of value n."""
    item = Dataset()
    item.file_meta = FileMetaDataset()
    item.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = UltrasoundMultiFrameImageStorage
    item.SOPInstanceUID = item.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    item.SeriesInstanceUID, item.StudyInstanceUID, item.Modality = "1.2.3", "1.2.1", "US"
    item.PatientID, item.NumberOfFrames, item.FrameTime = "phantom", count, 40
    item.Columns, item.Rows = size
    item.SamplesPerPixel, item.PhotometricInterpretation = 1, "MONOCHROME2"
    item.BitsAllocated, item.BitsStored, item.HighBit, item.PixelRepresentation = 8, 8, 7, 0
    item.PixelData = b"".join(np.full(size[0] * size[1], n, np.uint8).tobytes() for n in range(count))
    item.save_as(path, enforce_file_format=True)


def source(path, clock, **options):
    return Source(path, ("US",), clock, clock.wait, **options)


def test_a_folder_gives_its_pictures_in_the_order_of_their_numbers(tmp_path, clock):
    for number in (10, 2, 1):
        write_png(tmp_path / f"frame_{number}.png", number)
    (tmp_path / "notes.txt").write_text("not a picture")
    frames = list(source(tmp_path, clock).frames())
    assert [frame.name for frame in frames] == ["frame_1", "frame_2", "frame_10"]
    assert [int(frame.picture.array.max()) for frame in frames] == [1, 2, 10]
    assert frames[0].picture.channels == ("US",)
    assert frames[0].picture.geometry.same_place(Geometry.of_image((12, 8)))


def test_a_tiff_gives_its_pages(tmp_path, clock):
    stack = np.arange(3, dtype=np.uint8) * np.ones((1, 12, 8, 1), np.uint8)
    write_volume(Volume(stack, Geometry((12, 8, 3), np.diag([-1.0, -1.0, 1.0, 1.0]))), tmp_path / "film.tif")
    frames = list(source(tmp_path / "film.tif", clock).frames())
    assert [frame.name for frame in frames] == ["film_0", "film_1", "film_2"]
    assert [int(frame.picture.array.max()) for frame in frames] == [0, 1, 2]
    assert all(frame.picture.geometry.is_flat for frame in frames)


def test_an_ultrasound_loop_gives_its_pictures(tmp_path, clock):
    write_loop(tmp_path / "loop.dcm", 11)
    frames = list(source(tmp_path / "loop.dcm", clock).frames())
    assert [frame.name for frame in frames] == [f"loop_{n:02d}" for n in range(11)]
    assert [int(frame.picture.array.max()) for frame in frames] == list(range(11))


def test_what_cannot_be_read_is_a_frame_without_a_picture(tmp_path, clock):
    write_png(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    Image.fromarray(np.zeros((8, 12, 3), np.uint8)).save(tmp_path / "c.png")
    a, b, c = source(tmp_path, clock).frames()
    assert a.picture is not None
    assert b.picture is None
    assert "b.png" in b.why
    assert "the model reads 1 channel(s) (US), a frame has 3" in c.why


def test_a_folder_that_grows_is_followed_until_nothing_comes(tmp_path, clock):
    write_png(tmp_path / "a.png", 1)
    frames = source(tmp_path, clock, follow_s=0.5).frames()
    assert next(frames).name == "a"
    write_png(tmp_path / "0.png", 2)  # comes later, whatever its name
    assert next(frames).name == "0"
    before = clock.now
    assert list(frames) == []
    assert 0.5 < clock.now - before < 0.6


def test_a_file_that_is_still_being_written_is_waited_for(tmp_path, clock):
    write_png(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "whole.png").unlink()
    (tmp_path / "a.png").write_bytes(content[:30])
    write_png(tmp_path / "b.png")
    frames = source(tmp_path, clock, follow_s=5).frames()
    assert next(frames).name == "b"
    (tmp_path / "a.png").write_bytes(content)
    late = next(frames)
    assert (late.name, late.picture is not None) == ("a", True)
    assert late.arrived_s == 10.0  # it came when it was first seen


def test_a_file_that_never_gets_whole_is_given_up(tmp_path, clock):
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (frame,) = source(tmp_path, clock, follow_s=1).frames()
    assert frame.picture is None
    assert clock.now - 10.0 > SETTLE_S


def test_the_first_grid_is_that_of_the_first_picture_that_can_be_read(tmp_path, clock):
    assert source(tmp_path, clock).first_grid() is None
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    write_png(tmp_path / "b.png", size=(20, 10))
    assert source(tmp_path, clock).first_grid().shape == (20, 10, 1)


@given(
    columns=st.integers(1, 9),
    rows=st.integers(1, 9),
    channels=st.integers(1, 3),
    kind=st.sampled_from(["uint8", "uint16", "int16", "float32"]),
    count=st.integers(0, 3),
)
def test_raw_bytes_become_the_pictures_that_they_were(columns, rows, channels, kind, count):
    raw = Raw.of(f"{columns}x{rows}x{channels}:{kind}")
    sent = np.random.default_rng(0).integers(0, 99, (count, rows, columns, channels)).astype(kind)
    names = tuple("abc"[:channels])
    frames = list(raw_frames(io.BytesIO(sent.tobytes()), raw, names, lambda: 1.0))
    assert len(frames) == count
    for frame, rows_of in zip(frames, sent, strict=True):
        assert np.array_equal(frame.picture.array[..., 0], rows_of.transpose(2, 1, 0))
        assert frame.picture.channels == names


def test_raw_frames_are_counted_and_a_torn_one_is_said():
    raw = Raw.of("4x2")
    frames = raw_frames(io.BytesIO(bytes(8 + 5)), raw, ("US",), lambda: 1.0)
    assert next(frames).name == "frame_000000"
    with pytest.raises(
        DataError, match=r"ended within frame 1: 5 of 8 bytes\. Are frames 4 x 2 pixels of 1 x uint8"
    ):
        next(frames)


@pytest.mark.parametrize("text", ["640", "640x480:double", "axb", "640x480x3x2"])
def test_a_size_that_says_nothing_is_refused(text):
    with pytest.raises(DataError, match="does not say what a raw frame is: expected COLUMNSxROWS"):
        Raw.of(text)


def test_a_frame_without_pixels_is_refused():
    with pytest.raises(DataError, match="a frame has at least one column, row and channel"):
        Raw.of("0x480")


def test_channels_are_called_as_the_model_calls_them():
    picture = Volume(np.zeros((3, 4, 2, 1)), Geometry.of_image((4, 2)), ("red", "green", "blue"))
    assert named(picture, ("r", "g", "b")).channels == ("r", "g", "b")
    with pytest.raises(DataError, match=r"the model reads 1 channel\(s\) \(US\), a frame has 3"):
        named(picture, ("US",))


def test_a_recorded_source_is_played_at_a_pace(tmp_path, clock):
    for number in range(4):
        write_png(tmp_path / f"{number}.png")
    frames = list(paced(source(tmp_path, clock).frames(), 10.0, clock, clock.wait))
    assert [frame.arrived_s for frame in frames] == pytest.approx([10.0, 10.1, 10.2, 10.3])
    assert clock.waits == pytest.approx([0.1, 0.1, 0.1])


def test_frames_arrive_in_order_while_others_are_looked_at(tmp_path):
    for number in range(9):
        write_png(tmp_path / f"{number}.png", number)
    with arriving(source(tmp_path, Clock()).frames()) as frames:
        assert [frame.name for frame in frames] == [str(n) for n in range(9)]


def test_an_error_of_the_reader_is_raised_where_frames_are_taken():
    torn = raw_frames(io.BytesIO(bytes(5)), Raw.of("4x2"), ("US",), lambda: 1.0)
    with arriving(torn) as frames, pytest.raises(DataError, match="ended within frame 0"):
        next(frames)


def test_the_reader_ends_when_nobody_takes_frames_any_more():
    def endless():
        while True:
            yield Raw.of("1x1").picture(b"a")

    before = {thread.ident for thread in threading.enumerate()}
    with arriving(endless()) as frames:
        next(frames)
    readers = [t for t in threading.enumerate() if t.name == "frames" and t.ident not in before]
    for _ in range(500):
        if not any(thread.is_alive() for thread in readers):
            break
        time.sleep(0.01)
    assert not any(thread.is_alive() for thread in readers)
