"""Two processes that share each batch learn what one learns."""

import json
import subprocess
import sys

import pytest
import safetensors.torch

from delineate.errors import RunError
from delineate.training.history import read
from delineate.training.loop import CHECKPOINT, HISTORY, WEIGHTS
from delineate.training.processes import Place

PLAIN = {"optimizer": "sgd", "momentum": 0.9, "steps": 12, "validate_every": 6}


def trained(program, folder, **options):
    subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            program,
            folder,
            json.dumps({"training": PLAIN, "dropout": 0} | options),
        ],
        check=True,
    )
    return safetensors.torch.load_file(folder / WEIGHTS), read(folder / HISTORY)


@pytest.mark.parametrize(
    "options",
    [
        {"size": 3, "batch_dice": True},  # two samples here, one there, and sums over both
        pytest.param({"size": 4}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_two_processes_learn_what_one_learns(program, tmp_path, options):
    alone, history = trained(program, tmp_path / "alone", **options)
    shared, same_history = trained(program, tmp_path / "shared", devices=2, **options)
    for name, tensor in alone.items():
        assert (tensor - shared[name]).abs().max() < 1e-6
    for one, other in zip(history, same_history, strict=True):
        assert one.loss == pytest.approx(other.loss, abs=1e-5)
        assert (one.validation is None) == (other.validation is None)
        if one.validation:
            assert one.validation.dice == pytest.approx(other.validation.dice, abs=1e-3)
    assert sorted(p.name for p in (tmp_path / "shared").iterdir()) == [HISTORY, WEIGHTS]


@pytest.mark.slow
def test_the_processes_keep_a_budget_together(program, tmp_path):
    budget = {"training": {"minutes": 1.0, "validate_every": 6}, "tick": 0.5}
    _, history = trained(program, tmp_path, devices=2, **budget)
    assert 50 < history[-1].elapsed_s <= 60


def test_a_process_that_fails_ends_the_training(program, tmp_path):
    """A rank that cannot make its share of a batch: here, of a batch of one."""
    done = subprocess.run(
        [sys.executable, program, tmp_path, json.dumps({"training": PLAIN, "size": 1, "devices": 2})],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "process 1 of the training ended with exit code 1; its message is above" in done.stderr
    assert "goes on from its last checkpoint" in done.stderr
    assert (tmp_path / CHECKPOINT).is_file()


TOLD = {
    "TORCHELASTIC_RUN_ID": "none",
    "RANK": "3",
    "WORLD_SIZE": "4",
    "LOCAL_RANK": "1",
    "LOCAL_WORLD_SIZE": "2",
    "GROUP_RANK": "1",
    "GROUP_WORLD_SIZE": "2",
    "MASTER_ADDR": "node0",
    "MASTER_PORT": "29500",
}


def test_a_process_knows_its_place_from_what_torchrun_tells_it():
    place = Place.of(TOLD)
    assert place == Place(
        rank=3, size=4, local_rank=1, local_size=2, node=1, nodes=2, address="node0", port=29500
    )
    assert not place.leads
    assert Place.of(TOLD | {"RANK": "0"}).leads


def test_nobody_is_launched_who_was_not():
    assert Place.of({}) is None
    assert Place.of({"RANK": "1", "WORLD_SIZE": "2"}) is None  # somebody else's variables


def test_half_of_what_torchrun_tells_is_refused():
    with pytest.raises(RunError, match=r"but WORLD_SIZE, MASTER_PORT is not\. Start it with  torchrun"):
        Place.of({key: value for key, value in TOLD.items() if key not in ("WORLD_SIZE", "MASTER_PORT")})
