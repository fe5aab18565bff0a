"""Pretraining: it learns, it beats the mean, and an interruption leaves no trace."""

from dataclasses import dataclass

import pytest
import safetensors.torch
import torch

from delineate.errors import PlanError, RunError
from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import LabelSchema
from delineate.space.phantoms import balls
from delineate.training.history import read
from delineate.training.losses import alone
from delineate.training.pretrain import EXPLAINED, Reconstruction, gentle, pretrain, single
from delineate.training.pretrain.pretrain import APPEARANCE


@dataclass(frozen=True)
class Split:
    train: tuple[str, ...] = ("c0", "c1", "c2")
    validation: tuple[str, ...] = ("c3",)


def plan_of(steps=6, **changes):
    spec = NetworkSpec(
        features=(6, 8),
        strides=((1, 1, 1), (2, 2, 2)),
        kernels=((3, 3, 3),) * 2,
        encoder_blocks=(2, 2),
        decoder_blocks=(2,),
    )
    full = Configuration(
        spacing=(1.0, 1.0, 1.0),
        median_shape=(16, 16, 16),
        patch=(16, 16, 16),
        batch=2,
        network=spec,
        batch_dice=False,
    )
    how = {
        "optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 1e-4, "schedule": "poly",
        "steps": steps, "validate_every": max(1, steps // 2), "validation_batches": 4, "precision": "fp32",
    }  # fmt: skip
    return Plan(
        dataset="balls",
        fingerprint="0" * 64,
        labels=LabelSchema.of("foreground"),
        channels=(ChannelPlan(name="MR", normalization=Normalization(rule="zscore")),),
        orientation="RAS",
        configurations={"3d_fullres": full},
        use=("3d_fullres",),
        augmentation={"3d_fullres": gentle(Augmentation())},
        training=Training.model_validate(how | changes),
        reasons={},
    )


@pytest.fixture
def store(prepared_phantoms):
    """Four scans of balls, smooth enough to be guessed."""
    return prepared_phantoms(lambda rng: balls(rng, size=16))


@pytest.mark.parametrize("task", ["mae", "genesis"])
def test_the_loss_falls_and_what_is_filled_in_is_better_than_the_mean(store, tmp_path, task):
    how = {"task": task, "workers": 1, "hidden": 0.5}
    pretrain(plan_of(steps=100, validate_every=50), store, Split(), tmp_path / "run", **how)
    rows = read(tmp_path / "run" / "history.jsonl")
    losses = [row.loss for row in rows]
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    explained = [row.validation.dice[EXPLAINED] for row in rows if row.validation]
    assert explained[-1] > 0.2  # the mean explains 0
    assert rows[-1].validation.title == "explained"


def test_an_interruption_leaves_no_trace(store, tmp_path):
    def killed(step):
        if step.step == 3:
            raise KeyboardInterrupt

    whole = pretrain(plan_of(), store, Split(), tmp_path / "whole", workers=1)
    with pytest.raises(KeyboardInterrupt):
        pretrain(plan_of(), store, Split(), tmp_path / "again", workers=1, watch=killed, save_every_s=0.0)
    again = pretrain(plan_of(), store, Split(), tmp_path / "again", workers=2)
    one, other = (safetensors.torch.load_file(path) for path in (whole, again))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_another_task_does_not_go_on_where_one_was_left(store, tmp_path):
    pretrain(plan_of(steps=1), store, Split(), tmp_path / "run", workers=1)
    with pytest.raises(RunError, match=r"task\.name: \"mae\" then, \"genesis\" now"):
        pretrain(plan_of(steps=1), store, Split(), tmp_path / "run", workers=1, task="genesis")


@pytest.mark.parametrize("hidden", [0.0, 1.0])
def test_something_is_hidden_and_something_is_seen(store, tmp_path, hidden):
    with pytest.raises(PlanError, match="a share between 0 and 1 is hidden"):
        pretrain(plan_of(), store, Split(), tmp_path / "run", hidden=hidden)


def test_a_network_has_one_output_and_values_are_left_alone():
    assert single(plan_of().configuration().network).deep_supervision is False
    assert all(getattr(gentle(Augmentation()), name) == 0 for name in APPEARANCE)
    assert gentle(Augmentation()).rotation_probability == Augmentation().rotation_probability


# ---- the objective


def target(*shape, hidden):
    image = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(shape[0], 1, *shape[2:])
    mask[:, :, :hidden] = 1
    return image, torch.cat([image, mask], 1)


def test_only_what_was_hidden_counts_and_a_perfect_answer_costs_nothing():
    image, labels = target(2, 2, 6, 6, hidden=2)
    objective = Reconstruction().on(torch.device("cpu"))
    assert objective(image, labels).total == 0
    wrong = image.clone()
    wrong[:, :, 2:] += 5
    assert objective((wrong, wrong), labels).total == 0
    wrong[:, :, :2] += 2
    parts = objective(wrong, labels, alone)
    torch.testing.assert_close(parts.total, torch.tensor(4.0))
    torch.testing.assert_close(objective.hardness(wrong, labels), torch.tensor([4.0, 4.0]))


def test_the_mean_of_what_is_seen_explains_nothing_and_the_truth_explains_all():
    image, labels = target(1, 1, 6, 6, hidden=3)
    objective = Reconstruction()
    mean = torch.full_like(image, float(image[:, :, 3:].mean()))
    assert objective.figures(objective.counted(mean, labels))[EXPLAINED] == pytest.approx(0, abs=1e-6)
    assert objective.figures(objective.counted(image, labels)) == {EXPLAINED: 1.0}
    flat = torch.ones_like(labels)
    assert objective.figures(objective.counted(image, flat)) == {EXPLAINED: None}


def test_gradients_come_from_what_was_hidden_alone():
    image, labels = target(1, 1, 4, 4, hidden=2)
    guess = torch.zeros_like(image, requires_grad=True)
    Reconstruction()(guess, labels).total.backward()
    assert guess.grad[:, :, :2].all()
    assert not guess.grad[:, :, 2:].any()
    del image
