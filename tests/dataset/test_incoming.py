from pathlib import Path

import numpy as np
import pytest

from delineate.dataset.incoming import incoming
from delineate.errors import DataError
from delineate.io import write_labels, write_volume
from delineate.space.phantoms import balls

TWO = ("T1", "FLAIR")


def files(folder: Path, *names: str) -> list[Path]:
    """Tiny scans with these names."""
    scan, _ = balls(np.random.default_rng(0), size=6)
    for name in names:
        write_volume(scan, folder / name)
    return [folder / name for name in names]


def names_of(cases):
    return {case.id: tuple(path.name for path in case.images) for case in cases}


def test_a_file_is_a_case_for_a_model_of_one_channel(tmp_path):
    paths = files(tmp_path, "a.nii.gz", "b.nii.gz")
    assert names_of(incoming(paths, ("CT",))) == {"a": ("a.nii.gz",), "b": ("b.nii.gz",)}


def test_several_files_are_the_channels_of_one_case(tmp_path):
    paths = files(tmp_path, "x_0000.nii.gz", "x_0001.nii.gz")
    assert names_of(incoming(paths, TWO)) == {"x": ("x_0000.nii.gz", "x_0001.nii.gz")}


def test_too_few_files_for_the_channels_are_refused(tmp_path):
    paths = files(tmp_path, "a.nii.gz", "b.nii.gz", "c.nii.gz")
    with pytest.raises(DataError, match=r"the model reads 2 channels \(T1, FLAIR\), got 3 files"):
        incoming(paths, TWO)


def test_files_in_another_order_than_the_channels_are_refused(tmp_path):
    paths = files(tmp_path, "a_flair.nii.gz", "a_t1.nii.gz")
    with pytest.raises(DataError, match="stands where the model reads T1, but its name says FLAIR"):
        incoming(paths, TWO)


def test_what_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"no such file or folder: .*nothing\.nii"):
        incoming([tmp_path / "nothing.nii"], TWO)


def test_a_folder_without_scans_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"holds no scan\. Expected scan files, case folders or a DICOM"):
        incoming([tmp_path], TWO)


def test_a_file_that_is_no_scan_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(DataError, match=r"notes\.txt: is no scan that can be read"):
        incoming([tmp_path / "notes.txt"], TWO)


def test_numbered_files_of_a_folder_are_channels(tmp_path):
    files(tmp_path, "x_0000.nii.gz", "x_0001.nii.gz", "y_0000.nii.gz", "y_0001.nii.gz")
    assert names_of(incoming([tmp_path], TWO)) == {
        "x": ("x_0000.nii.gz", "x_0001.nii.gz"),
        "y": ("y_0000.nii.gz", "y_0001.nii.gz"),
    }


def test_a_folder_whose_files_name_the_channels_is_a_case_and_its_labels_are_left_aside(tmp_path):
    folder = tmp_path / "eva"
    files(folder, "eva_flair.nii.gz", "eva_t1.nii.gz")
    write_labels(balls(np.random.default_rng(0), size=6)[1], folder / "eva_seg.nii.gz")
    wanted = {"eva": ("eva_t1.nii.gz", "eva_flair.nii.gz")}
    assert names_of(incoming([folder], TWO)) == wanted


def test_a_folder_of_case_folders_is_a_case_each(tmp_path):
    for name in ("eva", "finn"):
        files(tmp_path / name, "T1.nii.gz", "FLAIR.nii.gz")
    both = ("T1.nii.gz", "FLAIR.nii.gz")
    assert names_of(incoming([tmp_path], TWO)) == {"eva": both, "finn": both}


def test_scans_of_two_people_in_one_folder_are_not_taken_for_one(tmp_path):
    files(tmp_path / "both", "eva_t1.nii.gz", "eva_flair.nii.gz", "finn_t1.nii.gz", "finn_flair.nii.gz")
    with pytest.raises(DataError, match="which file is which channel"):
        incoming([tmp_path], TWO)


def test_channels_that_no_name_tells_apart_are_refused(tmp_path):
    files(tmp_path / "eva", "one.nii.gz", "two.nii.gz")
    with pytest.raises(DataError, match=r"which file is which channel\? The model reads T1, FLAIR"):
        incoming([tmp_path], TWO)
