import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from delineate.errors import DataError
from delineate.io import read_label_values, read_volume, write_labels, write_volume
from delineate.space import Geometry, Label, LabelMap, LabelSchema, Volume

GRID = Geometry((3, 2, 4), np.diag([-1.0, -1, 2, 1]))
FLAT = Geometry.of_image((3, 2))


def labelled(top, geometry=GRID):
    schema = LabelSchema(labels=(Label(value=1, name="one"), Label(value=top, name="top")))
    array = np.zeros(geometry.shape, np.int64)
    array[0, 0, 0], array[-1, -1, -1] = 1, top
    return LabelMap(array, geometry, schema)


# Laws


@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_labels_come_back_from_every_volume_format_wherever_the_grid_lies(data, grids, fresh):
    grid = data.draw(grids((3, 2, 4)))
    path = fresh() / f"a{data.draw(st.sampled_from(['.nii', '.nii.gz', '.nrrd', '.mha']))}"
    labels = labelled(data.draw(st.sampled_from([2, 255, 256, 65535])), grid)
    write_labels(labels, path)
    found = read_label_values(path)
    assert np.array_equal(found.array, labels.array)
    assert found.geometry.same_place(grid, tolerance_mm=1e-3)


# Construction


@pytest.mark.parametrize(("top", "kind"), [(2, "u1"), (255, "u1"), (256, "u2"), (65535, "u2")])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".mha", ".tif"])
def test_labels_are_the_smallest_unsigned_integers(tmp_path, top, kind, suffix):
    write_labels(labelled(top), tmp_path / f"a{suffix}")
    assert read_label_values(tmp_path / f"a{suffix}").array.dtype == np.dtype(kind)


def test_label_pictures_are_grey_of_8_or_16_bits(tmp_path):
    for top, kind in ((200, "u1"), (2000, "u2")):
        write_labels(labelled(top, FLAT), tmp_path / "a.png")
        found = read_label_values(tmp_path / "a.png")
        assert found.array.dtype == np.dtype(kind)
        assert np.array_equal(found.array, labelled(top, FLAT).array)


def test_a_2d_label_map_can_be_nifti(tmp_path):
    write_labels(labelled(2, FLAT), tmp_path / "a.nii.gz")
    assert read_label_values(tmp_path / "a.nii.gz").geometry.same_place(FLAT)
    assert nib.load(tmp_path / "a.nii.gz").shape == (3, 2, 1)


def test_a_volume_of_channels_comes_back(tmp_path):
    array = np.random.default_rng(0).normal(size=(2, *GRID.shape)).astype(np.float32)
    volume = Volume(array, GRID, ("T1", "T2"))
    for suffix in (".nii.gz", ".nrrd", ".mha"):
        write_volume(volume, tmp_path / f"a{suffix}")
        found = read_volume(tmp_path / f"a{suffix}", channels=("T1", "T2"))
        assert np.array_equal(found.array, array)


@pytest.mark.parametrize(("given_", "written"), [(bool, np.uint8), (np.float16, np.float32)])
def test_numbers_that_formats_do_not_know_are_widened(tmp_path, given_, written):
    write_volume(Volume(np.ones((1, *GRID.shape), given_), GRID), tmp_path / "a.nii.gz")
    assert read_volume(tmp_path / "a.nii.gz").array.dtype == written


def test_folders_are_made_and_an_old_file_is_replaced(tmp_path):
    path = tmp_path / "new" / "folder" / "a.nii.gz"
    write_labels(labelled(2), path)
    write_labels(labelled(7), path)
    assert read_label_values(path).array.max() == 7
    assert [file.name for file in path.parent.iterdir()] == ["a.nii.gz"]


# Refusals


@pytest.mark.parametrize("name", ["a.jpg", "a.dcm", "a.mgz", "a", "a.gipl", "a.mhd", "a.bmp"])
def test_a_format_that_is_not_written_names_those_that_are(tmp_path, name):
    with pytest.raises(DataError, match=r"(?s)cannot be written as .*\.nii\.gz .*\.tiff\s+Choose one"):
        write_labels(labelled(2), tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_what_a_format_cannot_hold_is_refused_and_leaves_nothing(tmp_path):
    for grid, name, message in (
        (GRID, "a.png", "PNG holds one slice"),
        (Geometry(GRID.shape, np.eye(4)), "a.tif", "a picture cannot say how a grid lies"),
    ):
        with pytest.raises(DataError, match=message) as caught:
            write_labels(labelled(2, grid), tmp_path / name)
        assert str(caught.value).startswith(str(tmp_path / name)), "not the unfinished file beside it"
    assert list(tmp_path.iterdir()) == []


def test_complex_numbers_are_refused(tmp_path):
    volume = Volume(np.zeros((1, *GRID.shape), np.complex64), GRID)
    with pytest.raises(DataError, match="voxels of complex64 cannot be written"):
        write_volume(volume, tmp_path / "a.nii.gz")


def test_label_values_below_zero_are_refused(tmp_path):
    schema = LabelSchema(labels=(Label(value=1, name="one"),), ignore=-1)
    labels = LabelMap(np.full(GRID.shape, -1), GRID, schema)
    with pytest.raises(DataError, match=r"(?s)label values below 0 cannot be written, got -1.*Renumber"):
        write_labels(labels, tmp_path / "a.nii.gz")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"(?s)cannot be written: .*Check the free space"):
        write_labels(labelled(2), tmp_path / "file" / "a.nii.gz")


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".png"])
def test_a_disk_that_is_full_is_refused_and_leaves_the_old_file(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a{suffix}"
    write_labels(labelled(2, FLAT), path)
    before = path.read_bytes()

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("delineate.io.disk._to_disk", full)
    with pytest.raises(DataError, match="cannot be written: No space left on device"):
        write_labels(labelled(7, FLAT), path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1
