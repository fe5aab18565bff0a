"""Two processes train together, by command."""

import json
import signal

import pytest

from delineate.evaluation import Report

pytestmark = pytest.mark.slow


def test_two_processes_train_a_run_that_is_then_measured(terminal, cohort, quick, tmp_path):
    folder = tmp_path / "run"
    settings = [word for k, v in quick.items() for word in ("--set", f"{k}={json.dumps(v)}")]
    done = terminal.run("plan", cohort, folder, "--steps", 4, "--device", "cpu", *settings)
    assert done.returncode == 0, done.stderr
    done = terminal.run("train", folder, "--devices", 2, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "train 3d_fullres fold 0: 4 steps" in done.stderr
    done = terminal.run("evaluate", folder)
    assert done.returncode == 0, done.stderr
    assert len(Report.load(folder / "evaluation" / "report.json").cases) == 2
    history = (folder / "folds" / "3d_fullres" / "fold_0" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in history] == [2, 4]


def test_two_processes_are_stopped_without_a_traceback_and_go_on_later(terminal, cohort, quick, tmp_path):
    folder = tmp_path / "run"
    settings = [word for k, v in quick.items() for word in ("--set", f"{k}={json.dumps(v)}")]
    done = terminal.run("plan", cohort, folder, "--steps", 2000, "--device", "cpu", *settings)
    assert done.returncode == 0, done.stderr
    fold = folder / "folds" / "3d_fullres" / "fold_0"
    words = ("train", folder, "--devices", 2, "--device", "cpu")
    done = terminal.ended(words, signal.SIGINT, lambda _: (fold / "history.jsonl").exists())
    assert done.returncode == 130, done.stderr
    assert "Traceback" not in done.stderr
    assert "the same command goes on from there" in done.stderr
    again = terminal.ended(
        words, signal.SIGINT, lambda _: len((fold / "history.jsonl").read_text().splitlines()) > 12
    )
    assert again.returncode == 130, again.stderr
    steps = [json.loads(line)["step"] for line in (fold / "history.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))
    assert len(steps) > 12
