import json

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError


def test_files_become_cases_with_their_channels_in_order(small, tmp_path):
    dataset = Dataset.open(small.nnunet(tmp_path / "Dataset001_Liver", file_ending=None))
    assert (dataset.layout, dataset.name) == ("nnunet", "Dataset001_Liver")
    assert dataset.ids == ("a", "b", "c")
    assert dataset.channels == ("T1", "FLAIR")
    assert [path.name for path in dataset.case("b").images] == ["b_0000.nii.gz", "b_0001.nii.gz"]
    assert [label.name for label in dataset.schema.labels] == ["liver", "tumour"]
    assert dataset.problems == ()


def test_the_description_itself_can_be_opened(small, tmp_path):
    small.nnunet(tmp_path)
    assert Dataset.open(tmp_path / "dataset.json").ids == ("a", "b", "c")


def test_regions_and_the_ignore_label_are_read(small, tmp_path):
    labels = {"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}
    dataset = Dataset.open(small.nnunet(tmp_path, labels=labels, regions_class_order=[1, 2]))
    assert dataset.schema.outputs == ("whole", "core")
    assert dataset.schema.ignore == 3
    labels = dataset.labels(dataset.case("a"))
    assert labels.mask("whole").sum() == 2 * labels.mask("core").sum() > 0


def test_a_missing_channel_is_declared_missing_and_never_filled(small, tmp_path):
    small.nnunet(tmp_path)
    (tmp_path / "imagesTr" / "b_0001.nii.gz").unlink()
    dataset = Dataset.open(tmp_path)
    assert dataset.case("b").images[1] is None
    with pytest.raises(DataError, match="b: FLAIR is missing; the channels are T1, FLAIR"):
        dataset.scan(dataset.case("b"))


def test_one_file_may_hold_all_channels(small, tmp_path):
    small.nnunet(tmp_path, channels=("red", "green"))
    for name in "abc":
        (tmp_path / "imagesTr" / f"{name}_0001.nii.gz").unlink()
        small.put(tmp_path / "imagesTr" / f"{name}_0000.nii.gz", np.stack([small.voxels(1), small.voxels(2)]))
    dataset = Dataset.open(tmp_path)
    scan = dataset.scan(dataset.case("a"))
    assert scan.channels == ("red", "green")
    assert (scan.array[1] == small.voxels(2)).all()


def test_images_to_be_segmented_are_unlabelled_cases(small, tmp_path):
    small.nnunet(tmp_path)
    for n in range(2):
        small.put(tmp_path / "imagesTs" / f"new_{n:04d}.nii.gz", small.voxels(n))
    dataset = Dataset.open(tmp_path)
    assert [case.id for case in dataset.unlabelled] == ["new"]
    assert dataset.problems == ()


def test_what_does_not_fit_is_collected_while_opening(small, tmp_path):
    small.nnunet(tmp_path, numTraining=7)
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    small.put_labels(tmp_path / "labelsTr" / "stray.nii.gz", small.blocks())
    small.put(tmp_path / "imagesTr" / "b_0002.nii.gz", small.voxels(5))
    small.put(tmp_path / "imagesTr" / "unnumbered.nii.gz", small.voxels(5))
    small.put(tmp_path / "imagesTr" / "c_0000.nii", small.voxels(5))
    dataset = Dataset.open(tmp_path)
    assert {problem.kind for problem in dataset.problems} == {
        "channel-count",
        "not-used",
        "num-training",
        "unlabelled-image",
    }
    assert dataset.ids == ("b", "c")
    assert [path.name for path in dataset.orphans] == ["stray.nii.gz"]


def test_the_list_of_files_in_the_description_is_followed(small, tmp_path):
    small.nnunet(tmp_path / "data", names=("x", "y"))
    listed = {
        "first": {
            "images": ["data/imagesTr/x_0000.nii.gz", str(tmp_path / "data/imagesTr/x_0001.nii.gz")],
            "label": "data/labelsTr/x.nii.gz",
        },
        "second": {
            "images": ["data/imagesTr/y_0000.nii.gz", "data/imagesTr/y_0001.nii.gz"],
            "label": "data/labelsTr/gone.nii.gz",
        },
    }
    content = json.loads((tmp_path / "data" / "dataset.json").read_text()) | {
        "dataset": listed,
        "numTraining": 1,
    }
    small.put_json(tmp_path / "dataset.json", content)
    dataset = Dataset.open(tmp_path)
    assert dataset.ids == ("first",)
    assert [(problem.kind, problem.case) for problem in dataset.problems] == [("missing-file", "second")]
    assert dataset.scan(dataset.case("first")).array.shape == (2, 8, 7, 6)


def test_a_list_that_climbs_out_of_the_folder_is_refused(small, tmp_path):
    small.nnunet(tmp_path / "a")
    listed = {"x": {"images": ["../a/imagesTr/a_0000.nii.gz"], "label": "l.nii.gz"}}
    small.put_json(tmp_path / "b" / "dataset.json", {"channel_names": {"0": "T1"}, "dataset": listed})
    with pytest.raises(DataError, match="leads out of"):
        Dataset.open(tmp_path / "b")


def test_a_list_of_files_goes_by_case(small, tmp_path):
    small.put_json(tmp_path / "dataset.json", {"channel_names": {"0": "T1"}, "dataset": ["a.nii"]})
    with pytest.raises(DataError, match="dataset lists the files of each case by its id"):
        Dataset.open(tmp_path)


def test_an_entry_without_images_is_refused(small, tmp_path):
    content = {"channel_names": {"0": "T1"}, "labels": {"a": 1}, "dataset": {"x": {"label": "l.nii"}}}
    small.put_json(tmp_path / "dataset.json", content)
    with pytest.raises(DataError, match=r"an entry of dataset is .* got x"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize("names", [None, {}, {"1": "T1"}, {"0": "T1", "2": "T2"}, ["T1"], {"a": "T1"}])
def test_channels_that_are_not_numbered_from_zero_are_refused(small, tmp_path, names):
    small.nnunet(tmp_path, channel_names=names)
    with pytest.raises(DataError, match="channel_names numbers the channels from 0"):
        Dataset.open(tmp_path)


def test_ten_channels_are_in_the_order_of_numbers_not_of_text(small, tmp_path):
    names = {str(n): f"channel {n}" for n in range(11)}
    small.nnunet(tmp_path, names=("a",), channels=tuple(names.values()))
    dataset = Dataset.open(tmp_path)
    assert dataset.channels[2] == "channel 2"
    assert dataset.case("a").images[10].name == "a_0010.nii.gz"


def test_a_description_without_labels_is_refused(small, tmp_path):
    small.nnunet(tmp_path, labels=None)
    content = json.loads((tmp_path / "dataset.json").read_text())
    del content["labels"]
    small.put_json(tmp_path / "dataset.json", content)
    with pytest.raises(DataError, match="labels is missing"):
        Dataset.open(tmp_path)


def test_two_values_of_one_name_are_refused(small, tmp_path):
    small.nnunet(tmp_path, labels={"0": "background", "1": "tumour", "2": "tumour"})
    with pytest.raises(DataError, match="two values have one name"):
        Dataset.open(tmp_path)


def test_a_folder_without_images_is_refused(small, tmp_path):
    small.nnunet(tmp_path, names=())
    (tmp_path / "imagesTr").mkdir()
    with pytest.raises(DataError, match=r"holds no images. Expected imagesTr/CASE_0000.nii.gz"):
        Dataset.open(tmp_path)


def test_the_older_format_with_numbered_files_is_no_decathlon(small, tmp_path):
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in "abc"]
    labels = {"0": "background", "1": "liver", "2": "tumour"}
    small.nnunet(
        tmp_path, channel_names=None, modality={"0": "T1", "1": "FLAIR"}, training=training, labels=labels
    )
    dataset = Dataset.open(tmp_path)
    assert (dataset.layout, dataset.channels) == ("nnunet", ("T1", "FLAIR"))
    assert [label.name for label in dataset.schema.labels] == ["liver", "tumour"]
