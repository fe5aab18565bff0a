"""Folds and the cascade: what is handed down, measured in pairs, chosen, packed and run on a new scan."""

import json
import shutil

import numpy as np
import pytest

from delineate.dataset import Dataset, Splits
from delineate.io import read_label_values, read_volume
from delineate.networks import Model
from delineate.pipeline import PlanWishes, Run, Unwatched, plan
from delineate.planning import make_plan
from delineate.preparation import Store

pytestmark = pytest.mark.slow

USE = ("3d_fullres", "3d_lowres", "3d_cascade_fullres")
PAIRS = {"3d_fullres+3d_lowres", "3d_fullres+3d_cascade_fullres", "3d_lowres+3d_cascade_fullres"}
MEMORY_GB = 0.05  # so little that a patch sees a sixteenth of a scan


@pytest.fixture(scope="module")
def large_balls(tmp_path_factory, balls_in):
    """Six scans that are large for the memory."""
    return balls_in(tmp_path_factory.mktemp("data") / "Dataset002_Large", 6, size=64)


@pytest.fixture(scope="module")
def planned(tmp_path_factory, large_balls, quick):
    """A run whose plan names every configuration in 3D, and whose cases are divided into three."""
    folder = tmp_path_factory.mktemp("cascade") / "run"
    ids = Dataset.open(large_balls).ids
    own = [{"train": [c for c in ids if c not in ids[n::3]], "val": list(ids[n::3])} for n in range(3)]
    splits = folder.parent / "splits.json"
    splits.write_text(json.dumps(own))
    wishes = PlanWishes(steps=2)
    run = Run.start(folder, Dataset.open(large_balls))
    run.save("splits.json", Splits.read(splits, Dataset.open(large_balls)))
    plan(large_balls, folder, wishes, Unwatched())
    made = make_plan(run.fingerprint(), memory_gb=MEMORY_GB, steps=2, fold_count=3, use=USE)
    for name in USE:
        made = made.set_by_hand(f"configurations.{name}.network.features", [4, 8, 16])
    for field in ("training.precision", "training.validate_every", "training.validation_batches"):
        made = made.set_by_hand(field, quick[field])
    run.save("plan.json", made)
    return folder


@pytest.fixture(scope="module")
def trained(planned, terminal):
    """All three configurations trained in three folds, then measured and packed."""
    for verb in (
        ("train", planned, "--device", "cpu"),
        ("evaluate", planned),
        ("report", planned),
        ("pack", planned),
    ):
        done = terminal.run(*verb)
        assert done.returncode == 0, done.stderr
    return planned


def test_the_plan_trains_all_folds_and_says_why(planned):
    made = Run.open(planned).plan()
    assert (made.use, made.folds, made.train_folds) == (USE, 3, (0, 1, 2))
    assert made.configuration("3d_cascade_fullres").previous == "3d_lowres"
    assert "never saw the case" in made.reasons["train_folds"]


def test_every_case_is_handed_the_labels_of_the_fold_that_did_not_learn_from_it(trained):
    store = Store.open(trained / "prepared" / "3d_fullres")
    assert len(store.ids) == 6
    for case in store.ids:
        previous = store.case(case).previous()
        assert previous.shape == store.case(case).shape
        assert set(np.unique(previous)) <= {0, 1, 2}
    notes = sorted(path.name for path in (trained / "folds" / "3d_lowres").rglob("handed_to_*"))
    assert notes == ["handed_to_3d_cascade_fullres.json"] * 3


def test_singles_and_pairs_are_measured_and_the_best_is_chosen(trained):
    choice = json.loads((trained / "evaluation" / "choice.json").read_text())
    assert set(choice["scores"]) == {*USE, *PAIRS}
    best = max(score or 0 for score in choice["scores"].values())
    assert choice["scores"]["+".join(choice["use"])] == best
    report = json.loads((trained / "evaluation" / "report.json").read_text())
    assert len(report["cases"]) == 6
    page = (trained / "report.html").read_text()
    assert all(name in page for name in USE)


def test_the_packed_model_holds_what_was_chosen_and_segments(trained, large_balls, terminal, tmp_path):
    choice = json.loads((trained / "evaluation" / "choice.json").read_text())
    model = Model.open(trained / "model")
    assert set(choice["use"]) <= set(model.folds)
    assert set(model.folds.values()) == {(0, 1, 2)}
    scan = large_balls / "imagesTr" / "ball_03_0000.nii.gz"
    done = terminal.run("segment", trained / "model", scan, "-o", tmp_path / "labels.nii.gz")
    assert done.returncode == 0, done.stderr
    found = read_label_values(tmp_path / "labels.nii.gz")
    assert found.geometry.same_place(read_volume(scan).geometry)


def test_a_cascade_alone_can_be_given_away_with_what_it_builds_on(trained, terminal, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    file = folder / "evaluation" / "choice.json"
    choice = json.loads(file.read_text()) | {"use": ["3d_cascade_fullres"]}
    file.write_text(json.dumps(choice))
    done = terminal.run("pack", folder, tmp_path / "model")
    assert done.returncode == 0, done.stderr
    assert set(Model.open(tmp_path / "model").folds) == {"3d_lowres", "3d_cascade_fullres"}


def test_prepared_cases_may_be_deleted_and_the_cascade_goes_on(trained, terminal, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    shutil.rmtree(folder / "prepared")
    shutil.rmtree(folder / "folds" / "3d_cascade_fullres" / "fold_1")
    done = terminal.run("train", folder, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    for fold in range(3):
        mine, before = (f / "folds" / "3d_cascade_fullres" / f"fold_{fold}" for f in (folder, trained))
        assert (mine / "weights.safetensors").read_bytes() == (before / "weights.safetensors").read_bytes()


def test_a_cascade_whose_first_stage_is_not_trained_says_what_to_do(trained, terminal, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(trained, folder)
    shutil.rmtree(folder / "folds")
    done = terminal.run("train", folder, "--fold", 0, "--use", "3d_lowres", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    done = terminal.run("train", folder, "--fold", 0, "--use", "3d_cascade_fullres", "--device", "cpu")
    assert done.returncode == 1
    assert "fold 1 of 3d_lowres is not trained" in done.stderr
    assert f"delineate train {folder} --fold 1 --use 3d_lowres" in done.stderr
