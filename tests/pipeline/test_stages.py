import json
import shutil

import numpy as np
import pytest

from delineate.dataset import Dataset, Splits
from delineate.errors import DataError, RunError
from delineate.evaluation import Report
from delineate.io import read_label_values
from delineate.networks import Model
from delineate.pipeline import PlanWishes, Run, SplitWishes, TrainingWishes, Unwatched
from delineate.pipeline import stages as pipeline
from delineate.planning import Plan

WATCH = Unwatched()


def test_a_run_leaves_every_record_a_report_and_a_model(finished):
    names = {path.name for path in finished.iterdir()}
    assert names >= {
        "run.json", "check.json", "fingerprint.json", "splits.json", "plan.json", "prepared", "folds",
        "evaluation", "report.html", "model",
    }  # fmt: skip
    assert {p.name for p in (finished / "evaluation").iterdir()} >= {
        "report.json", "scores.csv", "summary.md", "choice.json",
    }  # fmt: skip
    assert Model.open(finished / "model").plan.labels.structures.keys() == {"large ball", "small ball"}


def test_every_measured_case_was_unseen_by_its_network(finished):
    report = Report.load(finished / "evaluation" / "report.json")
    splits = Splits.load(finished / "splits.json")
    assert set(report.cases) == set(splits.folds[0].validation)
    assert not set(report.cases) & set(splits.folds[0].train)


def test_predictions_lie_on_the_grid_of_their_scan(finished, balls_folder):
    dataset = Dataset.open(balls_folder)
    for file in (finished / "folds" / "3d_fullres" / "fold_0" / "predictions").glob("*.nii.gz"):
        scan = dataset.scan(dataset.case(file.name.removesuffix(".nii.gz")))
        assert read_label_values(file).geometry.same_place(scan.geometry)


def test_running_again_does_nothing_again(finished, balls_folder, wishes):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*.safetensors")}
    before |= {p: p.stat().st_mtime_ns for p in (finished / "prepared").rglob("*.b2nd")}
    pipeline.plan(balls_folder, finished, wishes, WATCH)
    pipeline.train(finished, TrainingWishes(), WATCH)
    assert {p: p.stat().st_mtime_ns for p in before} == before


def test_a_setting_by_hand_is_remembered_with_what_it_was(tmp_path, balls_folder, wishes):
    first = pipeline.plan(balls_folder, tmp_path / "run", wishes, WATCH)
    changed = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(by_hand={"batch": 3}), WATCH)
    assert changed.configuration().batch == 3
    assert f"was {first.configuration().batch}" in changed.reasons["configurations.3d_fullres.batch"]
    assert changed.training.steps == 6, "what was set earlier stays"
    fresh = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(steps=6), WATCH, again=True)
    assert fresh.configuration().batch == first.configuration().batch


def test_memory_and_preset_of_an_earlier_plan_are_not_passed_over(tmp_path, balls_folder):
    made_for = PlanWishes(steps=2, memory_gb=4)
    pipeline.plan(balls_folder, tmp_path / "run", made_for, WATCH)
    pipeline.plan(balls_folder, tmp_path / "run", made_for, WATCH)
    with pytest.raises(RunError, match=r"made for preset default and 4 GB, now preset L and its memory"):
        pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(preset="L"), WATCH)
    again = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(preset="L"), WATCH, again=True)
    assert again.configuration().network.kind == "residual_unet"


def test_minutes_are_shared_between_the_trainings(tmp_path, balls_folder):
    made = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(minutes=10, folds=(0, 1)), WATCH)
    assert (made.training.minutes, made.train_folds) == (5, (0, 1))
    less = pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(minutes=4), WATCH)
    assert less.training.minutes == 2


def test_methods_without_learning_are_measured_on_some_cases_and_the_report_says_so(
    tmp_path, finished, monkeypatch
):
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    monkeypatch.setattr("delineate.pipeline.judge.CLASSICAL_CASES", 1)
    pipeline.evaluate(folder, WATCH)
    notes = json.loads((folder / "evaluation" / "choice.json").read_text())["notes"]
    assert "The methods without learning were measured on 1 of these cases." in notes


def test_an_edited_plan_is_what_is_done(tmp_path, balls_folder, wishes):
    pipeline.plan(balls_folder, tmp_path / "run", wishes, WATCH)
    file = tmp_path / "run" / "plan.json"
    file.write_text(file.read_text().replace('"seed": 12345', '"seed": 7'))
    assert pipeline.plan(balls_folder, tmp_path / "run", PlanWishes(), WATCH).training.seed == 7
    file.write_text(file.read_text().replace('"seed"', '"sead"'))
    with pytest.raises(Exception, match=r"training\.sead"):
        Run.open(tmp_path / "run").plan()


def test_problems_stop_a_run_before_it_starts_and_are_all_listed(tmp_path, balls_folder):
    broken = tmp_path / "broken"
    shutil.copytree(balls_folder, broken)
    (broken / "imagesTr" / "ball_03_0000.nii.gz").write_bytes(b"not a scan")
    (broken / "labelsTr" / "ball_05.nii.gz").unlink()
    with pytest.raises(DataError, match=r"(?s)problems that stop training.*ball_03") as caught:
        pipeline.plan(broken, tmp_path / "run", PlanWishes(), WATCH)
    assert "ball_05" in str(caught.value)


def test_own_splits_are_used_and_leaks_in_them_are_refused(tmp_path, balls_folder, wishes):
    ids = Dataset.open(balls_folder).ids
    own = tmp_path / "splits.json"
    own.write_text(json.dumps([{"train": list(ids[:7]), "val": list(ids[7:])}]))
    chosen = PlanWishes(steps=2, splits=SplitWishes(file=own))
    made = pipeline.plan(balls_folder, tmp_path / "run", chosen, WATCH)
    assert made.train_folds == (0,)
    assert set(Run.open(tmp_path / "run").splits().folds[0].validation) == set(ids[7:])
    twin = tmp_path / "twins"
    shutil.copytree(balls_folder, twin)
    for part, ending in (("imagesTr", "_0000.nii.gz"), ("labelsTr", ".nii.gz")):
        shutil.copy(twin / part / f"{ids[0]}{ending}", twin / part / f"{ids[9]}{ending}")
    with pytest.raises(DataError, match="leak"):
        pipeline.plan(twin, tmp_path / "run2", chosen, WATCH)


def test_two_runs_with_one_seed_give_the_same_weights_bit_for_bit(tmp_path, finished, balls_folder, wishes):
    again = tmp_path / "again"
    pipeline.plan(balls_folder, again, wishes, WATCH)
    pipeline.train(again, TrainingWishes(), WATCH)
    weights = "folds/3d_fullres/fold_0/weights.safetensors"
    assert (again / weights).read_bytes() == (finished / weights).read_bytes()


def test_stages_say_what_has_to_come_first(tmp_path, balls_folder, wishes):
    with pytest.raises(RunError, match="holds no run"):
        pipeline.prepare(tmp_path / "nothing", WATCH)
    pipeline.plan(balls_folder, tmp_path / "run", wishes, WATCH)
    with pytest.raises(RunError, match="no fold is trained yet"):
        pipeline.evaluate(tmp_path / "run", WATCH)
    with pytest.raises(RunError, match="not evaluated yet"):
        pipeline.report(tmp_path / "run", WATCH)
    with pytest.raises(RunError, match="not evaluated yet"):
        pipeline.pack(tmp_path / "run")
    with pytest.raises(RunError, match="there is no fold 9"):
        pipeline.train(tmp_path / "run", TrainingWishes(), WATCH, folds=(9,))
    assert isinstance(Run.open(tmp_path / "run").plan(), Plan)
    assert np.isfinite(Run.open(tmp_path / "run").plan().training.learning_rate)
