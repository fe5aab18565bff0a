import json

import numpy as np
import pytest

from delineate.dataset import Dataset, label_files, open_labels
from delineate.errors import DataError
from delineate.io import write_labels
from delineate.io.write import write_volume
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

GRID = Geometry((4, 5, 6), np.diag([1.0, 1.0, 2.0, 1.0]))


def save(path, *values):
    schema = LabelSchema.of(*(f"n{n}" for n in range(1, max((1, *values)) + 1)))
    array = np.zeros(GRID.shape, np.uint16)
    array.flat[: len(values)] = values
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(LabelMap(array, GRID, schema), path)
    return path


def test_each_value_that_occurs_is_a_structure_where_nobody_says_more(tmp_path):
    save(tmp_path / "r" / "a.nii.gz", 2)
    save(tmp_path / "r" / "b.nii.gz", 7)
    other = save(tmp_path / "p" / "a.nii.gz", 9)
    found = open_labels(tmp_path / "r", others=[other])
    assert found.ids == ("a", "b")
    assert list(found.schema.structures) == ["label_2", "label_7", "label_9"]
    assert set(np.unique(found.labels(found.case("b")).array)) == {0, 2}
    assert "nobody says" in found.notes[0]


@pytest.mark.parametrize("place", ["r", "."])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("labels.json", {"background": 0, "liver": 2}),
        ("dataset.json", {"labels": {"background": 0, "liver": 2}}),
        ("dataset.json", {"labels": {"0": "background", "2": "liver"}}),
    ],
)
def test_a_table_in_the_folder_or_beside_it_names_the_values(tmp_path, place, name, content):
    save(tmp_path / "r" / "a.nii.gz", 2)
    (tmp_path / place / name).write_text(json.dumps(content))
    found = open_labels(tmp_path / "r")
    assert list(found.schema.structures) == ["liver"]
    assert found.notes == ()
    assert found.labels(found.case("a")).mask("liver").sum() == 1


def test_a_table_that_is_given_wins(tmp_path):
    save(tmp_path / "r" / "a.nii.gz", 1, 2)
    (tmp_path / "r" / "labels.json").write_text('{"one": 1, "two": 2}')
    (tmp_path / "mine.json").write_text('{"both": [1, 2], "two": 2, "regions_class_order": [1, 2]}')
    found = open_labels(tmp_path / "r", table=tmp_path / "mine.json")
    assert list(found.schema.structures) == ["both", "two"]


def test_colours_are_named_by_their_code(tmp_path):
    colours = np.zeros((3, 4, 4, 1), np.uint8)
    colours[0, 0] = 255
    colours[2, 1] = 16
    write_volume(Volume(colours, Geometry.of_image((4, 4)), ("red", "green", "blue")), tmp_path / "a.png")
    assert list(open_labels(tmp_path).schema.structures) == ["#000010", "#ff0000"]


def test_a_table_of_facts_gives_patients_and_columns(tmp_path):
    for name in "ab":
        save(tmp_path / "r" / f"{name}.nii.gz", 1)
    (tmp_path / "facts.csv").write_text("case,patient,site,sex\na,P,Rome,F\nb,P,Oslo,M\nzz,Q,Oslo,M\n")
    found = open_labels(tmp_path / "r", facts=tmp_path / "facts.csv")
    assert [case.group for case in found.cases] == ["P", "P"]
    assert [case.site for case in found.cases] == ["Rome", "Oslo"]
    assert found.case("a").extra == {"sex": "F"}


def test_a_table_of_facts_about_others_is_refused(tmp_path):
    save(tmp_path / "r" / "a.nii.gz", 1)
    (tmp_path / "facts.csv").write_text("case,patient\nA,P\n")
    with pytest.raises(
        DataError, match=r"none of its cases \(A, \.\.\.\) is one of those here \(a, \.\.\.\)"
    ):
        open_labels(tmp_path / "r", facts=tmp_path / "facts.csv")


def test_datasets_can_be_described_later_too(tmp_path):
    for kind in ("images", "labels"):
        save(tmp_path / kind / "a.nii.gz", 1)
    (tmp_path / "facts.csv").write_text("case,patient\na,P\n")
    assert Dataset.open(tmp_path).described(tmp_path / "facts.csv").case("a").group == "P"


def test_names_that_say_the_patient_are_understood(tmp_path):
    save(tmp_path / "sub-01_ses-1.nii.gz", 1)
    save(tmp_path / "sub-01_ses-2.nii.gz", 1)
    assert {case.group for case in open_labels(tmp_path).cases} == {"sub-01"}


def test_one_file_is_one_case(tmp_path):
    file = save(tmp_path / "a.nii.gz", 1)
    assert label_files(file) == {"a": file}


def test_what_cannot_be_measured_is_refused_with_a_way_out(tmp_path):
    with pytest.raises(DataError, match=r"does not exist\. Give a folder of label files"):
        label_files(tmp_path / "nowhere")
    (tmp_path / "words.txt").write_text("no")
    with pytest.raises(DataError, match=r"is no label file\. Give a folder"):
        label_files(tmp_path / "words.txt")
    with pytest.raises(DataError, match="holds no label file"):
        label_files(tmp_path)
    save(tmp_path / "a.nii.gz", 1)
    save(tmp_path / "a.nrrd", 1)
    with pytest.raises(DataError, match=r"a\.nii\.gz and a\.nrrd.*Keep one of them"):
        label_files(tmp_path)


def test_empty_labels_whose_meaning_nobody_says_are_refused(tmp_path):
    save(tmp_path / "a.nii.gz", 0)
    with pytest.raises(DataError, match="hold nothing but 0"):
        open_labels(tmp_path)


def test_maps_that_number_objects_are_not_taken_for_classes(tmp_path):
    grid = Geometry((20, 40, 1), np.eye(4))
    schema = LabelSchema.of(*(f"n{n}" for n in range(1, 801)))
    ids = np.arange(800, dtype=np.uint16).reshape(grid.shape)
    write_labels(LabelMap(ids, grid, schema), tmp_path / "a.nii.gz")
    with pytest.raises(DataError, match=r"more than 512 values, a\.nii\.gz up to 799.*--instances"):
        open_labels(tmp_path)
