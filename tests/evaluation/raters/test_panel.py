"""Folders of raters are matched by name, and what does not fit is said before anything is measured."""

import numpy as np
import pytest
from PIL import Image

from delineate.errors import DataError, GeometryError
from delineate.evaluation.raters import Panel
from delineate.io import write_labels
from delineate.io.disk import write_json, write_text
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of(*(f"label_{value}" for value in range(1, 256)))


def save(path, value=1, shape=(6, 5, 4), spacing=1.0):
    array = np.zeros(shape, np.uint8)
    array[1:3, 1:3, 1:3] = value
    write_labels(LabelMap(array, Geometry(shape, np.diag([spacing, spacing, spacing, 1.0])), SCHEMA), path)


@pytest.fixture
def folders(tmp_path):
    """ann and bob labelled two cases, cat one of them and another one."""
    for rater, cases in (("ann", "xy"), ("bob", "xy"), ("cat", "xz")):
        for case in cases:
            save(tmp_path / rater / f"{case}.nii.gz")
    return [tmp_path / name for name in ("ann", "bob", "cat")]


def test_cases_are_all_that_any_rater_labelled(folders):
    panel = Panel.open(folders)
    assert panel.raters == ("ann", "bob", "cat")
    assert panel.cases == ("x", "y", "z")
    assert list(panel.load("x")) == ["ann", "bob", "cat"]
    assert list(panel.load("y")) == ["ann", "bob"]
    assert list(panel.load("z")) == ["cat"]
    assert list(panel.dataset.schema.structures) == ["label_1"]


def test_a_model_is_last_and_adds_no_case(folders, tmp_path):
    for case in ("x", "extra"):
        save(tmp_path / "net" / f"{case}.nii.gz")
    panel = Panel.open(folders, model=tmp_path / "net")
    assert panel.model == "net"
    assert panel.cases == ("x", "y", "z")
    assert list(panel.load("x")) == ["ann", "bob", "cat", "net"]
    assert Panel.open(folders, model=folders[0]).model == "ann (model)"


def test_raters_are_called_as_they_are_told_to_be(folders):
    assert Panel.open(folders, names=["A", "B", "C"]).raters == ("A", "B", "C")


@pytest.mark.parametrize("names", [["A", "B"], ["A", "A", "B"], ["A", "B", ""]])
def test_names_that_do_not_fit_are_refused(folders, names):
    with pytest.raises(DataError, match="3 folders need 3 different names; got A"):
        Panel.open(folders, names=names)


def test_folders_of_one_name_are_told_apart_by_the_folder_around_them(tmp_path):
    for rater in ("ann", "bob"):
        save(tmp_path / rater / "labels" / "x.nii.gz")
    folders = [tmp_path / rater / "labels" for rater in ("ann", "bob")]
    assert Panel.open(folders).raters == ("ann/labels", "bob/labels")
    with pytest.raises(DataError, match=r"these have one name: .*--names ann,bob,cat"):
        Panel.open([folders[0], folders[0]])


def test_one_rater_is_no_panel(folders):
    with pytest.raises(DataError, match="raters are two or more"):
        Panel.open(folders[:1])


def test_files_instead_of_folders_are_one_case(folders):
    panel = Panel.open([folder / "x.nii.gz" for folder in folders], names=["a", "b", "c"])
    assert panel.cases == ("scan",)
    assert list(panel.load("scan")) == ["a", "b", "c"]


def test_every_case_with_different_grids_is_named_before_anything_is_read(folders, tmp_path):
    save(tmp_path / "bob" / "x.nii.gz", shape=(6, 5, 5))
    save(tmp_path / "bob" / "y.nii.gz", spacing=1.01)
    with pytest.raises(GeometryError) as caught:
        Panel.open(folders)
    said = str(caught.value)
    assert "2 cases were labelled on different grids" in said
    assert "x: ann Geometry(6 x 5 x 4 voxels of 1 x 1 x 1 mm), bob Geometry(6 x 5 x 5" in said
    assert "y: ann" in said
    assert "leave the rater out" in said


def test_grids_that_print_alike_are_told_apart_in_mm(folders, tmp_path):
    array = np.zeros((6, 5, 4), np.uint8)
    affine = np.eye(4)
    affine[:3, 3] = (0, 0, 2.5)
    write_labels(LabelMap(array, Geometry(array.shape, affine), SCHEMA), tmp_path / "bob" / "x.nii.gz")
    with pytest.raises(GeometryError, match=r"2\.5 mm apart"):
        Panel.open(folders)


def test_many_wrong_cases_are_not_all_listed(tmp_path):
    for number in range(11):
        save(tmp_path / "ann" / f"{number}.nii.gz")
        save(tmp_path / "bob" / f"{number}.nii.gz", shape=(6, 5, 5))
    with pytest.raises(GeometryError, match=r"(?s)11 cases were labelled.*and 3 more"):
        Panel.open([tmp_path / "ann", tmp_path / "bob"])


def test_a_rater_who_writes_the_same_as_another_value_is_found(tmp_path):
    for number in range(7):
        save(tmp_path / "ann" / f"{number}.nii.gz")
        save(tmp_path / "bob" / f"{number}.nii.gz")
        save(tmp_path / "cat" / f"{number}.nii.gz", value=255)
    with pytest.raises(DataError) as caught:
        Panel.open([tmp_path / name for name in ("ann", "bob", "cat")])
    assert "cat uses none of the label values of the other raters" in str(caught.value)
    assert "label_255" in str(caught.value)
    assert "--labels" in str(caught.value)


def test_a_rater_whose_first_files_hold_other_labels_is_read_to_the_end(tmp_path):
    for number in range(7):
        save(tmp_path / "ann" / f"{number}.nii.gz", value=1)
        save(tmp_path / "bob" / f"{number}.nii.gz", value=2 if number < 6 else 1)
    assert Panel.open([tmp_path / "ann", tmp_path / "bob"]).cases


def test_raters_who_drew_nothing_are_no_strangers(folders, tmp_path):
    save(tmp_path / "bob" / "x.nii.gz", value=0)
    save(tmp_path / "bob" / "y.nii.gz", value=0)
    assert not Panel.open(folders).load("x")["bob"].array.any()


def test_a_table_says_what_values_mean_and_others_are_refused(folders, tmp_path):
    write_json(tmp_path / "labels.json", {"background": 0, "liver": 1})
    panel = Panel.open(folders, labels=tmp_path / "labels.json")
    assert list(panel.dataset.schema.structures) == ["liver"]
    save(tmp_path / "bob" / "x.nii.gz", value=3)
    with pytest.raises(DataError, match="3"):
        Panel.open(folders, labels=tmp_path / "labels.json").load("x")


def test_patients_are_those_of_a_table(folders, tmp_path):
    write_text(tmp_path / "cases.csv", "case,patient\nx,p1\ny,p1\nz,p2\n")
    assert Panel.open(folders, facts=tmp_path / "cases.csv").groups == {"x": "p1", "y": "p1", "z": "p2"}
    assert Panel.open(folders).groups == {"x": "x", "y": "y", "z": "z"}


def test_pictures_make_a_panel(tmp_path):
    for rater, value in (("ann", 255), ("bob", 255)):
        (tmp_path / rater).mkdir()
        array = np.zeros((8, 9), np.uint8)
        array[2:5, 2:6] = value
        Image.fromarray(array).save(tmp_path / rater / "cell.png")
    panel = Panel.open([tmp_path / "ann", tmp_path / "bob"])
    assert panel.load("cell")["ann"].array.sum() == 12
    assert list(panel.dataset.schema.structures) == ["label_255"]
