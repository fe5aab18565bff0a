import shutil

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.io import read_label_values, read_volume
from delineate.pipeline import SegmentWishes, Unwatched, segment
from delineate.pipeline.scans import probabilities_file


def test_a_scan_a_folder_and_a_dataset_give_the_same_labels(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_02_0000.nii.gz"
    model, how, watch = finished / "model", SegmentWishes(), Unwatched()
    (one,) = segment(model, [scan], tmp_path / "one.nii.gz", how, watch)
    folder = tmp_path / "loose"
    folder.mkdir()
    shutil.copy(scan, folder / "patient.nii.gz")
    (two,) = segment(model, [folder], tmp_path / "out", how, watch)
    many = segment(model, [balls_folder], tmp_path / "many", how, watch)
    assert two == tmp_path / "out" / "patient.nii.gz"
    assert len(many) == 10
    first = read_label_values(one)
    assert np.array_equal(first.array, read_label_values(two).array)
    assert np.array_equal(first.array, read_label_values(tmp_path / "many" / "ball_02.nii.gz").array)
    assert first.geometry.same_place(read_volume(scan).geometry)


def test_a_model_gives_what_cross_validation_measured(tmp_path, finished, balls_folder):
    """With one fold trained, the packed model is that fold's network: same scan, same labels."""
    kept = next((finished / "folds" / "3d_fullres" / "fold_0" / "predictions").glob("*.nii.gz"))
    name = kept.name.removesuffix(".nii.gz")
    scan = balls_folder / "imagesTr" / f"{name}_0000.nii.gz"
    out = tmp_path / "out.nii.gz"
    segment(finished / "model", [scan], out, SegmentWishes(cleanup=False), Unwatched())
    assert np.array_equal(read_label_values(out).array, read_label_values(kept).array)


def test_probabilities_add_up_to_one_and_agree_with_the_labels(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_01_0000.nii.gz"
    how = SegmentWishes(probabilities=True, cleanup=False)
    (labels,) = segment(finished / "model", [scan], tmp_path / "labels.nii.gz", how, Unwatched())
    found = read_volume(probabilities_file(labels))
    assert np.allclose(found.array.sum(axis=0), 1, atol=1e-4)
    assert np.array_equal(found.array.argmax(axis=0), read_label_values(labels).array)


def test_a_bad_scan_does_not_stop_the_others(tmp_path, finished, balls_folder):
    folder = tmp_path / "scans"
    folder.mkdir()
    shutil.copy(balls_folder / "imagesTr" / "ball_01_0000.nii.gz", folder / "good.nii.gz")
    (folder / "bad.nii.gz").write_bytes(b"not a scan")
    with pytest.raises(DataError, match=r"(?s)1 of 2 cases could not be segmented.*bad"):
        segment(finished / "model", [folder], tmp_path / "out", SegmentWishes(), Unwatched())
    assert (tmp_path / "out" / "good.nii.gz").is_file()


def test_one_output_file_does_not_take_two_cases(tmp_path, finished, balls_folder):
    with pytest.raises(DataError, match="is one file, but there are 10 cases"):
        segment(finished / "model", [balls_folder], tmp_path / "x.nii.gz", SegmentWishes(), Unwatched())


def test_two_scans_of_one_name_would_overwrite_each_other(tmp_path, finished, balls_folder):
    for part in ("a", "b"):
        (tmp_path / part).mkdir()
        shutil.copy(balls_folder / "imagesTr" / "ball_01_0000.nii.gz", tmp_path / part / "scan.nii.gz")
    scans = [tmp_path / part / "scan.nii.gz" for part in ("a", "b")]
    with pytest.raises(DataError, match="several scans are called scan"):
        segment(finished / "model", scans, tmp_path / "out", SegmentWishes(), Unwatched())


def test_neither_scans_nor_their_labels_are_overwritten(tmp_path, finished, balls_folder):
    data = tmp_path / "data"
    shutil.copytree(balls_folder, data)
    before = {path: path.read_bytes() for path in data.rglob("*.nii.gz")}
    scan = data / "imagesTr" / "ball_01_0000.nii.gz"
    (data / "loose").mkdir()
    shutil.copy(scan, data / "loose" / "patient.nii.gz")
    for scans, out in (
        ([scan], scan),
        ([data], data / "labelsTr"),
        ([data / "loose"], data / "imagesTr" / ".." / "loose"),
    ):
        with pytest.raises(DataError, match="would be overwritten by the prediction"):
            segment(finished / "model", scans, out, SegmentWishes(), Unwatched())
    assert {path: path.read_bytes() for path in before} == before


def test_a_kind_of_file_that_is_not_written_is_refused_before_the_work(tmp_path, finished, balls_folder):
    scan = balls_folder / "imagesTr" / "ball_01_0000.nii.gz"
    with pytest.raises(DataError, match=r"o\.dcm: labels are written as .*, not as \.dcm"):
        segment(finished / "model", [scan], tmp_path / "o.dcm", SegmentWishes(), Unwatched())
