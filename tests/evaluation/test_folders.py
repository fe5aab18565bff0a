import json

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import Folders, evaluate
from delineate.io import write_labels, write_volume
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

GRID = Geometry((8, 9, 10), np.diag([1.0, 1.0, 3.0, 1.0]))
SCHEMA = LabelSchema.of("liver", "tumour")


def save(path, value=1, size=4, grid=GRID):
    array = np.zeros(grid.shape, np.uint8)
    array[1 : 1 + size, 1:5, : min(3, grid.shape[2])] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    write_labels(LabelMap(array, grid, SCHEMA), path)


@pytest.fixture
def places(tmp_path):
    """Three references, and predictions of them in other formats."""
    for name in "abc":
        save(tmp_path / "r" / f"{name}.nii.gz")
    save(tmp_path / "p" / "a.nrrd")
    save(tmp_path / "p" / "b.nii.gz", size=2)
    save(tmp_path / "p" / "c.mha", size=0)
    return tmp_path / "r", tmp_path / "p"


def dice(folders):
    return evaluate(folders.references.ids, folders.load).values("label_1", "dice")


def test_files_are_matched_by_name_whatever_their_format(places):
    assert dice(Folders.open(*places)) == pytest.approx({"a": 1.0, "b": 2 / 3, "c": 0.0})


def test_a_reference_without_prediction_is_refused_by_name(places):
    (places[1] / "b.nii.gz").unlink()
    with pytest.raises(DataError, match="1 of 3 references have no prediction: b") as caught:
        Folders.open(*places)
    assert "--without empty" in str(caught.value)


def test_or_counted_as_nothing_found(places):
    (places[1] / "b.nii.gz").unlink()
    folders = Folders.open(*places, without="empty")
    assert dice(folders)["b"] == 0.0
    assert folders.notes[-1] == "b: no prediction file; counted as nothing found."


def test_or_left_out_and_said_so(places):
    (places[1] / "b.nii.gz").unlink()
    folders = Folders.open(*places, without="skip")
    assert list(dice(folders)) == ["a", "c"]
    assert folders.notes[-1] == "b: no prediction file; left out."


def test_a_prediction_of_something_else_is_named(places):
    save(places[1] / "d.nii.gz")
    assert "d: predicted, but there is no reference; not measured." in Folders.open(*places).notes


def test_folders_that_have_nothing_to_do_with_each_other_are_refused(places, tmp_path):
    save(tmp_path / "q" / "z.nii.gz")
    with pytest.raises(DataError, match=r"no prediction belongs to a reference.*\n.*a, b, c\n.*z"):
        Folders.open(places[0], tmp_path / "q", without="skip")


def test_two_files_are_a_pair_whatever_they_are_called(places):
    folders = Folders.open(places[0] / "a.nii.gz", places[1] / "b.nii.gz")
    assert dice(folders) == pytest.approx({"a": 2 / 3})


def test_what_else_lies_among_the_predictions_is_not_read(places):
    noise = np.random.default_rng(0).random((3, *GRID.shape)).astype(np.float32)
    write_volume(Volume(noise, GRID, ("x", "y", "z")), places[1] / "a_probabilities.nii.gz")
    folders = Folders.open(*places)
    assert "a_probabilities: predicted, but there is no reference" in folders.notes[-1]
    assert dice(folders)["a"] == 1.0


def test_a_label_that_only_the_prediction_has_is_measured_as_invented(places):
    save(places[1] / "a.nrrd", value=2)
    folders = Folders.open(*places)
    report = evaluate(folders.references.ids, folders.load)
    assert report.structures == ("label_1", "label_2")
    counts = {c.structure: c for c in report.counts}
    assert counts["label_2"].false_positive_on_empty == 1


def test_a_value_that_the_table_does_not_know_names_the_file(places):
    save(places[1] / "a.nrrd", value=2)
    table = places[0] / "labels.json"
    table.write_text('{"liver": 1}')
    folders = Folders.open(*places)
    with pytest.raises(DataError, match=r"values that nobody explained: 2(.|\n)*a\.nrrd"):
        folders.load("a")


def test_pictures_keep_no_grid_and_take_that_of_their_reference(tmp_path):
    flat = Geometry((8, 9, 1), np.diag([0.5, 0.5, 1.0, 1.0]))
    save(tmp_path / "r" / "a.nii.gz", grid=flat)
    save(tmp_path / "p" / "a.png", grid=Geometry.of_image((8, 9)))
    reference, prediction = Folders.open(tmp_path / "r", tmp_path / "p").load("a")
    assert prediction.geometry.same_place(reference.geometry)
    assert np.array_equal(reference.array, prediction.array)


def test_references_may_be_a_dataset_of_any_layout(tmp_path):
    for name in "ab":
        save(tmp_path / "data" / "labelsTr" / f"{name}.nii.gz")
        save(tmp_path / "p" / f"{name}.nii.gz", size=2)
        scan = np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32)
        (tmp_path / "data" / "imagesTr").mkdir(exist_ok=True)
        write_volume(Volume(scan, GRID), tmp_path / "data" / "imagesTr" / f"{name}_0000.nii.gz")
    described = {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "liver": 1, "tumour": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    (tmp_path / "data" / "dataset.json").write_text(json.dumps(described))
    (tmp_path / "facts.csv").write_text("case,patient\na,P\nb,P\n")
    folders = Folders.open(tmp_path / "data", tmp_path / "p", facts=tmp_path / "facts.csv")
    assert list(folders.references.schema.structures) == ["liver", "tumour"]
    assert {case.group for case in folders.references.cases} == {"P"}
    assert folders.look("a")[0].array.std() > 0.5
    save(tmp_path / "other" / "a.nii.gz")
    alone = Folders.open(tmp_path / "data" / "labelsTr", tmp_path / "p")
    assert list(alone.references.schema.structures) == ["liver", "tumour"]  # dataset.json lies beside


def test_scans_are_seen_where_they_are_given_and_black_where_not(places, tmp_path):
    noise = np.random.default_rng(0).normal(size=(1, *GRID.shape)).astype(np.float32)
    (tmp_path / "scans").mkdir()
    write_volume(Volume(noise, GRID), tmp_path / "scans" / "a.nii.gz")
    finer = GRID.respaced((1.0, 1.0, 1.5))
    write_volume(Volume(np.ones((1, *finer.shape), np.float32), finer), tmp_path / "scans" / "b_0000.nii.gz")
    folders = Folders.open(*places, scans=tmp_path / "scans")
    assert np.array_equal(folders.look("a")[0].array, noise)
    assert folders.look("b")[0].geometry.same_place(GRID)
    assert not folders.look("c")[0].array.any()


def test_scans_of_others_are_refused(places, tmp_path):
    save(tmp_path / "scans" / "z.nii.gz")
    with pytest.raises(DataError, match=r"no scan belongs to a case(.|\n)*there are z"):
        Folders.open(*places, scans=tmp_path / "scans")


def test_what_is_drawn_lies_on_the_grid_of_the_reference(places):
    save(places[1] / "a.nrrd", grid=GRID.respaced((2.0, 1.0, 3.0)))
    _, reference, prediction = Folders.open(*places).look("a")
    assert prediction.geometry.same_place(reference.geometry)
