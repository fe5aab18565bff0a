"""Killed at any moment and started again, a run ends as if nothing had happened."""

import json
import shutil
import signal

import numpy as np
import pytest

from delineate.io.disk import is_partial
from delineate.networks import Model

pytestmark = pytest.mark.slow

FOLD = "folds/3d_fullres/fold_0"
KILLS = (  # (a run has come so far when this exists, seconds within which the kill comes after it)
    ("", 1.0),
    ("run.json", 0.3),
    ("fingerprint.json", 0.05),
    ("prepared/3d_fullres", 0.1),
    ("prepared/3d_fullres/ball_05", 0.05),
    (f"{FOLD}/checkpoint.safetensors", 0.2),
    (f"{FOLD}/history.jsonl", 0.5),
    (f"{FOLD}/weights.safetensors", 0.5),
    (f"{FOLD}/predictions", 0.3),
    ("evaluation/choice.json", 0.3),
    ("report.html", 0.1),
)
SAME = (  # files that hold no time of day and no duration
    "check.json",
    "fingerprint.json",
    "splits.json",
    "plan.json",
    f"{FOLD}/weights.safetensors",
    "evaluation/scores.csv",
    "evaluation/report.json",
    "evaluation/choice.json",
    "model/plan.json",
    "model/labels.json",
    "model/cleanup.json",
    "model/3d_fullres/fold_0.safetensors",
)


def command(cohort, folder):
    settings = (
        "precision=fp32",
        "training.validate_every=2",
        "training.validation_batches=2",
        "features=[4,8,16]",
    )
    sets = [word for setting in settings for word in ("--set", setting)]
    return ["run", cohort, folder, "--steps", 8, "--device", "cpu", *sets]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, terminal, cohort):
    """A run that nobody killed."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    done = terminal.run(*command(cohort, folder))
    assert done.returncode == 0, done.stderr
    return folder


def names(folder):
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_same(folder, other):
    assert names(folder) == names(other)
    for name in (*SAME, *(n for n in names(other) if n.startswith(("prepared/", f"{FOLD}/predictions/")))):
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name
    mine, theirs = (json.loads((f / "model" / "manifest.json").read_text()) for f in (folder, other))
    for manifest in (mine, theirs):
        manifest["facts"].pop("created")
        manifest["files"].pop("CARD.md")  # names the day
    assert mine == theirs


def test_a_run_killed_at_ten_moments_ends_like_one_that_was_not(
    terminal, cohort, undisturbed, leftovers, tmp_path
):
    folder, rng, killed = tmp_path / "run", np.random.default_rng(5), 0
    for mark, within_s in KILLS:
        known = bool(mark) and (folder / mark).exists()
        delay_s = float(rng.uniform(0, 2 if known else within_s))
        done = terminal.ended(
            command(cohort, folder), signal.SIGKILL, soon_after(folder / mark if mark else tmp_path, delay_s)
        )
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
        killed += done.returncode == -signal.SIGKILL
    assert killed >= 10
    done = terminal.run(*command(cohort, folder))
    assert done.returncode == 0, done.stderr
    assert leftovers(folder) == []
    assert_same(folder, undisturbed)


def soon_after(mark, delay_s):
    """Whether that long has passed since `mark` was first seen on disk."""
    seen = []

    def is_time(now_s):
        if not seen and mark.exists():
            seen.append(now_s)
        return bool(seen) and now_s >= seen[0] + delay_s

    return is_time


def test_preparing_goes_on_where_it_was_killed(terminal, cohort, undisturbed, leftovers, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undisturbed, folder, ignore=shutil.ignore_patterns("prepared", "folds", "model"))
    store = folder / "prepared" / "3d_fullres"
    done = terminal.ended(
        ["prepare", folder, "--workers", 2], signal.SIGKILL, soon_after(store / "ball_02", 0.0)
    )
    assert done.returncode == -signal.SIGKILL
    kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.b2nd") if ".partial" not in str(path)}
    assert terminal.run("prepare", folder).returncode == 0
    assert kept
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert leftovers(folder) == []
    for path in (undisturbed / "prepared").rglob("*"):
        if path.is_file():
            again = folder / path.relative_to(undisturbed)
            assert again.read_bytes() == path.read_bytes(), again


def test_packing_can_be_killed_and_leaves_the_old_model_or_the_new(
    terminal, undisturbed, leftovers, tmp_path
):
    model = tmp_path / "out" / "model"
    assert terminal.run("pack", undisturbed, model).returncode == 0
    for _ in range(3):
        terminal.ended(
            ["pack", undisturbed, model],
            signal.SIGKILL,
            lambda _: any(map(is_partial, model.parent.iterdir())),
        )
    done = terminal.run("pack", undisturbed, model)
    assert done.returncode == 0, done.stderr
    assert leftovers(tmp_path) == []
    assert Model.open(model).manifest == Model.open(undisturbed / "model").manifest


@pytest.mark.parametrize("mark", ["run.json", "prepared/3d_fullres/ball_00", f"{FOLD}/history.jsonl"])
def test_an_interrupted_run_says_that_it_can_go_on(terminal, cohort, tmp_path, mark):
    folder = tmp_path / "run"
    words = [word if word != 8 else 100_000 for word in command(cohort, folder)]
    done = terminal.ended(words, signal.SIGINT, soon_after(folder / mark, 0.02))
    assert done.returncode == 130, done.stderr
    assert done.stderr.endswith(
        "delineate: stopped. What was finished is kept; the same command goes on from there.\n"
    )
    assert "Traceback" not in done.stderr
