import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import frames

PIXELS = np.zeros((3, 4), np.int16)  # three rows, four columns


def only(path):
    (frame,) = frames.frames_of(path, frames.read_header(path))
    return frame


def test_a_classic_slice_says_where_it_lies(tmp_path, dicom):
    item = dicom.slice_at(
        PIXELS, (1, 2, 3), (0, 1, 0, 0, 0, -1), (2, 5), RescaleSlope="2", RescaleIntercept="-7"
    )
    frame = only(dicom.save(item, tmp_path / "a.dcm"))
    assert frame.shape == (4, 3)
    assert frame.position == (1, 2, 3)
    assert frame.axes == (0, 1, 0, 0, 0, -1)
    assert frame.spacing == (5, 2)  # ours: between columns first
    assert frame.thickness == 2.5
    assert (frame.slope, frame.intercept) == (2, -7)
    assert frame.instance_uid == item.SOPInstanceUID
    assert frame.is_placed


def test_frames_of_an_enhanced_object_say_where_they_lie(tmp_path, dicom):
    item = dicom.enhanced(np.zeros((2, 3, 4), np.int16), [(0, 0, 5), (0, 0, 9)], spacing=(2, 5), marks=[1, 2])
    path = dicom.save(item, tmp_path / "a.dcm")
    found = frames.frames_of(path, frames.read_header(path))
    assert [frame.number for frame in found] == [0, 1]
    assert [frame.position for frame in found] == [(0, 0, 5), (0, 0, 9)]
    assert {frame.spacing for frame in found} == {(5, 2)}
    assert {frame.slope for frame in found} == {2}
    assert [frame.marks["TemporalPositionIndex"] for frame in found] == ["1", "2"]


def test_frames_that_share_one_header_do_not_know_their_places(tmp_path, dicom):
    item = dicom.slice_at(PIXELS, (1, 2, 3))
    item.NumberOfFrames = 2
    item.PixelData = bytes(2 * PIXELS.nbytes)
    path = dicom.save(item, tmp_path / "a.dcm")
    assert [frame.is_placed for frame in frames.frames_of(path, frames.read_header(path))] == [False, False]


@pytest.mark.parametrize("missing", ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing"])
@pytest.mark.parametrize("empty", [True, False])
def test_what_a_header_leaves_out_is_none(tmp_path, dicom, missing, empty):
    item = dicom.slice_at(PIXELS, (1, 2, 3))
    if empty:
        setattr(item, missing, None)
    else:
        delattr(item, missing)
    assert not only(dicom.save(item, tmp_path / "a.dcm")).is_placed


def test_the_thickness_is_taken_from_what_there_is(tmp_path, dicom):
    for name, tags, expected in (
        ("a", {"SliceThickness": None, "SpacingBetweenSlices": "-3"}, 3),
        ("b", {"SliceThickness": None}, None),
        ("c", {"SliceThickness": "0"}, None),
    ):
        frame = only(dicom.save(dicom.slice_at(PIXELS, (0, 0, 0), **tags), tmp_path / name))
        assert frame.thickness == expected


def test_scouts_and_mosaics_are_known_by_their_image_type(tmp_path, dicom):
    scout = dicom.slice_at(PIXELS, (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    assert only(dicom.save(scout, tmp_path / "a")).is_localizer
    mosaic = dicom.slice_at(PIXELS, (0, 0, 0), ImageType=["ORIGINAL", "PRIMARY", "M", "MOSAIC"])
    assert only(dicom.save(mosaic, tmp_path / "b")).is_mosaic


def test_dicom_is_known_by_its_first_bytes_with_and_without_preamble(tmp_path, dicom):
    path = dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a")
    assert frames.is_dicom(path)
    (tmp_path / "bare").write_bytes(path.read_bytes()[132:])
    assert frames.is_dicom(tmp_path / "bare")
    assert only(tmp_path / "bare") == frames.Frame(**{**vars(only(path)), "file": tmp_path / "bare"})
    implicit = b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100"
    (tmp_path / "old").write_bytes(implicit)
    assert frames.is_dicom(tmp_path / "old")
    for name, content in (("text", b"hello " * 40), ("short", b"\x08\0"), ("empty", b"")):
        (tmp_path / name).write_bytes(content)
        assert not frames.is_dicom(tmp_path / name)
    assert not frames.is_dicom(tmp_path / "nowhere")


def test_objects_that_are_no_scans_are_named(tmp_path, dicom):
    kinds = {
        "1.2.840.10008.5.1.4.1.1.66.4": "a segmentation (SEG)",
        "1.2.840.10008.5.1.4.1.1.481.3": "a structure set (RTSTRUCT)",
        "1.2.840.10008.5.1.4.1.1.77.1.6": "a whole slide",
        "1.2.840.10008.5.1.4.1.1.88.34": "an object without an image (Comprehensive 3D SR Storage)",
        "1.2.3.4.5": "an object without an image",
    }
    for uid, kind in kinds.items():
        item = dicom.plain(PIXELS, SOPClassUID=uid)
        if "without" in kind:
            del item.Rows
        path = dicom.save(item, tmp_path / "a.dcm")
        assert frames.object_kind(path, frames.read_header(path)) == kind


def test_an_image_without_rows_is_damaged(tmp_path, dicom):
    item = dicom.slice_at(PIXELS, (0, 0, 0))
    del item.Rows
    path = dicom.save(item, tmp_path / "a.dcm")
    with pytest.raises(DataError, match=r"(?s)is a DICOM image without rows and columns.*copy it again"):
        frames.object_kind(path, frames.read_header(path))


def test_frames_that_are_counted_but_not_described_are_refused(tmp_path, dicom):
    item = dicom.enhanced(np.zeros((2, 3, 4), np.int16), [(0, 0, 5), (0, 0, 9)], NumberOfFrames=3)
    path = dicom.save(item, tmp_path / "a.dcm")
    with pytest.raises(DataError, match="says 3 frames but describes 2"):
        frames.frames_of(path, frames.read_header(path))


def test_numbers_that_are_none_are_refused_without_quoting_the_header(tmp_path, dicom):
    item = dicom.slice_at(PIXELS, (0, 0, 0))
    path = dicom.save(item, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"0\\0\\0 ", b"x\\y\\z "))
    with pytest.raises(DataError, match=r"a\.dcm: cannot be read as DICOM: \w+Error") as caught:
        frames.frames_of(path, frames.read_header(path))
    assert "SECRET" not in str(caught.value).upper()


def test_a_header_that_cannot_be_parsed_is_refused(tmp_path, dicom):
    path = dicom.save(dicom.slice_at(PIXELS, (0, 0, 0)), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"\x08\0\x16\0UI", b"\x08\0\x16\0TI"))
    with pytest.raises(DataError, match=r"a\.dcm: cannot be read as DICOM"):
        frames.object_kind(path, frames.read_header(path))
