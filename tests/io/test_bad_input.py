"""Story: whatever file it is given, reading ends in a volume or in an error of ours that names it."""

import gzip

import nibabel as nib
import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from delineate.errors import Error
from delineate.io import is_scan, read_geometry, read_label_values, read_volume
from delineate.space import Geometry, Volume

FOLDERS = [
    "odd_nibabel", "odd_niivue", "dicom_pydicom", "dicom_ct_tilt", "dicom_rtutils", "dicom_highdicom",
    "dicom_dcmqi", "wsi", "pyradiomics_nrrd", "ibsi_digital_phantoms",
]  # fmt: skip
SHAPE = (6, 5, 4)


def outcome(read, path):
    """What reading gave: a volume, a grid, label values, or the error, which names the file and a way out."""
    try:
        return read(path)
    except Error as error:
        assert str(path) in str(error)
        assert "\n  " in str(error) or "pip install" in str(error)
        return None


@pytest.mark.parametrize("name", FOLDERS)
def test_every_odd_file_and_folder_ends_in_a_volume_or_a_clear_error(shared_data, name):
    paths = sorted((shared_data / name).rglob("*"))
    if name == "ibsi_digital_phantoms":
        paths = [path for path in paths if path.suffix != ".dcm"]
    assert paths
    for path in paths:
        volume, grid = outcome(read_volume, path), outcome(read_geometry, path)
        if not name.startswith("dicom"):  # those would be decoded the same way again
            outcome(read_label_values, path)
        if volume is not None:
            assert np.isfinite(volume.geometry.affine).all()
            assert grid.same_place(volume.geometry, tolerance_mm=0), path
            assert is_scan(path) or path.is_dir()


def series(folder, dicom):
    grid = Geometry(SHAPE, np.diag([-1.0, -1, 2, 1]))
    return dicom.save_series(folder, noise(), grid)


def noise(kind=np.int16):
    return np.random.default_rng(0).integers(0, 200, SHAPE).astype(kind)


def good_files(folder, dicom):
    """One good file of every format."""
    nib.save(nib.Nifti1Image(noise(), np.diag([1, 2, 3, 1])), folder / "a.nii")
    nib.save(nib.Nifti2Image(noise(), np.diag([1, 2, 3, 1])), folder / "b.nii.gz")
    image = SimpleITK.GetImageFromArray(noise().T.copy())
    for name, packed in (
        ("a.nrrd", False),
        ("b.nrrd", True),
        ("a.mha", False),
        ("b.mha", True),
        ("a.gipl", False),
    ):
        SimpleITK.WriteImage(image, str(folder / name), useCompression=packed)
    colour = np.random.default_rng(0).integers(0, 255, (19, 23, 3)).astype(np.uint8)
    for name in ("a.png", "a.bmp", "a.jpg"):
        Image.fromarray(colour).save(folder / name)
    tifffile.imwrite(folder / "a.tif", noise().T.copy(), photometric="minisblack", compression="zlib")
    tifffile.imwrite(folder / "b.tif", colour, photometric="rgb")
    tifffile.imwrite(folder / "c.tif", noise().T.copy(), photometric="minisblack")
    tifffile.imwrite(
        folder / "d.tif", noise().T.copy(), ome=True, bigtiff=True, byteorder=">", compression="zlib"
    )
    dicom.save(dicom.slice_at(noise()[..., 0].T.copy(), (0, 0, 0)), folder / "a.dcm")
    positions = [(0, 0, 3 * n) for n in range(SHAPE[2])]
    dicom.save(dicom.enhanced(noise().T.copy(), positions), folder / "b.dcm")
    return sorted(folder.iterdir())


def same(volume, good):
    return (
        volume.array.shape == good.array.shape
        and np.array_equal(volume.array, good.array)
        and volume.geometry.same_place(good.geometry, tolerance_mm=0)
    )


def test_good_files_cut_at_any_length_are_refused_or_read_whole(tmp_path, dicom):
    rng = np.random.default_rng(0)
    for path in good_files(tmp_path, dicom):
        content, good = path.read_bytes(), read_volume(path)
        lengths = {*rng.integers(0, len(content), 12).tolist(), len(content) - 1, len(content) - 2}
        for length in sorted(lengths):
            path.write_bytes(content[:length])
            volume = outcome(read_volume, path)
            assert volume is None or same(volume, good), (path.name, length)
            outcome(read_geometry, path)
            outcome(read_label_values, path)


def test_headers_with_bytes_changed_at_random_never_crash(tmp_path, dicom):
    rng = np.random.default_rng(0)
    for path in good_files(tmp_path, dicom):
        content = path.read_bytes()
        for _ in range(15):
            changed = bytearray(content)
            for place in rng.integers(0, min(len(content), 600), rng.integers(1, 4)):
                changed[place] = rng.integers(256)
            path.write_bytes(bytes(changed))
            volume = outcome(read_volume, path)
            assert volume is None or isinstance(volume, Volume)


def test_one_bad_slice_refuses_the_series_and_is_named(tmp_path, dicom):
    folder = series(tmp_path, dicom)
    victim = folder / "002.dcm"
    content = victim.read_bytes()
    for length in (200, 500, len(content) - 10):
        victim.write_bytes(content[:length])
        with pytest.raises(Error, match=r"002\.dcm"):
            read_volume(folder)


def test_mosaics_and_compressed_dicom_of_nibabel_are_refused_even_unpacked(shared_data, tmp_path):
    folder = shared_data / "odd_nibabel" / "nicom" / "tests" / "data"
    for name, message in (("siemens_dwi_1000", "is a mosaic"), ("philips_mprage", "")):
        with pytest.raises(Error, match="is compressed DICOM"):
            read_volume(folder / f"{name}.dcm.gz")
        path = tmp_path / f"{name}.dcm"
        path.write_bytes(gzip.decompress((folder / f"{name}.dcm.gz").read_bytes()))
        if message:
            with pytest.raises(Error, match=message):
                read_volume(path)
        else:
            assert read_volume(path).array.size > 0
