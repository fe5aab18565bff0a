"""A film is pictures one after the other: each as it is stored, at its time, decoded when it is its turn."""

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import Manner, read_film, read_volume

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
GREY = np.random.default_rng(0).integers(0, 255, (5, 3, 4), np.uint8)
US = {"SOPClassUID": ULTRASOUND, "Modality": "US"}


def film(dicom, path, **tags):
    return dicom.save(dicom.plain(GREY, **US, **tags), path)


def test_every_picture_of_a_film_is_as_it_is_stored(tmp_path, dicom):
    found = read_film(film(dicom, tmp_path / "loop.dcm", PixelSpacing=[0.5, 0.25], FrameTime="40"))
    assert len(found) == 5
    assert found.geometry.shape == (4, 3, 1)
    assert found.geometry.spacing[:2] == pytest.approx((0.25, 0.5))
    for number, picture in enumerate(found):
        assert np.array_equal(picture.array[0, :, :, 0], GREY[number].T)
        assert picture.source.frame_numbers == (number + 1,)
        assert np.array_equal(found.picture(number).array, picture.array)


@pytest.mark.parametrize(
    ("tags", "seconds"),
    [
        ({"FrameTime": "40"}, (0, 0.04, 0.08, 0.12, 0.16)),
        ({"FrameTimeVector": ["0", "10", "20", "10", "10"]}, (0, 0.01, 0.03, 0.04, 0.05)),
        ({"FrameTimeVector": ["0", "10"], "FrameTime": "20"}, (0, 0.02, 0.04, 0.06, 0.08)),
        ({"CineRate": "50"}, (0, 0.02, 0.04, 0.06, 0.08)),
        ({"FrameTime": "0", "RecommendedDisplayFrameRate": "25"}, (0, 0.04, 0.08, 0.12, 0.16)),
        ({}, ()),
    ],
)
def test_when_each_picture_was_taken_comes_from_the_header(tmp_path, dicom, tags, seconds):
    found = read_film(film(dicom, tmp_path / "loop.dcm", **tags))
    assert found.seconds == pytest.approx(seconds)
    assert any("how fast" in note for note in found.notes) == (not seconds)


def test_a_film_is_planes_only_where_that_is_asked_and_says_so(tmp_path, dicom):
    path = film(dicom, tmp_path / "loop.dcm", PixelSpacing=[0.5, 0.25])
    with pytest.raises(DataError, match=r"(?s)5 images that do not say where .*--film"):
        read_volume(path)
    volume = read_volume(path, manner=Manner(film=True))
    assert np.array_equal(volume.array[0], GREY.transpose(2, 1, 0))
    assert any("k is time, not mm" in note for note in volume.source.notes)
    pictures = [picture.geometry for picture in read_film(path)]
    assert all(np.allclose(volume.geometry.affine, each.affine) for each in pictures)


def test_views_in_several_files_are_no_film(tmp_path, dicom):
    for n in range(2):
        dicom.save(dicom.plain(GREY[0], **US), tmp_path / f"{n}.dcm")
    with pytest.raises(DataError, match="2 images that do not say where"):
        read_volume(tmp_path, manner=Manner(film=True))


def test_one_picture_is_a_film_of_one(tmp_path, dicom):
    found = read_film(dicom.save(dicom.plain(GREY[0], **US), tmp_path / "still.dcm"))
    assert len(found) == 1
    assert not any("how fast" in note for note in found.notes)
    volume = read_volume(tmp_path / "still.dcm", manner=Manner(film=True))
    assert np.array_equal(volume.array, found.picture(0).array)
    assert not any("film" in note for note in volume.source.notes)


def test_a_picture_that_is_not_there_is_refused(tmp_path, dicom):
    found = read_film(film(dicom, tmp_path / "loop.dcm"))
    for number in (5, -1):
        with pytest.raises(DataError, match=f"has no picture {number}; its 5 are counted 0 to 4"):
            found.picture(number)


def test_slices_of_a_volume_are_no_film(tmp_path, dicom):
    dicom.save(dicom.slice_at(GREY[0], (0, 0, 0)), tmp_path / "slice.dcm")
    with pytest.raises(DataError, match="frames are slices of a volume, no film"):
        read_film(tmp_path / "slice.dcm")
    dicom.save(dicom.plain(GREY[0], SOPClassUID="1.2.840.10008.5.1.4.1.1.481.3"), tmp_path / "rt.dcm")
    with pytest.raises(DataError, match=r"is a structure set .RTSTRUCT.; expected pictures"):
        read_film(tmp_path / "rt.dcm")


def test_a_film_cut_short_is_refused_where_it_ends(tmp_path, dicom):
    path = film(dicom, tmp_path / "loop.dcm")
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match="cannot be read as DICOM"):
        list(read_film(path))


@pytest.mark.parametrize(
    ("name", "channels"),
    [("OBXXXX1A_rle_2frame.dcm", 3), ("OBXXXX1A_expb_2frame.dcm", 3), ("SC_rgb_32bit_2frame.dcm", 3)],
)
def test_real_films_are_read(shared_data, name, channels):
    path = shared_data / "dicom_pydicom" / name
    found = read_film(path)
    pictures = list(found)
    assert len(pictures) == 2
    assert {len(picture.array) for picture in pictures} == {channels}
    volume = read_volume(path, manner=Manner(film=True))
    for k, picture in enumerate(pictures):
        assert np.array_equal(volume.array[..., k], picture.array[..., 0])
