"""Scans: datasets to learn from without labels."""

from dataclasses import replace

import numpy as np
import pytest

from delineate.dataset import Dataset, open_scans, without_labels
from delineate.dataset.foreground import FOREGROUND, foreground
from delineate.errors import DataError
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space import Volume
from delineate.space.phantoms import balls


@pytest.fixture
def labelled(tmp_path):
    """A dataset of two labelled cases and one without labels."""
    for number in range(3):
        scan, labels = balls(np.random.default_rng(number), size=12)
        part = "imagesTr" if number < 2 else "imagesTs"
        write_volume(scan, tmp_path / "data" / part / f"b{number}_0000.nii.gz")
        if number < 2:
            write_labels(labels, tmp_path / "data" / "labelsTr" / f"b{number}.nii.gz")
    write_json(
        tmp_path / "data" / "dataset.json",
        {
            "channel_names": {"0": "MR"},
            "labels": {"background": 0, "large ball": 1, "small ball": 2},
            "numTraining": 2,
            "file_ending": ".nii.gz",
        },
    )
    return tmp_path / "data"


def test_all_scans_of_a_dataset_are_used_and_none_of_its_labels(labelled):
    found = open_scans(labelled)
    assert set(found.ids) == {"b0", "b1", "b2"}
    assert found.is_blind
    assert found.schema == FOREGROUND
    assert not found.unlabelled
    assert all(case.labels is None for case in found.cases)
    assert found.channels == ("MR",)


def test_what_is_brighter_than_the_mean_stands_for_labels(labelled):
    found = open_scans(labelled)
    scan, labels = found.pair(found.case("b0"))
    assert np.array_equal(labels.array, scan.array[0] > scan.array.mean())
    two = Volume(np.concatenate([scan.array, -scan.array]), scan.geometry, ("a", "b"))
    either = (scan.array[0] > scan.array.mean()) | (scan.array[0] < scan.array.mean())
    assert np.array_equal(foreground(two).array.astype(bool), either)


def test_a_folder_of_scans_is_enough(tmp_path):
    for number in range(2):
        scan, _ = balls(np.random.default_rng(number), size=12)
        write_volume(scan, tmp_path / "scans" / f"s{number}.nii.gz")
    found = open_scans(tmp_path / "scans")
    assert (found.ids, found.channels, found.layout) == (("s0", "s1"), ("image",), "scans")
    assert open_scans(tmp_path / "scans", channels=("T1",)).channels == ("T1",)


def test_numbered_files_are_channels_of_one_scan(tmp_path):
    scan, _ = balls(np.random.default_rng(0), size=12)
    for number in range(2):
        write_volume(scan, tmp_path / "scans" / f"s_{number:04d}.nii.gz")
    assert open_scans(tmp_path / "scans").channels == ("image_0", "image_1")
    assert open_scans(tmp_path / "scans", channels=("T1", "T2")).channels == ("T1", "T2")
    write_volume(scan, tmp_path / "scans" / "t_0000.nii.gz")
    with pytest.raises(DataError, match="t has another number"):
        open_scans(tmp_path / "scans")


def test_channels_of_a_dataset_may_get_other_names_but_not_another_number(labelled):
    assert open_scans(labelled, channels=("T1",)).channels == ("T1",)
    with pytest.raises(DataError, match=r"its cases have 1 channels \(MR\), but 2 are named"):
        open_scans(labelled, channels=("T1", "T2"))


def test_what_is_no_folder_of_scans_is_refused(tmp_path):
    with pytest.raises(DataError, match="there is no such file or folder"):
        open_scans(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no scan"):
        open_scans(tmp_path / "empty")


def test_cases_that_lack_a_channel_are_left_out_and_counted(labelled):
    dataset = Dataset.open(labelled)
    lacking = replace(dataset.cases[0], images=(None,))
    found = without_labels(replace(dataset, cases=(lacking, *dataset.cases[1:])))
    assert set(found.ids) == {"b1", "b2"}
    assert "1 cases that lack a channel are left out" in found.notes
