"""What a user chooses of a plan: a rule, heavier augmentation, matched histograms; through to a model."""

import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import PlanError
from delineate.inference import Segmenter
from delineate.io import read_volume
from delineate.networks import Model
from delineate.pipeline import PlanWishes, Unwatched, plan, run
from delineate.pipeline.run_folder import Run
from delineate.planning.generalize import is_matched
from delineate.space import Volume

QUICK = {"training.precision": "fp32", "training.validate_every": 2, "training.validation_batches": 1}


@pytest.mark.slow
def test_a_run_trains_with_all_of_it_and_its_model_knows(balls_folder, tmp_path):
    wishes = PlanWishes(steps=2, by_hand=QUICK, optimizer="muon", augment="heavy", normalize="histogram")
    run(balls_folder, tmp_path / "run", wishes, Unwatched())
    model = Model.open(tmp_path / "run" / "model")
    assert model.plan.training.optimizer == "muon"
    assert {drawn.preset for drawn in model.plan.augmentation.values()} == {"heavy"}
    assert is_matched(model.plan)
    scan = read_volume(balls_folder / "imagesTr" / "ball_03_0000.nii.gz")
    scan = Volume(scan.array * 7 + 100, scan.geometry, ("MR",))
    found = Segmenter.open(tmp_path / "run" / "model").segment(scan)
    assert found.labels.geometry.same_place(scan.geometry)


def test_what_was_chosen_stays_until_something_else_is(balls_folder, tmp_path):
    folder = tmp_path / "run"
    plan(balls_folder, folder, PlanWishes(steps=2, augment="heavy", normalize="histogram"), Unwatched())
    again = plan(balls_folder, folder, PlanWishes(steps=2), Unwatched())
    assert is_matched(again)
    assert again.augmentation[again.first].preset == "heavy"
    back = plan(balls_folder, folder, PlanWishes(steps=2, augment="nnunet", normalize="scan"), Unwatched())
    assert not is_matched(back)
    assert back.augmentation[back.first].preset == "nnunet"


def test_the_verb_takes_them(balls_folder, tmp_path):
    words = ["plan", str(balls_folder), str(tmp_path / "run"), "--steps", "2", "--device", "cpu"]
    done = CliRunner().invoke(app, [*words, "--augment", "heavy", "--normalize", "histogram"])
    assert done.exit_code == 0, done.output
    done = CliRunner().invoke(app, [*words, "--optimizer", "sgd"])
    assert done.exit_code == 0, done.output
    made = Run(tmp_path / "run").plan()
    assert (made.training.optimizer, made.training.momentum) == ("sgd", 0.99)
    assert is_matched(made)


def test_ct_is_not_matched(balls_folder, tmp_path):
    folder = tmp_path / "run"
    plan(balls_folder, folder, PlanWishes(steps=2), Unwatched())
    unit = {"channels.0.normalization.rule": "unit"}
    plan(balls_folder, folder, PlanWishes(steps=2, by_hand=unit), Unwatched())
    with pytest.raises(PlanError, match=r"no histogram is matched: values of MR \(unit\)"):
        plan(balls_folder, folder, PlanWishes(steps=2, normalize="histogram"), Unwatched())
