import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError


def test_listed_pairs_become_cases(small, tmp_path):
    dataset = Dataset.open(small.decathlon(tmp_path))
    assert (dataset.layout, dataset.name, dataset.channels) == ("decathlon", "Task", ("MRI",))
    assert dataset.ids == ("a", "b", "c")
    assert [(label.value, label.name) for label in dataset.schema.labels] == [
        (1, "Anterior"),
        (2, "Posterior"),
    ]
    assert dataset.problems == ()


def test_several_channels_lie_in_one_file(small, tmp_path):
    dataset = Dataset.open(small.decathlon(tmp_path, modality=("FLAIR", "T1w")))
    scan = dataset.scan(dataset.case("b"))
    assert scan.channels == ("FLAIR", "T1w")
    assert (scan.array == np.stack([small.voxels(100), small.voxels(101)])).all()


def test_test_images_are_unlabelled_and_hidden_files_are_nothing(small, tmp_path):
    small.decathlon(tmp_path, test=["./imagesTs/t.nii.gz", "./imagesTs/gone.nii.gz"])
    small.put(tmp_path / "imagesTs" / "t.nii.gz", small.voxels(9))
    (tmp_path / "imagesTr" / "._a.nii.gz").write_bytes(b"mac")
    (tmp_path / "labelsTr" / "._a.nii.gz").write_bytes(b"mac")
    dataset = Dataset.open(tmp_path)
    assert [case.id for case in dataset.unlabelled] == ["t"]
    assert dataset.problems == ()


def test_what_the_list_and_the_folder_do_not_share_is_a_problem(small, tmp_path):
    small.decathlon(tmp_path, names=("a", "b", "c", "d"))
    (tmp_path / "imagesTr" / "a.nii.gz").unlink()
    (tmp_path / "labelsTr" / "b.nii.gz").unlink()
    small.put(tmp_path / "imagesTr" / "alone.nii.gz", small.voxels(1))
    small.put_labels(tmp_path / "labelsTr" / "stray.nii.gz", small.blocks())
    small.put(tmp_path / "imagesTr" / "forgotten.nii.gz", small.voxels(2))
    small.put_labels(tmp_path / "labelsTr" / "forgotten.nii.gz", small.blocks())
    dataset = Dataset.open(tmp_path)
    assert dataset.ids == ("c", "d")
    assert {path.name for path in dataset.orphans} == {"stray.nii.gz", "a.nii.gz"}
    assert {(problem.kind, problem.case) for problem in dataset.problems} == {
        ("missing-file", "a"),
        ("missing-file", "b"),
        ("unlabelled-image", "alone"),
        ("not-used", "forgotten"),
        ("num-training", None),
    }


def test_a_case_that_is_listed_twice_counts_once(small, tmp_path):
    pair = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    dataset = Dataset.open(small.decathlon(tmp_path, names=("a",), training=[pair, pair]))
    assert dataset.ids == ("a",)
    assert [problem.kind for problem in dataset.problems] == ["duplicate-id"]


def test_a_listed_entry_that_names_no_image_is_refused(small, tmp_path):
    good = {"image": "imagesTr/a.nii.gz", "label": "labelsTr/a.nii.gz"}
    small.decathlon(tmp_path, names=("a",), training=[good, {"label": "labelsTr/a.nii.gz"}])
    with pytest.raises(DataError, match="an entry of training is"):
        Dataset.open(tmp_path)


def test_test_images_are_a_list(small, tmp_path):
    with pytest.raises(DataError, match=r"test is a list of images, got 'a\.nii\.gz'"):
        Dataset.open(small.decathlon(tmp_path, test="a.nii.gz"))


def test_the_real_hippocampus_opens_without_reading_voxels(shared_data):
    dataset = Dataset.open(shared_data / "hippocampus")
    assert (len(dataset.cases), dataset.channels, dataset.problems) == (220, ("MRI",), ())
    assert [label.name for label in dataset.schema.labels] == ["Anterior", "Posterior"]
