"""Whatever file the commands are given, they end in a result or in a message that names the file."""

import gzip
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from PIL import Image
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import Error
from delineate.io import is_scan, read_geometry, read_label_values, read_volume, write_labels, write_volume
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

pytestmark = pytest.mark.slow

FOLDERS = ["odd_nibabel", "odd_niivue", "dicom_pydicom", "dicom_ct_tilt", "dicom_rtutils", "wsi"]
SCHEMA = LabelSchema.of("large ball", "small ball")


def said(*words):
    """Exit code and text of a command; anything but a result or one of our errors comes through."""
    result = CliRunner().invoke(app, ["-q", *map(str, words)])
    if isinstance(result.exception, Error):
        return 1, str(result.exception)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(words) from result.exception
    return result.exit_code, result.output


def checked(image, folder):
    """What `check` says of a dataset of one case with this image and a label map that fits if it can."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        grid = read_volume(image).geometry
    except Error:
        grid = Geometry((4, 4, 4), np.eye(4))
    values = np.zeros(grid.shape, np.uint8)
    values[:1] = 1
    write_labels(LabelMap(values, grid, SCHEMA), folder / "label.nii.gz")
    (folder / "labels.json").write_text(json.dumps({"background": 0, "large ball": 1, "small ball": 2}))
    (folder / "dataset.csv").write_text(f'case,image,label\nodd,"{image}",label.nii.gz\n')
    return said("check", folder)


def assert_clear(path, code, text):
    """A result, or a message that names the file."""
    assert code in (0, 1), (path, text)
    assert text.strip(), path
    assert code == 0 or path.name in text or path.parent.name in text, (path, text)


def units(folder):
    """Every file below a folder, and every folder that holds a DICOM series."""
    paths = sorted(folder.rglob("*"))
    return [path for path in paths if path.is_file() or is_scan(path)]


@pytest.mark.parametrize("name", FOLDERS)
def test_checking_any_odd_file_ends_in_words(shared_data, tmp_path, name):
    for number, path in enumerate(units(shared_data / name)):
        assert_clear(path, *checked(path, tmp_path / str(number)))


@pytest.mark.parametrize("name", FOLDERS)
def test_segmenting_any_odd_file_ends_in_labels_on_its_grid_or_in_words(
    shared_data, tmp_path, tiny_run, name
):
    for number, path in enumerate(units(shared_data / name)):
        out = tmp_path / f"{number}.nii.gz"
        code, text = said("segment", tiny_run / "model", path, "-o", out, "--step", 1, "--device", "cpu")
        assert_clear(path, code, text)
        assert out.exists() == (code == 0)
        if code == 0:
            assert read_label_values(out).geometry.same_place(read_geometry(path), tolerance_mm=1e-3), path


def test_a_series_of_a_tilted_scanner_is_refused_by_name(shared_data, tmp_path, tiny_run):
    folder = shared_data / "dicom_ct_tilt"
    code, text = said("segment", tiny_run / "model", folder, "-o", tmp_path / "out.nii.gz")
    assert (code, "dicom_ct_tilt" in text, "tilt" in text) == (1, True, True), text
    code, text = checked(folder, tmp_path / "data")
    assert (code, "dicom_ct_tilt" in text, "tilt" in text) == (1, True, True), text
    assert not (tmp_path / "out.nii.gz").exists()


def good_files(folder):
    """One good file of every kind."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    grid = Geometry((9, 8, 7), np.diag([1.0, 1, 2, 1]))
    values = rng.normal(100, 20, grid.shape).astype(np.float32)
    for suffix in (".nii", ".nii.gz", ".nrrd", ".mha"):
        write_volume(Volume(values[None], grid), folder / f"good{suffix}")
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values.astype(np.int16)), str(folder / "good.gipl"))
    for suffix in (".png", ".tif", ".bmp"):
        Image.fromarray(rng.integers(0, 255, (23, 19)).astype(np.uint8)).save(folder / f"good{suffix}")
    return sorted(folder.iterdir())


def test_a_good_file_cut_anywhere_ends_in_words(shared_data, tmp_path, tiny_run):
    rng = np.random.default_rng(1)
    folder = tmp_path / "files"
    files = good_files(folder)
    series = shared_data / "dicom_mr_hippocrop" / "Study1" / "13_HCropVolume"
    files.append(Path(shutil.copy(series / "1.dcm", folder)))
    for path in files:
        whole = path.read_bytes()
        code, text = checked(path, tmp_path / "whole")
        assert code == 0, text
        for length in (0, 1, *rng.integers(2, len(whole), 3).tolist(), len(whole) - 1):
            path.write_bytes(whole[:length])
            assert_clear(path, *checked(path, tmp_path / "cut"))
            out = tmp_path / "out.nii.gz"
            out.unlink(missing_ok=True)
            code, text = said("segment", tiny_run / "model", path, "-o", out, "--device", "cpu")
            assert_clear(path, code, text)
            assert out.exists() == (code == 0)


def test_a_folder_of_bad_files_gives_one_message_and_what_can_be_had(
    shared_data, tmp_path, tiny_run, terminal
):
    folder = tmp_path / "scans"
    source = shared_data / "odd_nibabel" / "tests" / "data"
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns("*.dcm"))
    done = terminal.run("segment", tiny_run / "model", folder, "-o", tmp_path / "out", "--device", "cpu")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    assert "resampled_anat_moved" in done.stderr  # holds NaN
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert "anatomical.nii.gz" in found
    assert len(done.stderr.splitlines()) < 60


def test_what_was_packed_by_hand_is_named_for_what_it_is(shared_data, tmp_path, tiny_run):
    packed = shared_data / "odd_nibabel" / "nicom" / "tests" / "data" / "siemens_dwi_0.dcm.gz"
    path = tmp_path / "dwi.nii.gz"
    path.write_bytes(packed.read_bytes())
    code, text = said("segment", tiny_run / "model", path, "-o", tmp_path / "out.nii.gz")
    assert (code, "dwi.nii.gz" in text) == (1, True), text
    (tmp_path / "dwi.nii").write_bytes(gzip.decompress(packed.read_bytes()))
    code, text = said("segment", tiny_run / "model", tmp_path / "dwi.nii", "-o", tmp_path / "out.nii.gz")
    assert (code, "DICOM" in text) == (1, True), text
