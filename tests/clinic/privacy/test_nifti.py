import gzip

import nibabel as nib
import numpy as np
import pytest

from delineate.clinic.privacy.nifti import compressed, without_names
from delineate.errors import DataError


def named(kind, path, values):
    """A NIfTI file that names somebody in every field of text, and in an extension."""
    image = kind(values, np.diag([1.0, 2.0, 3.0, 1.0]))
    for name, text in (("descrip", b"of Quillfeather"), ("aux_file", b"Quill.txt"), ("intent_name", b"Ada")):
        image.header[name] = text
    if kind is nib.Nifti1Image:
        image.header["db_name"] = b"Quillfeather"
    image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Ada Quillfeather"))
    nib.save(image, path)
    return path


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_texts_and_extensions_go_and_voxels_and_grid_stay(tmp_path, kind, suffix):
    values = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    path = named(kind, tmp_path / f"Quillfeather{suffix}", values)
    content = without_names(path)
    assert b"Quill" not in content
    assert b"Ada" not in content
    after = tmp_path / "after.nii.gz"
    after.write_bytes(compressed(content))
    read = nib.load(after)
    assert type(read) is kind
    assert np.array_equal(np.asanyarray(read.dataobj), values)
    assert np.array_equal(read.affine, nib.load(path).affine)
    assert not read.header.extensions
    assert after.read_bytes()[3:8] == bytes(5)  # no name, no time


def test_the_face_gets_the_lowest_value_of_each_volume(tmp_path):
    values = np.arange(120, dtype=np.float32).reshape(3, 4, 5, 2) - 10
    path = named(nib.Nifti1Image, tmp_path / "a.nii", values)
    face = np.zeros((3, 4, 5), bool)
    face[2, 1:, 0] = True
    (tmp_path / "b.nii").write_bytes(without_names(path, face))
    read = nib.load(tmp_path / "b.nii").get_fdata()
    assert np.array_equal(read[~face], values[~face])
    assert (read[face] == [-10, -9]).all()


def test_what_is_no_nifti_is_refused(tmp_path):
    path = tmp_path / "scan.nii.gz"
    path.write_bytes(gzip.compress(b"hello" * 200))
    with pytest.raises(DataError, match="is no NIfTI file of one part"):
        without_names(path)
    path.write_bytes(gzip.compress(bytes(5000))[:20])
    with pytest.raises(DataError, match="cannot be read as NIfTI: EOFError"):
        without_names(path)
    good = named(nib.Nifti1Image, tmp_path / "c.nii", np.zeros((2, 2, 2), np.int16))
    content = bytearray(good.read_bytes())
    content[108:112] = np.float32(1e6).tobytes()
    good.write_bytes(content)
    with pytest.raises(DataError, match="its voxels begin at byte 1000000"):
        without_names(good)


def test_colours_cannot_be_defaced(tmp_path):
    colours = np.zeros((2, 2, 2), dtype=[("R", "u1"), ("G", "u1"), ("B", "u1")])
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii")
    with pytest.raises(DataError, match="voxels of NIfTI type 128 cannot be defaced"):
        without_names(tmp_path / "rgb.nii", np.zeros((2, 2, 2), bool))
