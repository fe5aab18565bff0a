import subprocess
import sys

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

import delineate.io
from delineate.errors import DataError
from delineate.io import (
    SUFFIXES,
    is_scan,
    read_geometry,
    read_label_values,
    read_volume,
    suffix_of,
    write_volume,
)
from delineate.space import Geometry, Volume

GRID = Geometry((3, 2, 1), np.diag([-1.0, -1, 1, 1]))
LABELS = np.array([[0, 1], [2, 128], [255, 3]], np.uint8)[..., None]


def nifti(path, array, affine=GRID.affine):
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


# Volumes


@pytest.mark.parametrize(
    "suffix", [".nii", ".nii.gz", ".nrrd", ".mha", ".png", ".tif", ".tiff", ".NII.GZ", ".PNG"]
)
def test_every_family_of_formats_gives_the_same_volume_and_grid(tmp_path, suffix):
    path = tmp_path / f"scan{suffix}"
    write_volume(Volume(LABELS[None], GRID), path)
    volume = read_volume(path)
    assert np.array_equal(volume.array[0], LABELS)
    assert volume.geometry.same_place(GRID)
    assert read_geometry(path).same_place(GRID)
    assert volume.source.files == (str(path),)
    assert is_scan(path)
    assert suffix_of(path) == suffix.lower()


def test_a_dicom_file_needs_no_suffix(tmp_path, dicom):
    pixels = LABELS[..., 0].T.astype(np.int16).copy()
    for name in ("IM0001", "1.2.840.16588", "scan.dcm", "scan.IMA"):
        path = dicom.save(dicom.slice_at(pixels, (0, 0, 0)), tmp_path / name)
        assert is_scan(path)
        assert np.array_equal(read_volume(path).array[0], LABELS)
        assert read_geometry(path).shape == (3, 2, 1)


def test_a_folder_of_dicom_files_is_a_scan_and_other_folders_are_not(tmp_path, dicom):
    dicom.save(dicom.slice_at(np.zeros((2, 3), np.int16), (0, 0, 0)), tmp_path / "series" / "a")
    assert is_scan(tmp_path / "series")
    assert not is_scan(tmp_path)
    assert read_volume(tmp_path / "series").geometry.shape == (3, 2, 1)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.nii").write_bytes(b"x")
    assert not is_scan(tmp_path / "other")


def test_what_is_hidden_unfinished_foreign_or_not_there_is_no_scan(tmp_path):
    for name in (".a.nii.gz", ".0123.partial-a.nii.gz", "a.mgz", "a.dconn.nii", "a.txt"):
        (tmp_path / name).write_bytes(b"x" * 400)
        assert not is_scan(tmp_path / name)
        assert suffix_of(tmp_path / name) in ("", ".nii.gz")
    assert not is_scan(tmp_path / "nowhere.nii.gz")


def test_channels_can_be_named(tmp_path):
    path = nifti(tmp_path / "a.nii", np.zeros((3, 2, 1, 2), np.uint8))
    assert read_volume(path).channels == ("image_0", "image_1")
    assert read_volume(path, channels=("T1", "T2")).channels == ("T1", "T2")
    with pytest.raises(DataError, match=r"holds 2 channels \(image_0, image_1\); expected 1 \(T1\)"):
        read_volume(path, channels=("T1",))


# Labels


@pytest.mark.parametrize("kind", ["u1", "i2", "i4", "u2"])
def test_whole_numbers_are_read_as_they_are(tmp_path, kind):
    found = read_label_values(nifti(tmp_path / "a.nii.gz", LABELS.astype(kind)))
    assert found.array.dtype == np.dtype(kind)
    assert np.array_equal(found.array, LABELS)
    assert found.notes == ()
    assert not found.packed
    assert found.geometry.same_place(GRID)


@pytest.mark.parametrize(("lowest", "kind"), [(0, "u1"), (-1, "i2"), (-200, "i2"), (300, "u2")])
def test_reals_that_are_whole_become_the_smallest_integers_and_a_note_says_so(tmp_path, lowest, kind):
    values = LABELS.astype(np.float32)
    values[0, 0] = lowest
    found = read_label_values(nifti(tmp_path / "a.nii.gz", values))
    assert found.array.dtype == np.dtype(kind)
    assert np.array_equal(found.array, values)
    assert found.notes == ("labels were stored as float32",)


def test_labels_scaled_by_a_rounded_slope_are_whole(tmp_path):
    image = nib.Nifti1Image(LABELS, GRID.affine)
    image.header.set_slope_inter(0.99999994, 0)
    nib.save(image, tmp_path / "a.nii")
    content = bytearray((tmp_path / "a.nii").read_bytes())
    content[112:116] = np.float32(0.99999994).tobytes()
    (tmp_path / "a.nii").write_bytes(bytes(content))
    assert np.array_equal(read_label_values(tmp_path / "a.nii").array, LABELS)


def test_grey_pictures_keep_their_values_and_colours_are_packed(tmp_path):
    Image.fromarray(LABELS[..., 0].T.copy()).save(tmp_path / "grey.png")
    assert np.array_equal(read_label_values(tmp_path / "grey.png").array, LABELS)
    colour = np.zeros((2, 3, 3), np.uint8)
    colour[0, 1] = (255, 128, 1)
    Image.fromarray(colour).save(tmp_path / "colour.png")
    found = read_label_values(tmp_path / "colour.png")
    assert found.packed
    assert found.array[1, 0, 0] == 0xFF8001
    assert found.array.sum() == 0xFF8001


def test_labels_in_a_palette_are_its_indices(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    picture.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    picture.save(tmp_path / "a.png")
    found = read_label_values(tmp_path / "a.png")
    assert found.array[..., 0].T.tolist() == [[0, 1], [2, 1]]
    assert "values are the indices of its palette, not its colours" in found.notes


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[[0.5]]]), r"(?s)label values are no whole numbers, for example 0\.5.*probabilities"),
        (np.array([[[np.nan]]]), "(?s)label values hold NaN or infinity.*Set those voxels to 0"),
        (np.array([[[np.inf]]]), "label values hold NaN or infinity"),
        (np.zeros((1, 1, 1, 2), np.uint8), "(?s)holds 2 channels; expected one label value per voxel.*Merge"),
    ],
)
def test_what_cannot_be_label_values_is_refused(tmp_path, values, message):
    with pytest.raises(DataError, match=message):
        read_label_values(nifti(tmp_path / "a.nii", values))


def test_jpeg_cannot_hold_labels(tmp_path):
    Image.fromarray(LABELS[..., 0]).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"(?s)JPEG changes values when it compresses.*as PNG or NIfTI"):
        read_label_values(tmp_path / "a.jpg")


# Refusals


@pytest.mark.parametrize("read", [read_volume, read_label_values, read_geometry])
def test_a_path_where_nothing_is_is_refused(tmp_path, read):
    with pytest.raises(DataError, match=r"(?s)nowhere\.nii\.gz: no such file or folder.*Check the spelling"):
        read(tmp_path / "nowhere.nii.gz")


@pytest.mark.parametrize("read", [read_volume, read_label_values, read_geometry])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_refused(tmp_path, suffix, read):
    (tmp_path / f"a{suffix}").write_bytes(b"")
    with pytest.raises(DataError, match=r"is empty \(0 bytes\)|JPEG"):
        read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("content", [b"x" * 2000, b"\0" * 2000, bytes(range(256)) * 8])
def test_a_file_that_is_something_else_entirely_is_refused(tmp_path, suffix, content):
    (tmp_path / f"a{suffix}").write_bytes(content)
    for read in (read_volume, read_geometry):
        with pytest.raises(DataError, match=rf"a\{suffix}: "):
            read(tmp_path / f"a{suffix}")


def test_a_wrong_suffix_is_refused_with_the_right_one(tmp_path):
    nifti(tmp_path / "a.nii.gz", LABELS)
    Image.fromarray(LABELS[..., 0]).save(tmp_path / "a.png")
    for source, name, message in (
        ("a.nii.gz", "b.nii", r"is named \.nii but its content is gzip\.\s+Rename it to b\.nii\.gz"),
        ("a.png", "b.jpg", r"is named \.jpg but its content is PNG\.\s+Rename it to b\.png"),
        ("a.png", "b.nii.gz", r"its content is PNG"),
        ("a.nii.gz", "b.dcm", r"its content is gzip"),
    ):
        (tmp_path / name).write_bytes((tmp_path / source).read_bytes())
        for read in (read_volume, read_geometry):
            with pytest.raises(DataError, match=message):
                read(tmp_path / name)
    (tmp_path / "c.png").write_bytes(b"GIF89a" + b"x" * 400)
    with pytest.raises(DataError, match=r"is named \.png but its content is GIF\.\s+Convert it"):
        read_volume(tmp_path / "c.png")
    (tmp_path / "labels.png").write_bytes((tmp_path / "a.nii.gz").read_bytes())
    with pytest.raises(DataError, match="its content is gzip"):
        read_label_values(tmp_path / "labels.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a.mgz", r"(?s)is FreeSurfer MGH.*nib-convert a\.mgz a\.nii\.gz"),
        ("a.mnc", r"(?s)is MINC.*mnc2nii a\.mnc a\.nii"),
        ("a+orig.HEAD", r"(?s)is AFNI.*3dAFNItoNIFTI -prefix a\+orig\.nii\.gz a\+orig\.HEAD"),
        ("a.PAR", r"(?s)is Philips PAR/REC.*parrec2nii a\.PAR"),
        ("a.img", r"(?s)half of an Analyze.*nib-convert a\.hdr a\.nii\.gz"),
        ("a.dconn.nii", "(?s)is CIFTI.*wb_command"),
        ("a.svs", "(?s)is a whole slide.*region of interest"),
        ("a.npz", "(?s)NumPy arrays, which have no place.*Save them as NIfTI"),
        ("a.tar.gz", "(?s)is an archive.*Unpack"),
        ("a.dcm.gz", r"(?s)is compressed DICOM.*gunzip a\.dcm\.gz"),
    ],
)
def test_formats_that_are_known_but_not_read_name_the_way_to_one_that_is(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"x" * 400)
    with pytest.raises(DataError, match=message):
        read_volume(tmp_path / name)


def test_what_is_unknown_lists_what_is_read(tmp_path):
    (tmp_path / "a.xyz").write_bytes(b"x" * 400)
    with pytest.raises(
        DataError, match=r"(?s)is no image that can be read; expected a DICOM.*\.nii\.gz \.nii .*\.ima"
    ):
        read_volume(tmp_path / "a.xyz")
    (tmp_path / "a").write_bytes(b"\x89PNG" + b"x" * 400)
    with pytest.raises(DataError, match="although its content looks like PNG"):
        read_volume(tmp_path / "a")


def test_a_file_that_may_not_be_opened_is_refused(tmp_path, monkeypatch):
    path = nifti(tmp_path / "a.nii", LABELS)

    def closed(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(path), "open", closed)
    with pytest.raises(DataError, match=r"(?s)cannot be opened: Permission denied.*Check its permissions"):
        read_volume(path)


# The package


def test_readers_are_loaded_only_when_they_are_needed():
    heavy = ("torch", "SimpleITK", "pydicom", "nibabel", "tifffile", "PIL")
    code = f"import sys, delineate.io; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there():
    for name in delineate.io.__all__:
        assert getattr(delineate.io, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = delineate.io.nothing
