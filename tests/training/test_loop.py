"""The loop: the same weights whatever happens, and a clear word where there are none."""

import itertools
import json
import random
import subprocess
import sys
from contextlib import nullcontext

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from delineate.errors import RunError
from delineate.networks import build_network
from delineate.planning.plan import NetworkSpec
from delineate.preparation.patches import Batch
from delineate.space import Label, LabelSchema, Region
from delineate.training.checkpoint import State
from delineate.training.history import read
from delineate.training.loop import CHECKPOINT, HISTORY, WEIGHTS, Task, fit
from delineate.training.watch import unwatched
from delineate.training.world import World


@pytest.fixture
def trained(tiny, tmp_path):
    """Trains the tiny network: the folder; keyword arguments change the plan."""
    count = itertools.count()

    def run(folder=None, *, network=None, batches=None, validation=None, schema=None, world=None, **changes):
        folder = folder or tmp_path / f"fold_{next(count)}"
        plan = tiny.training(**changes)
        fit(
            network or tiny.network(),
            batches or tiny.Balls(1),
            validation or tiny.Balls(2),
            Task(plan, schema or tiny.SCHEMA, basis={"training": plan.model_dump(mode="json")}),
            folder,
            world or World.alone("cpu", plan.precision),
        )
        return folder

    return run


def weights(folder):
    return safetensors.torch.load_file(folder / WEIGHTS)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def header(path):
    with safetensors.safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["delineate"])


def losses(folder):
    return [(row.step, row.rate, row.loss, row.validation) for row in read(folder / HISTORY)]


def test_two_runs_with_one_seed_are_the_same_bit_by_bit(trained):
    one, other = trained(), trained()
    assert (one / WEIGHTS).read_bytes() == (other / WEIGHTS).read_bytes()
    assert losses(one) == losses(other)


def test_two_runs_of_a_real_network_with_two_threads_are_the_same_bit_by_bit(tiny, trained):
    spec = NetworkSpec(
        features=(8, 16),
        strides=((1, 1), (2, 2)),
        kernels=((3, 3),) * 2,
        encoder_blocks=(1,) * 2,
        decoder_blocks=(1,),
    )
    torch.set_num_threads(2)
    for precision in ("fp32", "bf16"):
        one, other = (
            trained(network=build_network(spec, 1, 3, seed=4), precision=precision, steps=3) for _ in range(2)
        )
        assert same(weights(one), weights(other))


def test_another_seed_gives_other_weights(trained):
    assert not same(weights(trained()), weights(trained(seed=1)))


def test_training_leaves_the_random_generators_as_they_were(trained):
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002
    trained(steps=3)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (random.getstate(), np.random.get_state()[1].tolist())  # noqa: NPY002


class Stop(Exception):  # noqa: N818
    """What a test interrupts a training with."""


def _stopping_at(step):
    def watch(seen):
        if seen.step == step:
            raise Stop

    return watch


@pytest.mark.parametrize("changes", [{"optimizer": "sgd"}, {"ema": 0.9, "patience": 9}], ids=str)
@pytest.mark.parametrize("save_every_s", [0.0, 1e9])
def test_an_interrupted_training_goes_on_as_if_it_had_not_been(
    tiny, trained, tmp_path, changes, save_every_s
):
    whole = trained(**changes)
    for step in (1, 7, 10, 11, 19, 20):
        folder = tmp_path / f"stopped_at_{step}_{save_every_s}"
        world = World.alone("cpu", "fp32", watch=_stopping_at(step), save_every_s=save_every_s)
        with pytest.raises(Stop):
            trained(folder, world=world, **changes)
        trained(folder, **changes)
        assert same(weights(folder), weights(whole))
        assert losses(folder) == losses(whole)


def test_a_time_budget_goes_on_where_it_was(tiny, trained, tmp_path):
    def world(watch=None):
        clock = tiny.Ticking(0.5)
        extra = {} if watch is None else {"watch": watch}
        return World.alone("cpu", "fp32", clock=clock, save_every_s=8.0, **extra)

    whole = trained(world=world(), minutes=1.0)
    last = read(whole / HISTORY)[-1]
    assert 50 < last.elapsed_s <= 60
    assert 0.8 < last.progress < 1
    for step in (2, 7, 16, 23):
        folder = tmp_path / f"stopped_at_{step}"
        with pytest.raises(Stop):
            trained(folder, world=world(_stopping_at(step)), minutes=1.0)
        trained(folder, world=world(), minutes=1.0)
        assert same(weights(folder), weights(whole))
        assert read(folder / HISTORY) == read(whole / HISTORY)


BY_STEPS = {"training": {"steps": 60}, "save_every_s": 0.05, "pause_s": 0.02}
BY_MINUTES = {"training": {"minutes": 3.0}, "tick": 1.0, "save_every_s": 8.0, "pause_s": 0.02}


@pytest.mark.parametrize(
    "options",
    [pytest.param(BY_STEPS, id="steps"), pytest.param(BY_MINUTES, id="minutes", marks=pytest.mark.slow)],
)
def test_killed_at_random_moments_it_finishes_with_nothing_lost(program, tmp_path, options):
    text = json.dumps(options)
    subprocess.run([sys.executable, program, tmp_path / "whole", text], check=True)
    killed = program.with_name("killed.py")
    done = subprocess.run(
        [sys.executable, killed, tmp_path / "killed", text, "5"], check=True, capture_output=True, text=True
    )
    assert int(done.stdout) >= 4
    assert same(weights(tmp_path / "killed"), weights(tmp_path / "whole"))
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_a_budget_of_seconds_is_kept_with_validation_and_weights(trained):
    import time

    start = time.monotonic()
    folder = trained(minutes=1.5 / 60, validate_every=1000, validation_batches=100_000)
    assert time.monotonic() - start < 2.5
    last = read(folder / HISTORY)[-1]
    assert last.validation is not None
    assert last.elapsed_s <= 1.7


def test_a_finished_fold_comes_back_at_once(trained):
    def unread(step):
        raise AssertionError(step)

    folder = trained()
    before = (folder / WEIGHTS).stat()
    trained(folder, batches=unread, validation=unread)
    assert (folder / WEIGHTS).stat() == before


def test_a_fold_of_other_settings_is_refused_finished_or_not(tiny, trained, tmp_path):
    folder = tmp_path / "half"
    with pytest.raises(Stop):
        trained(folder, world=World.alone("cpu", "fp32", watch=_stopping_at(8)))
    for begun in (folder, trained()):
        with pytest.raises(RunError) as caught:
            trained(begun, learning_rate=0.5, steps=30)
        assert "this fold was trained with other settings" in str(caught.value)
        assert "training.learning_rate: 0.01 then, 0.5 now" in str(caught.value)
        assert "training.steps: 20 then, 30 now" in str(caught.value)
        assert f"to learn anew, delete {begun}" in str(caught.value)


def test_a_loss_that_is_no_number_stops_and_the_last_good_state_is_kept(tiny, trained, tmp_path):
    folder = tmp_path / "fold"
    with pytest.raises(RunError) as caught:
        trained(folder, batches=tiny.Balls(1, broken_at=12))
    text = str(caught.value)
    assert "the training loss became nan before step 13" in text
    assert "learning rate 0.01, precision fp32" in text
    assert f"delete {folder} and train this fold again" in text
    kept = safetensors.torch.load_file(folder / CHECKPOINT)
    assert all(torch.isfinite(tensor).all() for tensor in kept.values())
    assert [row.step for row in read(folder / HISTORY)] == [7, 10]
    trained(folder)  # the data are mended: it goes on from the last good state
    assert same(weights(folder), weights(trained()))


def test_a_validation_that_gives_no_number_stops_as_well(tiny, trained):
    with pytest.raises(RunError, match="the validation loss became nan before step 7"):
        trained(validation=tiny.Balls(2, broken_at=1))


class Inverted:
    """Validation that gets worse as training gets better: the labels are those of something else."""

    def __init__(self, tiny):
        self.batch = tiny.Balls(2).batch(0)

    def __call__(self, step):
        batch = Batch(self.batch.images, (self.batch.labels + 1) % 3, ())
        return nullcontext(itertools.repeat(batch))


def test_training_stops_when_patience_is_over_and_gives_the_best_weights(tiny, trained):
    constant = {"schedule": "constant", "validate_every": 3, "validation": Inverted(tiny)}
    early = trained(steps=500, patience=2, **constant)
    rows = [row for row in read(early / HISTORY) if row.validation]
    scores = [row.validation.loss for row in rows]
    assert scores[-1] > scores[-3]
    assert scores[-2] > scores[-3]
    best = rows[-3].step
    assert rows[-1].step == best + 6
    assert same(weights(early), weights(trained(steps=best, **constant)))


def test_the_average_of_the_weights_is_what_is_given_away(tiny, trained):
    first = tiny.network().state_dict()
    after = weights(trained(steps=1, schedule="constant"))
    averaged = weights(trained(steps=1, schedule="constant", ema=0.9))
    for name, tensor in averaged.items():
        assert torch.allclose(tensor, 0.1 * first[name] + 0.9 * after[name], atol=1e-6)


def test_one_batch_is_learnt_by_heart(tiny, trained):
    same_batch = tiny.Balls(1, size=2, same=True)
    folder = trained(
        network=tiny.network(features=16, dropout=0.0), batches=same_batch, validation=same_batch, steps=400,
        validation_batches=1, validate_every=400, learning_rate=0.02,
    )  # fmt: skip
    dice = read(folder / HISTORY)[-1].validation.dice
    assert min(dice.values()) > 0.99


def test_regions_and_voxels_that_nobody_annotated_are_learnt(tiny, trained):
    schema = LabelSchema(
        labels=(Label(value=3, name="ball"), Label(value=7, name="shell")),
        regions=(Region(name="all", values=(3, 7), paints=7), Region(name="ball", values=(3,), paints=3)),
        ignore=9,
    )

    def partly(step):
        batches = tiny.Balls(1)(step)

        def blanked(batch):
            labels = batch.labels.clone()
            labels[:, :5] = -1
            return Batch(batch.images, labels, ())

        with batches as some:
            return nullcontext(map(blanked, some))

    folder = trained(
        network=tiny.network(outputs=2), batches=partly, schema=schema, steps=60, validate_every=60
    )
    dice = read(folder / HISTORY)[-1].validation.dice
    assert list(dice) == ["all", "ball"]
    assert dice["all"] > 0.8


def test_who_watches_sees_every_step_and_how_long_it_still_takes(tiny, trained):
    seen = []
    trained(world=World.alone("cpu", "fp32", clock=tiny.Ticking(1.0), watch=seen.append))
    assert [step.step for step in seen] == list(range(1, 21))
    assert [step.step for step in seen if step.validation] == [7, 14, 20]
    assert seen[0].rate == 0.01
    assert seen[-1].remaining_s == 0
    assert seen[4].remaining_s == pytest.approx(15 * 2)
    assert all(later.elapsed_s > sooner.elapsed_s for sooner, later in itertools.pairwise(seen))
    assert all(np.isfinite(step.loss) for step in seen)


def test_the_history_has_a_row_for_ten_steps_and_for_each_validation(tiny, trained):
    folder = trained(world=World.alone("cpu", "fp32", clock=tiny.Ticking(1.0)))
    rows = read(folder / HISTORY)
    assert [row.step for row in rows] == [7, 10, 14, 20]
    assert [row.waited for row in rows] == pytest.approx([0.5] * 4)  # of two ticks, one for the data
    for row in rows:
        assert row.loss == pytest.approx(row.voxel - row.region)


def test_weights_can_be_read_by_everybody(trained, tmp_path):
    plain = tmp_path / "plain"
    plain.touch()
    assert (trained(steps=1) / WEIGHTS).stat().st_mode == plain.stat().st_mode


def test_bf16_learns_too(trained):
    rows = read(trained(precision="bf16", steps=60) / HISTORY)
    assert rows[-1].loss < rows[0].loss


def test_a_loss_scale_is_remembered(tiny, trained, tmp_path):
    """What fp16 on a GPU does, with the scaler on the CPU."""
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.precision.amp import MixedPrecision

    def world(watch=unwatched):
        scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=4)
        fabric = Fabric(accelerator="cpu", devices=1, plugins=[MixedPrecision("16-mixed", "cpu", scaler)])
        return World(fabric, watch=watch, save_every_s=0.0)

    whole = trained(world=world())
    with pytest.raises(Stop):
        trained(tmp_path / "half", world=world(_stopping_at(11)))
    state = State.from_json(header(tmp_path / "half" / CHECKPOINT)["state"], where="")
    assert state.scaler["scale"] == 1024.0  # doubled twice
    assert state.scaler["growth_interval"] == 4
    trained(tmp_path / "half", world=world())
    assert same(weights(tmp_path / "half"), weights(whole))


def test_added_up_gradients_are_those_of_the_larger_batch(tiny, trained):
    how = {"optimizer": "sgd", "momentum": 0.9, "steps": 5}
    batches = tiny.Balls(1, size=6)
    whole, parted = (
        weights(trained(network=tiny.network(dropout=0.0), batches=batches, accumulate=n, **how))
        for n in (1, 3)
    )
    assert all(torch.allclose(whole[name], parted[name], atol=1e-6) for name in whole)


def test_added_up_gradients_go_on_after_an_interruption(tiny, trained, tmp_path):
    whole = trained(accumulate=2)
    with pytest.raises(Stop):
        trained(tmp_path / "half", accumulate=2, world=World.alone("cpu", "fp32", watch=_stopping_at(9)))
    trained(tmp_path / "half", accumulate=2)
    assert same(weights(tmp_path / "half"), weights(whole))


def test_soft_labels_are_learnt(tiny, trained):
    def shared(step):
        def averaged(batch):
            hard = torch.nn.functional.one_hot(batch.labels, 3).movedim(-1, 1).float()
            return Batch(batch.images, 0.8 * hard + 0.2 / 3, batch.ids)

        return nullcontext(averaged(tiny.Balls(1).batch(n)) for n in itertools.count(step))

    folder = trained(batches=shared, validation=shared, loss="semimetric_ce", steps=80, validate_every=80)
    assert min(read(folder / HISTORY)[-1].validation.dice.values()) > 0.5


@pytest.mark.parametrize("loss", ["cldice_ce", "dice_ce_boundary", "dice_ce_hausdorff", "generalised_dice"])
def test_other_losses_are_learnt_and_go_on_exactly(trained, tmp_path, loss):
    whole = trained(loss=loss)
    with pytest.raises(Stop):
        trained(tmp_path / "half", loss=loss, world=World.alone("cpu", "fp32", watch=_stopping_at(9)))
    trained(tmp_path / "half", loss=loss)
    assert same(weights(tmp_path / "half"), weights(whole))
    rows = read(whole / HISTORY)
    assert rows[-1].loss < rows[0].loss
