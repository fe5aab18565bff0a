import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError


@pytest.mark.parametrize(("endings", "enhancing"), [("OLD", 4), ("NEW", 3)])
def test_both_ways_of_naming_sequences_are_known(small, tmp_path, endings, enhancing):
    small.brats(tmp_path, endings=getattr(small, endings), enhancing=enhancing)
    dataset = Dataset.open(tmp_path)
    assert (dataset.layout, dataset.channels) == ("brats", ("T1", "T1c", "T2", "FLAIR"))
    case = dataset.case("BraTS20_001")
    assert (dataset.scan(case).array[1] == small.voxels(1)).all()
    labels = dataset.labels(case)
    assert labels.mask("enhancing tumour").sum() == 18
    assert labels.mask("tumour core").sum() == 36
    assert labels.mask("whole tumour").sum() == 54


def test_the_order_of_files_never_changes_the_channels(small, tmp_path):
    small.brats(tmp_path / "a", endings=("_t2", "_flair", "_t1", "_t1gd", "_seg"))
    dataset = Dataset.open(tmp_path / "a")
    scan = dataset.scan(dataset.cases[0])
    assert [int((scan.array[n] == small.voxels(v)).all()) for n, v in enumerate((2, 3, 0, 1))] == [1, 1, 1, 1]


def test_visits_of_one_patient_are_one_patient(small, tmp_path):
    names = ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000")
    dataset = Dataset.open(small.brats(tmp_path, names=names, endings=small.NEW, enhancing=3))
    assert [case.group for case in dataset.cases] == ["BraTS-GLI-00005", "BraTS-GLI-00005", "BraTS-GLI-00006"]
    assert dataset.notes == ("patients were taken from the case names",)


def test_cases_may_lie_one_folder_deeper(small, tmp_path):
    small.brats(tmp_path / "HGG", names=("x", "y"))
    small.brats(tmp_path / "LGG", names=("z", "y"))
    dataset = Dataset.open(tmp_path)
    assert dataset.ids == ("x", "y", "z")
    assert [(problem.kind, problem.case) for problem in dataset.problems] == [("duplicate-id", "y")]


def test_a_missing_sequence_is_none_and_a_case_without_labels_is_unlabelled(small, tmp_path):
    small.brats(tmp_path)
    (tmp_path / "BraTS20_001" / "BraTS20_001_flair.nii.gz").unlink()
    (tmp_path / "BraTS20_002" / "BraTS20_002_seg.nii.gz").unlink()
    dataset = Dataset.open(tmp_path)
    assert dataset.missing(dataset.case("BraTS20_001")) == ("FLAIR",)
    assert [case.id for case in dataset.unlabelled] == ["BraTS20_002"]


def test_three_and_four_together_must_be_explained(small, tmp_path):
    small.brats(tmp_path, names=("a",))
    small.put_labels(tmp_path / "a" / "a_seg.nii.gz", small.blocks((1, 2, 3, 4)))
    with pytest.raises(DataError, match="holds both 3 and 4"):
        Dataset.open(tmp_path)
    table = {"background": 0, "necrosis": 1, "oedema": 2, "enhancing": 3, "cavity": 4}
    small.put_json(tmp_path / "labels.json", table)
    assert len(Dataset.open(tmp_path).schema.labels) == 4


def test_labels_without_enhancing_tumour_leave_the_value_open(small, tmp_path):
    small.brats(tmp_path, names=("a",))
    small.put_labels(tmp_path / "a" / "a_seg.nii.gz", small.blocks((1, 2)))
    assert Dataset.open(tmp_path).values is None


def test_labels_that_cannot_be_read_do_not_keep_the_dataset_from_opening(small, tmp_path):
    small.brats(tmp_path)
    (tmp_path / "BraTS20_001" / "BraTS20_001_seg.nii.gz").write_bytes(b"x")
    assert dict(Dataset.open(tmp_path).values) == {0: 0, 1: 1, 2: 2, 4: 3}


def test_a_folder_of_many_cases_is_no_case(small, tmp_path):
    for name in ("a", "b"):
        small.put(tmp_path / "images" / f"{name}_t1.nii.gz", small.voxels(1))
    with pytest.raises(DataError, match="not in a layout that is known"):
        Dataset.open(tmp_path)
