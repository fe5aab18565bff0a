"""Labels that a model made: as far as it is sure, with what made them, teaching and never judging."""

import json

import numpy as np
import pytest

from delineate.dataset import Dataset, check
from delineate.dataset.provenance import provenance_of
from delineate.errors import DataError
from delineate.io import read_label_values, write_volume
from delineate.networks import Model
from delineate.pipeline import (
    LabelWishes,
    MeasureWishes,
    PlanWishes,
    PseudoWishes,
    Run,
    SplitWishes,
    Unwatched,
    evaluate_folders,
    plan,
    pseudo_label,
    run,
)
from delineate.pipeline.judge import CHOICE, Choice
from delineate.space.phantoms import balls

SURE = PseudoWishes(threshold=0.5, date="2026-11-20")


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three scans that nobody labelled."""
    folder = tmp_path_factory.mktemp("scans")
    for number in range(3):
        scan, _ = balls(np.random.default_rng(100 + number), size=16)
        write_volume(scan, folder / f"new_{number}.nii.gz")
    return folder


@pytest.fixture(scope="module")
def people_and_model(tmp_path_factory, finished, balls_folder, scans):
    """Ten cases of people and those that the model labelled, as one dataset."""
    out = tmp_path_factory.mktemp("taught") / "taught"
    wishes = PseudoWishes(threshold=0.5, date="2026-11-20", people=balls_folder)
    return pseudo_label(finished / "model", [scans], out, wishes, Unwatched())


def test_voxels_of_which_the_model_is_not_sure_are_ignored(tmp_path, finished, scans):
    loose = pseudo_label(finished / "model", [scans], tmp_path / "loose", SURE, Unwatched())
    strict = PseudoWishes(threshold=0.9)
    tight = pseudo_label(finished / "model", [scans], tmp_path / "tight", strict, Unwatched())
    assert loose.schema.ignore == 3
    assert loose.ids == tight.ids
    for name in loose.ids:
        first, second = loose.labels(loose.case(name)).array, tight.labels(tight.case(name)).array
        assert (second == 3).sum() > (first == 3).sum()
        assert (first[second != 3] == second[second != 3]).all()


def test_each_case_says_what_made_its_labels(people_and_model, finished):
    assert len(people_and_model.cases) > 10
    for case in people_and_model.cases:
        found = provenance_of(case)
        if not case.id.startswith("new"):
            assert found.origin == "manual"
            continue
        assert (found.origin, found.date, found.reviewed) == ("auto", "2026-11-20", "")
        assert found.model == Model.open(finished / "model").digest
        assert 0.3 < found.confidence <= 1
    problems = check(people_and_model).problems
    assert not [p for p in problems if p.severity == "error"]
    assert any(p.kind == "label-origin" for p in problems)


def test_they_teach_and_never_judge_and_report_and_card_say_so(people_and_model, tmp_path):
    wishes = PlanWishes(
        steps=2, by_hand={"training.precision": "fp32"}, labels=LabelWishes(pseudo_weight=0.5)
    )
    run(people_and_model.root, tmp_path / "run", wishes, Unwatched())
    done = Run.open(tmp_path / "run")
    assert done.plan().training.pseudo_weight == 0.5
    for fold in done.splits().folds:
        assert not [name for name in fold.validation if name.startswith("new")]
        assert [name for name in fold.train if name.startswith("new")]
    (note,) = [text for text in Choice.load(done.folder / CHOICE).notes if "made by a model" in text]
    assert note in Model.open(done.model).card
    assert "made by a model" in done.report.read_text()


def test_own_splits_and_references_that_count_them_are_refused_unless_told(
    people_and_model, finished, tmp_path
):
    name = next(name for name in people_and_model.ids if name.startswith("new"))
    train = [other for other in people_and_model.ids if other != name]
    (tmp_path / "splits.json").write_text(json.dumps([{"train": train, "val": [name]}]))
    splits = SplitWishes(file=tmp_path / "splits.json")
    with pytest.raises(DataError, match=rf"labels of {name} were made by a model .*--count-model-labels"):
        plan(people_and_model.root, tmp_path / "a", PlanWishes(steps=2, splits=splits), Unwatched())
    told = SplitWishes(file=tmp_path / "splits.json", count_models=True)
    plan(people_and_model.root, tmp_path / "b", PlanWishes(steps=2, splits=told), Unwatched())
    predictions = people_and_model.case(name).labels.parent
    where, out = people_and_model.root, tmp_path / "out"
    with pytest.raises(DataError, match=r"made by a model and reviewed by nobody.*--count-model-labels"):
        evaluate_folders(where, predictions, out, MeasureWishes(without="skip"), Unwatched())
    counted = MeasureWishes(without="skip", count_models=True)
    assert evaluate_folders(where, predictions, out, counted, Unwatched()).report.cases


def test_what_cannot_be_is_refused(tmp_path, finished, balls_folder, scans, small_other):
    model, watch = finished / "model", Unwatched()
    with pytest.raises(DataError, match="is not empty"):
        pseudo_label(model, [scans], scans, SURE, watch)
    with pytest.raises(DataError, match=r"nothing to write: of 3 cases .* none is sure enough"):
        pseudo_label(model, [scans], tmp_path / "none", PseudoWishes(least=1.0), watch)
    with pytest.raises(DataError, match="has other channels or labels than the model: CT and liver"):
        pseudo_label(model, [scans], tmp_path / "o", PseudoWishes(people=small_other(1)), watch)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.nii.gz").write_bytes(b"no scan")
    with pytest.raises(DataError, match=r"(?s)1 of 1 cases could not be labelled:.*x"):
        pseudo_label(model, [tmp_path / "bad"], tmp_path / "p", SURE, watch)
    again = pseudo_label(model, [balls_folder], tmp_path / "all", PseudoWishes(threshold=0.5), watch)
    assert all(read_label_values(case.labels).array.max() <= 3 for case in again.cases)


@pytest.fixture
def small_other(tmp_path):
    """Writes a dataset that means something else."""

    def write(value):
        folder = tmp_path / f"other_{value}"
        scan, _ = balls(np.random.default_rng(0), size=16)
        write_volume(scan, folder / "s.nii.gz")
        write_volume(
            scan.__class__((scan.array > 50).astype(np.uint8) * value, scan.geometry), folder / "l.nii.gz"
        )
        (folder / "dataset.csv").write_text("case,CT,label\na,s.nii.gz,l.nii.gz\n")
        (folder / "labels.json").write_text(json.dumps({"background": 0, "liver": value}))
        return folder

    return write


def test_people_whose_files_hold_other_values_are_asked_to_convert(tmp_path, finished, scans):
    folder = tmp_path / "other"
    scan, labels = balls(np.random.default_rng(0), size=16)
    write_volume(scan, folder / "s.nii.gz")
    write_volume(scan.__class__(labels.array[None] * 100, scan.geometry), folder / "l.nii.gz")
    (folder / "dataset.csv").write_text("case,MR,label\na,s.nii.gz,l.nii.gz\n")
    (folder / "labels.json").write_text('{"background": 0, "large ball": 100, "small ball": 200}')
    assert Dataset.open(folder).values is not None
    with pytest.raises(DataError, match="delineate convert"):
        pseudo_label(finished / "model", [scans], tmp_path / "o", PseudoWishes(people=folder), Unwatched())
