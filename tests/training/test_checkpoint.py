"""Checkpoints: written whole, read back the same, refused where they do not belong."""

import json

import pytest
import torch
from torch import nn

from delineate.errors import RunError
from delineate.training.checkpoint import (
    Checkpoint,
    State,
    Window,
    optimizer_tensors,
    restore_optimizer,
    weights_of,
)
from delineate.training.optimize import make_optimizer
from delineate.training.patience import Patience

BASIS = {"training": {"learning_rate": 0.1, "steps": None}, "train": ["a", "b"]}


def _moment():
    state = State(
        step=7, progress=1 / 3, elapsed_s=0.1 + 0.2, window=Window(steps=3, loss=-1e-17),
        patience=Patience(limit=3), scaler={"scale": 65536.0},
    )  # fmt: skip
    return Checkpoint(state, {"w": torch.rand(3)}, {"0/step": torch.tensor(4.0)}, {"w": torch.ones(3)}, {})


def test_what_is_saved_comes_back_bit_by_bit(tmp_path):
    moment = _moment()
    moment.save(tmp_path / "c.safetensors", BASIS)
    found = Checkpoint.load(tmp_path / "c.safetensors", BASIS)
    assert found.state == moment.state
    for part in ("weights", "optimizer", "average", "best"):
        was, now = getattr(moment, part), getattr(found, part)
        assert was.keys() == now.keys()
        assert all(torch.equal(was[name], now[name]) for name in was)


def test_a_checkpoint_that_could_not_be_written_leaves_the_last_one(tmp_path):
    path = tmp_path / "c.safetensors"
    _moment().save(path, BASIS)
    before = path.read_bytes()
    shared = torch.ones(4)
    torn = Checkpoint(State(), {"a": shared, "b": shared})
    with pytest.raises(RuntimeError, match="share memory"):
        torn.save(path, BASIS)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["c.safetensors"]


def test_a_checkpoint_of_other_settings_is_refused_with_the_settings(tmp_path):
    path = tmp_path / "fold_0" / "c.safetensors"
    _moment().save(path, BASIS)
    other = {"training": {"learning_rate": 0.2, "steps": 5}, "train": ["a", "c"], "new": 1}
    with pytest.raises(RunError) as caught:
        Checkpoint.load(path, other)
    text = str(caught.value)
    assert text.startswith(f"{path.parent}: this fold was trained with other settings:")
    assert "  training.learning_rate: 0.1 then, 0.2 now" in text
    assert "  training.steps: null then, 5 now" in text
    assert "  new: not there then, 1 now" in text
    assert f"put the old values back; to learn anew, delete {path.parent}." in text


def test_many_differences_are_counted(tmp_path):
    _moment().save(tmp_path / "c.safetensors", {f"n{n}": n for n in range(9)})
    with pytest.raises(RunError, match="and 4 more"):
        Checkpoint.load(tmp_path / "c.safetensors", {f"n{n}": n + 1 for n in range(9)})


@pytest.mark.parametrize("content", [b"", b"no tensors here", None])
def test_a_damaged_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.safetensors"
    _moment().save(path, BASIS)
    path.write_bytes(path.read_bytes()[:-5] if content is None else content)
    with pytest.raises(
        RunError, match=r"c.safetensors: cannot be read .* Delete the folder .* train this fold"
    ):
        Checkpoint.load(path, BASIS)


def test_a_file_of_somebody_else_is_refused(tmp_path):
    import safetensors.torch

    safetensors.torch.save_file({"w": torch.ones(1)}, tmp_path / "c.safetensors")
    with pytest.raises(RunError, match="this fold was trained with other settings"):
        Checkpoint.load(tmp_path / "c.safetensors", BASIS)


@pytest.mark.parametrize("kind", ["sgd", "adam", "adamw"])
def test_an_optimizer_goes_on_as_if_it_had_not_been_interrupted(tiny, kind):
    def stepped(network, optimizer, seeds):
        for seed in seeds:
            generator = torch.Generator().manual_seed(seed)
            for weight in network.parameters():
                weight.grad = torch.rand(weight.shape, generator=generator) - 0.5
            optimizer.step()

    def fresh():
        network = tiny.network()
        return network, make_optimizer(tiny.training(optimizer=kind), network.parameters())

    whole, first = fresh(), fresh()
    stepped(*whole, range(6))
    stepped(*first, range(3))
    second = fresh()
    second[0].load_state_dict(weights_of(first[0]))
    restore_optimizer(second[1], optimizer_tensors(first[1]))
    stepped(*second, range(3, 6))
    for one, other in zip(whole[0].parameters(), second[0].parameters(), strict=True):
        assert torch.equal(one, other)


def test_an_optimizer_that_has_not_stepped_remembers_nothing(tiny):
    assert optimizer_tensors(make_optimizer(tiny.training(), nn.Linear(1, 1).parameters())) == {}


def test_the_header_is_text_that_anybody_can_read(tmp_path):
    path = tmp_path / "c.safetensors"
    _moment().save(path, BASIS)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    texts = json.loads(header["__metadata__"]["delineate"])
    assert json.loads(texts["basis"]) == BASIS
    assert json.loads(texts["state"])["step"] == 7
