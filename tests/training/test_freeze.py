"""Freeze: nothing frozen changes, what thaws learns, and an interruption leaves no trace."""

import pytest
import safetensors.torch
import torch
from torch import nn

from delineate.errors import RunError
from delineate.networks.parts import in_encoder
from delineate.training.freeze import Frozen
from delineate.training.loop import WEIGHTS, Task, fit
from delineate.training.optimize import SHARE, grouped, make_optimizer, set_rate
from delineate.training.world import World


class Halves(nn.Module):
    """An encoder with running statistics, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU())
        self.head = nn.Conv2d(6, 3, 3, padding=1)

    def forward(self, x):
        return self.head(self.encoder(x))


def halves():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        return Halves()


@pytest.fixture
def trained(tiny, tmp_path):
    """Trains the halves: their weights; `stopped` is the step after which the training was killed once."""

    def run(name, *, stopped=None, tick=None, **changes):
        plan = tiny.training(**{"steps": 12, "validate_every": 6} | changes)
        task = Task(plan, tiny.SCHEMA, basis={"training": plan.model_dump(mode="json")})

        def killed(step):
            if step.step == stopped:
                raise KeyboardInterrupt

        for watch in ([killed] if stopped else []) + [None]:
            world = World.alone("cpu", "fp32", save_every_s=0.0, **({"watch": watch} if watch else {}))
            try:
                fit(halves(), tiny.Balls(1), tiny.Balls(2), task, tmp_path / name, world)
            except KeyboardInterrupt:
                continue
        return safetensors.torch.load_file(tmp_path / name / WEIGHTS)

    return run


def moved(weights, *, encoder):
    first = halves().state_dict()
    return {n for n, t in weights.items() if in_encoder(n) is encoder and not torch.equal(t, first[n])}


@pytest.mark.parametrize("how", [{}, {"optimizer": "sgd"}, {"ema": 0.9}, {"accumulate": 2}])
def test_what_is_frozen_changes_by_not_one_bit(trained, how):
    weights = trained("run", freeze="encoder", **how)
    assert not moved(weights, encoder=True)  # running statistics of its norms included
    assert moved(weights, encoder=False) == {"head.weight", "head.bias"}


def test_what_thaws_learns_from_then_on_and_not_before(trained):
    weights = trained("run", freeze="encoder", thaw_after=0.5)
    assert len(moved(weights, encoder=True)) == 7


def test_freezing_lasts_for_its_share_of_the_training(tiny):
    plan = tiny.training(freeze="encoder", thaw_after=0.25)
    frozen = Frozen.of(plan, Halves())
    assert [frozen.is_frozen(at) for at in (0.0, 0.2, 0.25, 1.0)] == [True, True, False, False]
    assert Frozen.of(tiny.training(freeze="encoder"), Halves()).is_frozen(1.0)
    assert not Frozen.of(tiny.training(), Halves()).is_frozen(0.0)


@pytest.mark.parametrize("stopped", [3, 8])
def test_an_interruption_before_or_after_thawing_leaves_no_trace(trained, stopped):
    how = {"freeze": "encoder", "thaw_after": 0.5, "encoder_rate": 0.1}
    whole, again = trained("whole", **how), trained("again", stopped=stopped, **how)
    assert all(torch.equal(tensor, again[name]) for name, tensor in whole.items())


def test_processes_that_share_gradients_compute_them_and_drop_them(tiny):
    network = Halves()
    frozen = Frozen.of(tiny.training(freeze="encoder"), network, alone=False)
    network.train()
    frozen.set(0.0)
    network(torch.randn(2, 1, 8, 8)).sum().backward()
    assert network.encoder[0].weight.grad is not None
    assert not network.encoder[1].training
    frozen.drop(0.0)
    assert network.encoder[0].weight.grad is None
    assert network.head.weight.grad is not None


def test_the_encoder_may_learn_at_a_share_of_the_rate(tiny):
    plan = tiny.training(encoder_rate=0.1)
    optimizer = make_optimizer(plan, grouped(plan, Halves()))
    set_rate(optimizer, 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.5]
    assert [SHARE in group for group in optimizer.param_groups] == [True, False]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(Halves().parameters()))


def test_a_smaller_rate_moves_the_encoder_less(trained):
    full, slow = trained("full"), trained("slow", encoder_rate=0.01)
    first = halves().state_dict()["encoder.0.weight"]
    assert (slow["encoder.0.weight"] - first).norm() < 0.1 * (full["encoder.0.weight"] - first).norm()


def test_a_checkpoint_made_with_another_freeze_is_refused(trained):
    trained("run", freeze="encoder")
    with pytest.raises(RunError, match=r"training\.freeze: \"encoder\" then, \"none\" now"):
        trained("run")
