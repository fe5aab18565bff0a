import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.space import Geometry


def test_channels_come_in_the_order_of_the_dataset(small, tmp_path):
    dataset = Dataset.open(small.nnunet(tmp_path))
    scan = dataset.scan(dataset.case("b"))
    assert scan.channels == ("T1", "FLAIR")
    assert (scan.array == np.stack([small.voxels(100), small.voxels(101)])).all()
    assert scan.source.files == tuple(str(path) for path in dataset.case("b").images)


def test_channels_on_different_grids_are_refused_and_say_where(small, tmp_path):
    small.nnunet(tmp_path)
    small.put(tmp_path / "imagesTr" / "b_0001.nii.gz", small.voxels(1, (8, 7, 5)))
    dataset = Dataset.open(tmp_path)
    with pytest.raises(
        DataError, match="b: channels are on different grids: 8 x 7 x 6 and 8 x 7 x 5 voxels"
    ) as e:
        dataset.scan(dataset.case("b"))
    assert "b_0000.nii.gz" in str(e.value)
    assert "b_0001.nii.gz" in str(e.value)


def test_channels_that_lie_beside_each_other_are_refused(small, tmp_path):
    small.nnunet(tmp_path)
    small.put(tmp_path / "imagesTr" / "b_0001.nii.gz", small.voxels(1), small.grid(origin=(0, 0, 4.0)))
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match="the same 8 x 7 x 6 voxels, but up to 4 mm apart"):
        dataset.scan(dataset.case("b"))


@pytest.mark.parametrize("count", [1, 3])
def test_a_wrong_number_of_channels_is_refused(small, tmp_path, count):
    small.decathlon(tmp_path, modality=("FLAIR", "T1w"))
    images = np.stack([small.voxels(n) for n in range(count)])
    small.put(tmp_path / "imagesTr" / "a.nii.gz", images)
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match=rf"a: expected 2 channels \(FLAIR, T1w\), got {count}"):
        dataset.scan(dataset.case("a"))


def test_unknown_label_values_are_named_with_their_count_and_file(small, tmp_path):
    small.nnunet(tmp_path)
    small.put_labels(tmp_path / "labelsTr" / "a.nii.gz", small.blocks((1, 2, 7)))
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match=r"nobody explained: 7 \(18 voxels\)") as raised:
        dataset.labels(dataset.case("a"))
    assert "labelsTr/a.nii.gz" in str(raised.value)
    assert "known   0, 1, 2" in str(raised.value)


def test_of_many_unknown_values_the_first_are_named(small, tmp_path):
    small.nnunet(tmp_path, labels={"background": 0, "a": 1})
    labels = np.zeros(small.SHAPE, np.uint8)
    labels.flat[:30] = np.arange(30)
    small.put_labels(tmp_path / "labelsTr" / "a.nii.gz", labels)
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match="and 18 more"):
        dataset.labels(dataset.case("a"))


def test_whole_numbers_stored_as_reals_are_labels(small, tmp_path):
    small.nnunet(tmp_path)
    small.put(tmp_path / "labelsTr" / "a.nii.gz", small.blocks().astype(np.float32))
    dataset = Dataset.open(tmp_path)
    labels = dataset.labels(dataset.case("a"))
    assert (labels.array == small.blocks()).all()
    assert "labels were stored as float32" in labels.notes


def test_a_case_without_labels_has_none_to_give(small, tmp_path):
    small.nnunet(tmp_path)
    (tmp_path / "labelsTr" / "a.nii.gz").unlink()
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match="a: has no labels; it is a case to be segmented"):
        dataset.labels(dataset.case("a"))


def test_a_pair_lies_on_one_grid_or_is_refused(small, tmp_path):
    small.nnunet(tmp_path)
    small.put_labels(tmp_path / "labelsTr" / "b.nii.gz", small.blocks(), small.grid(spacing=(1, 1, 3)))
    dataset = Dataset.open(tmp_path)
    scan, labels = dataset.pair(dataset.case("a"))
    assert labels.geometry.same_place(scan.geometry)
    with pytest.raises(
        DataError, match="b: labels and image are on different grids: voxels of 1 x 1 x 2 and"
    ) as e:
        dataset.pair(dataset.case("b"))
    assert "labelsTr/b.nii.gz" in str(e.value)


def test_grey_values_stored_as_colours_are_grey_values(small, tmp_path):
    table = {"background": 0, "cytoplasm": 128, "nucleus": 255}
    small.pictures(tmp_path, table=table)
    grey = small.blocks((128, 255), (20, 16, 1))
    small.put(tmp_path / "labels" / "p1.png", np.stack([grey] * 3), Geometry.of_image((20, 16)))
    dataset = Dataset.open(tmp_path)
    assert (dataset.labels(dataset.case("p1")).array == small.blocks((1, 2), (20, 16, 1))).all()


def test_grey_files_answer_to_a_table_of_grey_colours(small, tmp_path):
    small.pictures(tmp_path, table={"background": "#000000", "cytoplasm": "#808080", "nucleus": "#ffffff"})
    dataset = Dataset.open(tmp_path)
    assert (dataset.labels(dataset.case("p1")).array == small.blocks((1, 2), (20, 16, 1))).all()


def test_colours_do_not_answer_to_a_table_of_numbers(small, tmp_path):
    small.pictures(tmp_path, table={"background": 0, "nucleus": 255})
    red = np.zeros((3, 20, 16, 1), np.uint8)
    red[0, 2:5] = 255
    small.put(tmp_path / "labels" / "p1.png", red, Geometry.of_image((20, 16)))
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match="the labels are a colour picture, but numbers are listed"):
        dataset.labels(dataset.case("p1"))


def test_unknown_colours_are_named_as_colours(small, tmp_path):
    small.pictures(tmp_path, table={"background": "#000000", "nucleus": "#ffffff"})
    dataset = Dataset.open(tmp_path)
    with pytest.raises(DataError, match=r"#808080 \(3 voxels\)(.|\n)*known   #000000, #ffffff"):
        dataset.labels(dataset.case("p1"))


def test_a_subset_keeps_the_order_and_the_problems_of_its_cases(small, tmp_path):
    small.nnunet(tmp_path, names=("a", "b", "c", "d"), numTraining=99)
    (tmp_path / "labelsTr" / "d.nii.gz").unlink()
    dataset = Dataset.open(tmp_path)
    part = dataset.subset(["c", "a", "d"])
    assert part.ids == ("a", "c")
    assert [case.id for case in part.unlabelled] == ["d"]
    assert [problem.kind for problem in part.problems] == ["unlabelled-image"]
    assert dataset.subset(["a"]).problems == ()


def test_an_unknown_case_is_refused(small, tmp_path):
    dataset = Dataset.open(small.nnunet(tmp_path))
    with pytest.raises(DataError, match=r"there is no case 'z'\. There are a, b, c"):
        dataset.case("z")
    with pytest.raises(DataError, match="there is no case 'z'"):
        dataset.subset(["z"])


def numbered(small, root, table):
    small.pictures(root, names=("p1", "p2"), values=(3, 200), table=table)
    return Dataset.open(root)


def test_objects_are_numbered_in_the_order_of_their_values(small, tmp_path):
    dataset = numbered(small, tmp_path, {"background": 0, "cell": "instances"})
    ids, labels = dataset.objects(dataset.case("p1")), dataset.labels(dataset.case("p1"))
    assert dataset.numbers_objects
    assert sorted(set(ids.ravel())) == [0, 1, 2]
    assert ((ids > 0) == labels.mask("cell")).all()


def test_objects_that_leave_no_background_are_all_objects(small, tmp_path):
    small.pictures(tmp_path, names=("p1", "p2"), table={"background": 0, "cell": "instances"})
    small.put_labels(
        tmp_path / "labels" / "p1.png", np.full((20, 16, 1), 9, np.uint8), Geometry.of_image((20, 16))
    )
    dataset = Dataset.open(tmp_path)
    assert set(dataset.objects(dataset.case("p1")).ravel()) == {1}


def test_labels_that_name_structures_number_no_objects(small, tmp_path):
    dataset = numbered(small, tmp_path, {"background": 0, "cell": "nonzero"})
    assert not dataset.numbers_objects
    with pytest.raises(DataError, match=r"p1: its labels do not number objects.*instances"):
        dataset.objects(dataset.case("p1"))
