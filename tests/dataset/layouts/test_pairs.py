import json

import numpy as np
import pytest

from delineate.dataset import Dataset, check
from delineate.errors import DataError
from delineate.space import Geometry

TABLE = {"background": 0, "cytoplasm": 128, "nucleus": 255}


def test_pictures_of_one_name_are_a_case(small, tmp_path):
    dataset = Dataset.open(small.pictures(tmp_path, table=TABLE))
    assert (dataset.layout, dataset.channels, dataset.ids) == (
        "pairs",
        ("red", "green", "blue"),
        ("p1", "p2", "p3"),
    )
    labels = dataset.labels(dataset.case("p1"))
    assert np.unique(labels.array).tolist() == [0, 1, 2]
    assert labels.array.shape == (20, 16, 1)


@pytest.mark.parametrize(
    ("images", "labels"), [("images", "masks"), ("img", "annotations"), ("scans", "label")]
)
def test_the_usual_names_of_folders_are_known(small, tmp_path, images, labels):
    small.pictures(tmp_path, table=TABLE, images=images, labels=labels)
    assert len(Dataset.open(tmp_path).cases) == 3


def test_values_that_nobody_explains_are_listed_with_the_file_to_write(small, tmp_path):
    small.pictures(tmp_path)
    with pytest.raises(DataError, match=r"0, 128, 255 \(in the first 3 files\)") as raised:
        Dataset.open(tmp_path)
    table, manifest = (json.loads(line) for line in str(raised.value).splitlines()[1::2])
    assert table == {"background": 0, "label_128": 128, "label_255": 255}
    small.put_json(tmp_path / "elsewhere" / "wbc.json", manifest)
    assert len(Dataset.open(tmp_path / "elsewhere" / "wbc.json").cases) == 3


def test_values_that_count_from_zero_explain_themselves(small, tmp_path):
    dataset = Dataset.open(small.pictures(tmp_path, values=(1, 2, 3)))
    assert [label.name for label in dataset.schema.labels] == ["label_1", "label_2", "label_3"]
    assert dataset.values is None


def test_a_single_other_value_is_suggested_as_foreground(small, tmp_path):
    small.pictures(tmp_path, values=(255,))
    with pytest.raises(DataError, match='"foreground": 255'):
        Dataset.open(tmp_path)


def test_colour_labels_need_a_table_of_colours(small, tmp_path):
    small.pictures(tmp_path)
    red = np.zeros((3, 20, 16, 1), np.uint8)
    red[0, 3:9, 3:9] = 255
    for name in ("p1", "p2", "p3"):
        small.put(tmp_path / "labels" / f"{name}.png", red, Geometry.of_image((20, 16)))
    with pytest.raises(DataError, match='"foreground": "#ff0000"'):
        Dataset.open(tmp_path)
    small.put_json(tmp_path / "labels.json", {"background": "#000000", "gland": "#ff0000"})
    dataset = Dataset.open(tmp_path)
    assert dataset.labels(dataset.case("p2")).mask("gland").sum() == 36


def numbered(count):
    labels = np.zeros((20, 16, 1), np.uint8)
    labels.flat[: count + 1] = np.arange(count + 1)
    return labels


def test_maps_of_numbered_objects_are_recognised_and_not_taken_for_classes(small, tmp_path):
    small.pictures(tmp_path)
    for name, count in (("p1", 12), ("p2", 30), ("p3", 7)):
        small.put_labels(tmp_path / "labels" / f"{name}.png", numbered(count), Geometry.of_image((20, 16)))
    with pytest.raises(DataError, match=r'They number objects.*\n.*"instances"'):
        Dataset.open(tmp_path)
    small.put_json(tmp_path / "labels.json", {"background": 0, "nucleus": "nonzero"})
    dataset = Dataset.open(tmp_path)
    assert dataset.labels(dataset.case("p2")).mask("nucleus").sum() == 30


def test_a_folder_called_instances_holds_numbered_objects(small, tmp_path):
    small.pictures(tmp_path, values=(1, 2), labels="instances")
    with pytest.raises(DataError, match="They number objects"):
        Dataset.open(tmp_path)


def test_labels_may_be_marked_in_their_names(small, tmp_path):
    small.pictures(tmp_path, table=TABLE)
    for path in (tmp_path / "labels").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.png"))
    assert Dataset.open(tmp_path).ids == ("p1", "p2", "p3")


def test_what_has_no_partner_is_a_problem(small, tmp_path):
    small.pictures(tmp_path, table=TABLE)
    (tmp_path / "labels" / "p1.png").rename(tmp_path / "labels" / "q.png")
    dataset = Dataset.open(tmp_path)
    assert [(problem.kind, problem.case) for problem in dataset.problems] == [("unlabelled-image", "p1")]
    assert [path.name for path in dataset.orphans] == ["q.png"]


def test_folders_without_a_common_name_are_refused(small, tmp_path):
    small.pictures(tmp_path, names=("p1",), table=TABLE)
    (tmp_path / "labels" / "p1.png").rename(tmp_path / "labels" / "other.png")
    with pytest.raises(DataError, match=r"no image and label share a name.*'p1'.*'other.png'"):
        Dataset.open(tmp_path)


def test_two_folders_of_labels_are_ambiguous(small, tmp_path):
    small.pictures(tmp_path, table=TABLE)
    (tmp_path / "masks").mkdir()
    with pytest.raises(DataError, match=r"labels and masks are both there.*labels_folder"):
        Dataset.open(tmp_path)


def test_empty_folders_are_refused(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    with pytest.raises(DataError, match="holds no images"):
        Dataset.open(tmp_path)


def test_volumes_can_be_paired_too(small, tmp_path):
    for n, name in enumerate("ab"):
        small.put(tmp_path / "images" / f"{name}.nii.gz", small.voxels(n))
        small.put_labels(tmp_path / "labels" / f"{name}.mha", small.blocks((1,)))
    dataset = Dataset.open(tmp_path)
    assert dataset.ids == ("a", "b")
    assert dataset.pair(dataset.case("a"))[1].mask("label_1").sum() == 18


def test_real_blood_cells_open_with_a_table_kept_elsewhere(shared_data, small, tmp_path):
    small.put_json(tmp_path / "wbc.json", {"folder": str(shared_data / "wbc_cells"), "labels": TABLE})
    dataset = Dataset.open(tmp_path / "wbc.json")
    assert (len(dataset.cases), dataset.name, dataset.channels) == (200, "wbc", ("red", "green", "blue"))
    assert np.unique(dataset.labels(dataset.cases[0]).array).tolist() == [0, 1, 2]


def test_real_nuclei_open_as_foreground(shared_data, small, tmp_path):
    table = {"background": 0, "nucleus": "nonzero"}
    small.put_json(tmp_path / "dsb.json", {"folder": str(shared_data / "dsb2018"), "labels": table})
    dataset = Dataset.open(tmp_path / "dsb.json")
    assert len(dataset.cases) == 250
    assert np.unique(dataset.labels(dataset.cases[0]).array).tolist() == [0, 1]


def test_a_first_file_that_is_broken_does_not_hide_the_others(small, tmp_path):
    for name in ("a", "b"):
        small.put(tmp_path / "images" / f"{name}.nii.gz", small.voxels(1))
        small.put_labels(tmp_path / "labels" / f"{name}.nii.gz", small.blocks((1,)))
    for folder in ("images", "labels"):
        (tmp_path / folder / "a.nii.gz").write_bytes(b"not a scan")
    dataset = Dataset.open(tmp_path)
    assert (dataset.channels, dataset.schema.values) == (("image",), (0, 1))
    assert {problem.case for problem in check(dataset).errors} == {"a"}
    (tmp_path / "images" / "b.nii.gz").write_bytes(b"not a scan either")
    with pytest.raises(DataError, match=r"images/a\.nii\.gz"):
        Dataset.open(tmp_path)
    (tmp_path / "labels" / "b.nii.gz").write_bytes(b"not labels either")
    small.put(tmp_path / "images" / "b.nii.gz", small.voxels(1))
    with pytest.raises(DataError, match=r"labels/a\.nii\.gz"):
        Dataset.open(tmp_path)
