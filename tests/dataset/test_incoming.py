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


# -- a model that can do without a channel


FOUR = ("T1", "T1c", "T2", "FLAIR")


def put_all(small, folder, names):
    for name in names:
        small.put(folder / f"{name}.nii.gz", small.voxels(1))
    return [folder / f"{name}.nii.gz" for name in names]


def test_names_of_files_say_which_channel_is_missing(small, tmp_path):
    paths = put_all(small, tmp_path, ["x_flair", "x_t1"])
    (case,) = incoming(paths, FOUR, ("T1c", "T2"))
    assert case.images == (paths[1], None, None, paths[0])
    (one,) = incoming(paths[:1], FOUR, FOUR)
    assert one.images == (None, None, None, paths[0])


def test_numbers_of_files_say_which_channel_is_missing(small, tmp_path):
    paths = put_all(small, tmp_path, ["x_0000", "x_0003"])
    wanted = (paths[0], None, None, paths[1])
    (case,) = incoming(paths, FOUR, FOUR)
    assert (case.id, case.images) == ("x", wanted)
    (case,) = incoming([tmp_path], FOUR, FOUR)
    assert (case.id, case.images) == ("x", wanted)


def test_a_folder_without_an_optional_channel_is_one_case(small, tmp_path):
    put_all(small, tmp_path / "eva", ["t1", "t1ce", "t2"])
    (case,) = incoming([tmp_path / "eva"], FOUR, ("FLAIR",))
    assert (case.id, case.images[3]) == ("eva", None)
    assert [case.id for case in incoming([tmp_path], FOUR, ("FLAIR",))] == ["eva"]


def test_a_dataset_that_lacks_a_channel_throughout_is_known(small, tmp_path):
    small.brats(tmp_path, ("p1", "p2"))
    for path in tmp_path.rglob("*_flair.nii.gz"):
        path.unlink()
    cases = incoming([tmp_path], FOUR, ("FLAIR",))
    assert [(case.id, case.images[3]) for case in cases] == [("p1", None), ("p2", None)]
    assert all(len(case.images) == 3 for case in incoming([tmp_path], FOUR[:3], ()))


def test_what_the_model_cannot_do_without_is_refused(small, tmp_path):
    paths = put_all(small, tmp_path, ["x_flair", "x_t1"])
    with pytest.raises(DataError, match=r"got 2 files; it can do without T1c\. Name one file"):
        incoming(paths, FOUR, ("T1c",))
    nameless = put_all(small, tmp_path, ["a", "b"])
    with pytest.raises(DataError, match="file names say which ones are there"):
        incoming(nameless, FOUR, FOUR)
