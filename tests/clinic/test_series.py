"""A series is its slices where they lie; what cannot be referred to is refused."""

import numpy as np
import pydicom
import pytest
from clinic_stacks import Stack, image, rewritten, stacks, write_images
from hypothesis import given, settings

from delineate.clinic import make_result, open_series
from delineate.clinic.series import check_referable
from delineate.errors import DataError
from delineate.io import read_volume
from delineate.space import LabelMap, LabelSchema


def test_a_regular_series_has_the_grid_that_io_reads(series_folder):
    folder, stack = series_folder
    series = open_series(folder)
    assert series.geometry.same_place(read_volume(folder).geometry)
    assert series.geometry.same_place(stack.geometry)
    assert series.notes == ()
    assert repr(series) == "Series(CT, 9 x 7 x 5, 1.2.3.2)"


@settings(max_examples=30)
@given(stack=stacks())
def test_slices_lie_where_their_headers_say(stack):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as name:
        series = open_series(write_images(Path(name), stack))
    order = np.argsort([stack.place(k) @ series.normal for k in stack.slices])
    assert np.allclose(series.positions, [stack.place(stack.slices[n]) for n in order], atol=1e-6)
    if series.geometry is not None and stack.count > 1:
        assert series.geometry.same_place(stack.geometry, tolerance_mm=1e-3)
    assert series.is_tilted == (max(np.abs(stack.lean)) > 1e-3 and len(series.positions) > 1)


def test_a_leaning_series_has_a_sheared_grid_and_says_so(tmp_path):
    series = open_series(write_images(tmp_path, Stack(lean=(0.0, 0.3))))
    assert series.is_tilted
    assert series.geometry.same_place(Stack(lean=(0.0, 0.3)).geometry)
    assert any("lean by 16.7 degrees" in note for note in series.notes)


def test_uneven_slices_have_no_grid_but_each_its_own(shared_data):
    series = open_series(shared_data / "dicom_ct_tilt")
    assert series.geometry is None
    assert any("unevenly spaced: 1.08 to 7 mm" in note for note in series.notes)
    for k in (0, 27):
        corner = series.slice_geometry(k).to_world(np.zeros(3)) * (-1, -1, 1)
        assert np.allclose(corner, series.positions[k])


def test_slices_shifted_within_their_planes_are_said(tmp_path):
    folder = write_images(tmp_path, Stack())
    rewritten(next(f for f in folder.iterdir() if f.name == "997.dcm"), _moved)
    assert any("shifted against each other" in note for note in open_series(folder).notes)


def _moved(content):
    content.ImagePositionPatient[0] += 1.5


def test_a_series_without_uids_is_refused_with_the_way_out(shared_data):
    series = open_series(shared_data / "totalseg" / "example_ct_dicom")
    with pytest.raises(DataError, match=r"images without UIDs .*SOPInstanceUID in 20 of 20") as error:
        check_referable(series)
    assert "Fetch the series again" in str(error.value)
    labels = LabelMap(np.zeros(series.geometry.shape, np.uint8), series.geometry, LabelSchema.of("liver"))
    from clinic_stacks import MAKER, WHEN

    with pytest.raises(DataError, match="images without UIDs"):
        make_result(labels, series, MAKER, when=WHEN)


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ({"FrameOfReferenceUID": "9.9"}, "2 frames of reference"),
        ({"StudyInstanceUID": "9.9"}, "2 studies"),
        ({"PatientID": "other"}, "2 patients"),
        ({"PixelSpacing": [2, 2]}, "differ in pixel spacing"),
        ({"ImageOrientationPatient": [0, 1, 0, 1, 0, 0]}, "differ in orientation"),
    ],
)
def test_mixed_images_are_refused(series_folder, tags, message):
    folder, stack = series_folder
    image(stack, 2, **tags).save_as(folder / "odd.dcm", enforce_file_format=True)
    with pytest.raises(DataError, match=message):
        open_series(folder)


def test_copies_of_an_image_are_refused(series_folder):
    folder, _ = series_folder
    first = pydicom.dcmread(next(folder.iterdir()))
    first.save_as(folder / "copy.dcm")
    with pytest.raises(DataError, match="repeat the SOPInstanceUID"):
        open_series(folder)


def test_images_without_a_place_are_refused(tmp_path):
    folder = write_images(tmp_path, Stack())

    def lost(content):
        del content.ImagePositionPatient

    rewritten(next(folder.iterdir()), lost)
    with pytest.raises(DataError, match="1 of 5 images do not say where"):
        open_series(folder)


def test_skewed_rows_are_refused(tmp_path):
    folder = write_images(tmp_path, Stack(count=1), ImageOrientationPatient=[1, 0, 0, 1, 0, 0])
    with pytest.raises(DataError, match="not at right angles"):
        open_series(folder)


def test_of_several_series_one_is_named(tmp_path):
    write_images(tmp_path / "a", Stack())
    write_images(tmp_path / "b", Stack(), SeriesInstanceUID="1.2.3.9")
    with pytest.raises(DataError, match="2 series are mixed"):
        open_series(tmp_path)
    assert open_series(tmp_path, "1.2.3.9").uid == "1.2.3.9"
    with pytest.raises(DataError, match=r"no image of the series 7\.7"):
        open_series(tmp_path, "7.7")
