import shutil

import pytest

from delineate.dataset import Splits
from delineate.errors import RunError
from delineate.evaluation import Report
from delineate.pipeline import Run, Unwatched
from delineate.pipeline.fold import fold_segmenter
from delineate.pipeline.judge import CHOICE, Choice, Judge


def judge_of(folder) -> Judge:
    run = Run.open(folder)
    return Judge(run, run.plan(), run.dataset(), run.splits(), "cpu", Unwatched())


def test_the_choice_holds_every_candidate_and_every_method_without_learning(finished):
    choice = Choice.load(finished / CHOICE)
    report = Report.load(finished / "evaluation" / "report.json")
    assert choice.use == ("3d_fullres",)
    assert choice.scores.keys() == {"3d_fullres"}
    assert set(choice.baselines) == {"threshold", "otsu", "region growing", "watershed"}
    assert report.mean() is not None
    assert any("2 of 10 cases were measured" in note for note in choice.notes)


def test_predictions_of_other_weights_are_forgotten(tmp_path, finished):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    predictions = folder / "folds" / "3d_fullres" / "fold_0" / "predictions"
    before = {path.name: path.stat().st_mtime_ns for path in predictions.glob("*.nii.gz")}
    judge_of(folder).verdict()
    assert {path.name: path.stat().st_mtime_ns for path in predictions.glob("*.nii.gz")} == before
    (predictions / "made_from.json").write_text('"other weights"\n')
    judge_of(folder).verdict()
    after = {path.name: path.stat().st_mtime_ns for path in predictions.glob("*.nii.gz")}
    assert after.keys() == before.keys()
    assert all(after[name] != before[name] for name in before)


def test_only_folds_that_were_trained_are_measured(finished):
    judge = judge_of(finished)
    splits = Splits.load(finished / "splits.json")
    assert set(judge.cases) == set(splits.folds[0].validation)
    assert set(judge.cases.values()) == {0}


def test_a_fold_that_was_not_trained_has_no_segmenter(finished):
    run = Run.open(finished)
    with pytest.raises(RunError, match=r"fold 3 of 3d_fullres is not trained. Train it with:"):
        fold_segmenter(run, run.plan(), ("3d_fullres",), 3, "cpu")
