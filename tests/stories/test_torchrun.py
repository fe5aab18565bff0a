"""Processes that torchrun has started train together, and learn what one learns alone."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import safetensors.torch

pytestmark = pytest.mark.slow


def torchrun(*words):
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-m", "delineate", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=environment,
    )


def history(folder):
    rows = (folder / "folds" / "3d_fullres" / "fold_0" / "history.jsonl").read_text().splitlines()
    return [json.loads(row) for row in rows]


def test_torchrun_trains_what_one_process_trains(terminal, cohort, quick, tmp_path):
    folder, alone = tmp_path / "run", tmp_path / "alone"
    plain = quick | {"training.optimizer": "sgd"}  # Adam's first steps make much of rounding
    settings = [word for k, v in plain.items() for word in ("--set", f"{k}={json.dumps(v)}")]
    done = terminal.run("plan", cohort, folder, "--steps", 4, "--device", "cpu", *settings)
    assert done.returncode == 0, done.stderr
    shutil.copytree(folder, alone)
    done = torchrun("train", folder, "--fold", 0, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("train 3d_fullres fold 0: 4 steps") == 1  # the first alone speaks
    assert "Traceback" not in done.stderr
    done = terminal.run("train", alone, "--fold", 0, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    mine, other = (
        safetensors.torch.load_file(run / "folds" / "3d_fullres" / "fold_0" / "weights.safetensors")
        for run in (folder, alone)
    )
    assert max(float((mine[name] - other[name]).abs().max()) for name in other) < 1e-4
    assert [row["step"] for row in history(folder)] == [row["step"] for row in history(alone)]
    again = torchrun("train", folder, "--fold", 0, "--device", "cpu")  # nothing is left to do
    assert again.returncode == 0, again.stderr


def test_two_folds_follow_each_other_in_one_group(terminal, cohort, quick, tmp_path):
    folder = tmp_path / "run"
    settings = [word for k, v in quick.items() for word in ("--set", f"{k}={json.dumps(v)}")]
    done = terminal.run("plan", cohort, folder, "--steps", 2, "--device", "cpu", *settings)
    assert done.returncode == 0, done.stderr
    done = torchrun("train", folder, "--fold", "0,1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    folds = sorted(path.name for path in (folder / "folds" / "3d_fullres").iterdir())
    assert folds == ["fold_0", "fold_1"]
    assert not list(folder.rglob("checkpoint.safetensors"))
