"""Consensuses are files with the values of the raters, and a record of who made them."""

import numpy as np
import pytest
from PIL import Image

from delineate.dataset import read_label_table
from delineate.errors import DataError
from delineate.evaluation.raters import (
    FusedFolder,
    FusionRules,
    GoldRules,
    Panel,
    judge_workers,
    write_consensus,
)
from delineate.io import read_label_values, read_volume, write_labels
from delineate.io.disk import file_digest, write_json
from delineate.space import Geometry, LabelMap, LabelSchema

SCHEMA = LabelSchema.of(*(f"label_{value}" for value in range(1, 256)))
GRID = Geometry((8, 7, 6), np.diag([1.0, 2.0, 3.0, 1.0]))


def save(path, size, value=4):
    array = np.zeros(GRID.shape, np.uint8)
    array[1:size, 1:5, 1:4] = value
    write_labels(LabelMap(array, GRID, SCHEMA), path)


@pytest.fixture
def places(tmp_path):
    for rater, size in (("ann", 4), ("bob", 5), ("cat", 6)):
        for case in "xy":
            save(tmp_path / rater / f"{case}.nii.gz", size)
    save(tmp_path / "cat" / "alone.nii.gz", 4)
    return {name: tmp_path / name for name in ("ann", "bob", "cat")}


def written(places, out, rules, **more):
    panel = Panel.open(list(places.values()))
    return write_consensus(panel, places, out, rules, **more)


def test_values_stay_what_they_are_in_the_files_of_the_raters(places, tmp_path):
    out = tmp_path / "out"
    record = written(places, out, FusionRules(method="majority"))
    found = read_label_values(out / "x.nii.gz")
    assert np.unique(found.array).tolist() == [0, 4]
    assert (found.array[1:5, 1:5, 1:4] == 4).all()
    assert (found.array > 0).sum() == 4 * 4 * 3
    assert found.geometry.same_place(GRID)
    assert [case.case for case in record.cases] == ["x", "y"]
    assert record.skipped == ("alone",)
    assert not (out / "alone.nii.gz").exists()
    assert not (out / "probabilities").exists()


def test_the_record_says_who_how_and_with_what_weight(places, tmp_path):
    out = tmp_path / "out"
    record = written(places, out, FusionRules(method="simple"), made_by="somebody")
    assert FusedFolder.load(out / "consensus.json") == record
    assert record.made_by == "somebody"
    assert record.raters == {name: str(folder) for name, folder in places.items()}
    case = record.cases[0]
    assert case.inputs["bob"] == file_digest(places["bob"] / "x.nii.gz")
    assert {q.rater: q.weight > 0 for q in case.qualities} == {"ann": True, "bob": True, "cat": True}


@pytest.mark.parametrize("method", ["staple", "soft"])
def test_probabilities_stand_beside_the_labels(places, tmp_path, method):
    out = tmp_path / "out"
    record = written(places, out, FusionRules(method=method))
    probabilities = read_volume(out / record.cases[0].probabilities)
    assert probabilities.geometry.same_place(GRID)
    if method == "soft":
        np.testing.assert_allclose(np.unique(probabilities.array), [0, 1 / 3, 2 / 3, 1], atol=1e-6)
    labels = read_label_values(out / "x.nii.gz").array > 0
    np.testing.assert_array_equal(probabilities.array[0] > 0.5, labels)


def test_the_table_beside_them_says_what_they_mean(places, tmp_path):
    written(places, tmp_path / "out", FusionRules())
    table = read_label_table(tmp_path / "out" / "labels.json")
    assert list(table.schema.structures) == ["label_4"]
    again = Panel.open([tmp_path / "out", places["ann"]], labels=tmp_path / "out" / "labels.json")
    assert again.load("x")["out"].array.any()


def test_regions_and_open_voxels_come_back_from_the_table(tmp_path):
    table = {
        "background": 0, "whole": [10, 20], "core": 20, "regions_class_order": [10, 20],
        "label_names": {"10": "oedema", "20": "necrosis"}, "ignore": 99,
    }  # fmt: skip
    write_json(tmp_path / "given.json", table)
    places = {name: tmp_path / name for name in ("ann", "bob")}
    for folder in places.values():
        array = np.zeros(GRID.shape, np.uint8)
        array[1:5], array[2:4], array[7] = 10, 20, 99
        write_labels(LabelMap(array, GRID, SCHEMA), folder / "x.nii.gz")
    panel = Panel.open(list(places.values()), labels=tmp_path / "given.json")
    write_consensus(panel, places, tmp_path / "out", FusionRules(method="majority"))
    found = read_label_values(tmp_path / "out" / "x.nii.gz").array
    np.testing.assert_array_equal(found, array)
    given, back = (
        read_label_table(path) for path in (tmp_path / "given.json", tmp_path / "out" / "labels.json")
    )
    assert back.schema == given.schema
    assert dict(back.values.pairs) == dict(given.values.pairs)


def test_pictures_stay_pictures_and_colours_become_numbers(tmp_path):
    places = {name: tmp_path / name for name in ("ann", "bob")}
    for folder in places.values():
        (folder / "grey").mkdir(parents=True)
        grey = np.zeros((8, 9), np.uint8)
        grey[2:5, 2:6] = 128
        Image.fromarray(grey).save(folder / "grey" / "cell.png")
        (folder / "red").mkdir()
        Image.fromarray(np.stack([grey, 0 * grey, 0 * grey], -1)).save(folder / "red" / "cell.png")
    for kind, value in (("grey", 128), ("red", 1)):
        here = {name: folder / kind for name, folder in places.items()}
        panel = Panel.open(list(here.values()), names=list(here))
        write_consensus(panel, here, tmp_path / kind, FusionRules())
        assert np.unique(read_label_values(tmp_path / kind / "cell.png").array).tolist() == [0, value]
        assert (tmp_path / kind / "probabilities" / "cell.nii.gz").exists()


def test_a_crowd_is_judged_by_its_gold_and_gold_is_not_fused(places, tmp_path):
    save(tmp_path / "gold" / "y.nii.gz", 4)
    panel = Panel.open(list(places.values()), model=tmp_path / "gold")

    def load(case):
        maps = panel.load(case)
        return maps.pop("gold"), maps

    crowd = judge_workers(["y"], load, panel.raters, GoldRules(least=0.8))
    assert list(crowd.weights) == ["ann", "bob"]
    record = write_consensus(panel, places, tmp_path / "out", FusionRules(method="majority"), crowd=crowd)
    assert [case.case for case in record.cases] == ["x"]
    assert record.crowd == crowd
    assert {q.rater: q.weight for q in record.cases[0].qualities} == pytest.approx(crowd.weights)
    found = read_label_values(tmp_path / "out" / "x.nii.gz").array
    assert (found > 0).sum() == 3 * 4 * 3  # ann weighs more than bob: nobody is tied
    staple = write_consensus(panel, places, tmp_path / "other", FusionRules(), crowd=crowd)
    assert {q.weight for q in staple.cases[0].qualities} == {1.0}


def test_nothing_to_fuse_is_said(places, tmp_path):
    panel = Panel.open([places["ann"], places["cat"]])
    only = Panel(panel.raters, None, {"ann": {}, "cat": panel.files["cat"]}, panel.dataset)
    with pytest.raises(DataError, match=r"nothing to fuse: none of 3 cases .* labelled by two of ann, cat"):
        write_consensus(only, places, tmp_path / "out", FusionRules())


def test_progress_is_told_and_threads_change_nothing(places, tmp_path):
    told = []
    one = written(places, tmp_path / "a", FusionRules(), progress=lambda *step: told.append(step))
    other = written(places, tmp_path / "b", FusionRules(), workers=3)
    assert told == [(1, 3, "alone"), (2, 3, "x"), (3, 3, "y")]
    assert one == other
