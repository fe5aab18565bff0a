"""A fold: from prepared cases to weights, and what a plan's losses are good for."""

import itertools
import json
from contextlib import nullcontext
from dataclasses import dataclass

import pytest
import safetensors
import safetensors.torch
import torch

from delineate.errors import PlanError, RunError
from delineate.networks import Provenance, Transfer, build_network
from delineate.networks.transfer import Described, transferred
from delineate.preparation.patches import Sampler
from delineate.space import LabelSchema
from delineate.space.phantoms import balls, sparse
from delineate.training.fold import TRANSFER, train
from delineate.training.history import read
from delineate.training.loop import HISTORY, WEIGHTS, Task, fit
from delineate.training.world import World

BALLS = LabelSchema.of("large ball", "small ball")
NAME = "3d_fullres"


@dataclass(frozen=True)
class Split:
    train: tuple[str, ...] = ("c0", "c1", "c2")
    validation: tuple[str, ...] = ("c3",)


def _rows(folder):
    return [(row.step, row.loss, row.validation) for row in read(folder / HISTORY)]


class Stop(Exception):  # noqa: N818
    """What a test interrupts a training with."""


def _stop(step):
    if step.step == 4:
        raise Stop


def test_a_fold_of_a_plan_is_trained_and_goes_on_where_it_was(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = phantom_plan(BALLS), prepared_phantoms(balls)
    path = train(plan, store, Split(), tmp_path / "whole", workers=1)
    assert path == tmp_path / "whole" / WEIGHTS
    network = build_network(plan.configuration(NAME).network, 1, 3)
    network.load_state_dict(safetensors.torch.load_file(path))
    assert [row[0] for row in _rows(path.parent)] == [3, 6]
    assert set(_rows(path.parent)[-1][2].dice) == {"large ball", "small ball"}

    with pytest.raises(Stop):
        train(plan, store, Split(), tmp_path / "again", workers=1, watch=_stop)
    again = train(plan, store, Split(), tmp_path / "again", workers=2)
    assert again.read_bytes() == path.read_bytes()
    assert _rows(again.parent) == _rows(path.parent)


def test_folds_begin_with_different_weights_and_see_different_patches(
    prepared_phantoms, phantom_plan, tmp_path
):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    one, other = (train(plan, store, Split(), tmp_path / str(fold), fold=fold) for fold in (0, 1))
    assert _rows(one.parent)[0][1] != _rows(other.parent)[0][1]


def test_a_fold_trained_on_other_cases_is_refused(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    train(plan, store, Split(), tmp_path / "fold")
    with pytest.raises(RunError, match=r'train: \["c0", "c1", "c2"\] then, \["c0"\] now'):
        train(plan, store, Split(train=("c0",)), tmp_path / "fold")


def test_without_validation_cases_the_training_cases_are_watched(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    path = train(plan, store, Split(validation=()), tmp_path / "all")
    assert _rows(path.parent)[0][2].loss < 10


def test_a_network_of_ones_own_is_trained_in_place_of_the_plans(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    own = torch.nn.Conv3d(1, 3, 1)
    path = train(plan, store, Split(), tmp_path / "own", network=own)
    assert set(safetensors.torch.load_file(path)) == {"weight", "bias"}
    with pytest.raises(RunError, match=r"network: .*Conv3d.* then, null now"):
        train(plan, store, Split(), tmp_path / "own")


def test_what_a_network_took_over_is_kept_and_another_start_does_not_go_on_from_there(
    prepared_phantoms, phantom_plan, tmp_path
):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    whole = phantom_plan(BALLS, steps=1)
    learnt = build_network(plan.configuration(NAME).network, 1, 3, seed=9)
    described = Described.of(whole, NAME)
    start = Provenance(kind="model", dataset="x", sha256="a" * 64, configuration=NAME, fold=0)

    def begun(origin):
        network = build_network(plan.configuration(NAME).network, 1, 3)
        transfer = transferred(network, learnt.state_dict(), described, described, origin)
        return train(plan, store, Split(), tmp_path / "fold", network=network, origin=transfer)

    begun(start)
    assert Transfer.load(tmp_path / "fold" / TRANSFER).source == start
    with pytest.raises(RunError, match=r"start\.sha256: \"aaa.* then, \"bbb"):
        begun(start.but(sha256="b" * 64))
    with pytest.raises(RunError, match=r"start\.sha256: \"aaa.* then, not there now"):
        train(plan, store, Split(), tmp_path / "fold")


def _bare(path):
    return safetensors.torch.load_file(path)


def test_two_batches_of_two_make_the_step_of_one_of_four(prepared_phantoms, phantom_plan, tmp_path):
    store = prepared_phantoms(balls)
    how = {"optimizer": "sgd", "momentum": 0.0, "steps": 2}
    four = train(phantom_plan(BALLS, batch=4, **how), store, Split(), tmp_path / "four")
    twice = train(phantom_plan(BALLS, batch=2, accumulate=2, **how), store, Split(), tmp_path / "twice")
    one, other = _bare(four), _bare(twice)
    assert all(torch.allclose(one[name], other[name], atol=1e-6) for name in one)


def test_hard_cases_are_drawn_more_often_and_a_training_goes_on_exactly(
    prepared_phantoms, phantom_plan, tmp_path
):
    store = prepared_phantoms(balls)
    plan = phantom_plan(BALLS, steps=7, validate_every=2, validation_batches=1, hard_cases=0.8)
    whole = train(plan, store, Split(), tmp_path / "whole", workers=2)
    rows = [row for row in read(whole.parent / HISTORY) if row.validation]
    assert [row.step for row in rows] == [2, 4, 6, 7]
    assert set(rows[-1].hardness) == {"c0", "c1", "c2"}
    assert all(value > 0 for value in rows[-1].hardness.values())
    for stop in (1, 4, 5):

        def interrupt(step, at=stop):
            if step.step == at:
                raise Stop

        folder = tmp_path / f"stopped_at_{stop}"
        with pytest.raises(Stop):
            train(plan, store, Split(), folder, watch=interrupt, save_every_s=0.0)
        again = train(plan, store, Split(), folder, workers=1)
        assert again.read_bytes() == whole.read_bytes()
    plain = train(
        phantom_plan(BALLS, steps=7, validate_every=2, validation_batches=1), store, Split(), tmp_path
    )
    assert read(plain.parent / HISTORY)[-1].hardness is None
    assert plain.read_bytes() != whole.read_bytes()


def test_a_fold_from_before_there_were_these_fields_goes_on(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = phantom_plan(BALLS, steps=1), prepared_phantoms(balls)
    path = train(plan, store, Split(), tmp_path / "fold")
    with safetensors.safe_open(path, framework="pt") as file:
        basis = json.loads(json.loads(file.metadata()["delineate"])["basis"])
    assert not {"accumulate", "class_weights", "hard_cases"} & set(basis["training"])
    with pytest.raises(RunError, match=r"training.accumulate: not there then, 2 now"):
        train(plan.but(training=plan.training.but(accumulate=2)), store, Split(), tmp_path / "fold")


def test_more_devices_than_samples_are_refused(prepared_phantoms, phantom_plan):
    plan, store = phantom_plan(BALLS), prepared_phantoms(balls)
    sampler = Sampler.of(plan, NAME, store, ("c0",), fold=0)
    with pytest.raises(PlanError, match="a batch of 2 cannot be shared by 3 processes"):
        sampler.shared(2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("how", [{}, {"accumulate": 2}, {"hard_cases": 0.8, "validate_every": 1}], ids=str)
def test_two_devices_learn_what_one_learns(prepared_phantoms, phantom_plan, tmp_path, how):
    plan = phantom_plan(BALLS, steps=3, optimizer="sgd", momentum=0.0, **how)
    store = prepared_phantoms(balls)
    one, two = (
        safetensors.torch.load_file(
            train(plan, store, Split(), tmp_path / str(devices), devices=devices, workers=1)
        )
        for devices in (1, 2)
    )
    assert all(torch.allclose(one[name], two[name], atol=1e-5) for name in one)


def test_a_batch_of_phantoms_is_learnt_by_heart(prepared_phantoms, phantom_plan, tmp_path):
    plan, store = (
        phantom_plan(BALLS, steps=200, validate_every=200, validation_batches=1),
        prepared_phantoms(balls),
    )
    batch = Sampler.of(plan, NAME, store, store.ids, fold=0).still.batch(0)

    def same(step):
        return nullcontext(itertools.repeat(batch))

    network = build_network(plan.configuration(NAME).network, 1, 3)
    fit(network, same, same, Task(plan.training, plan.labels), tmp_path, World.alone("cpu", "fp32"))
    assert min(read(tmp_path / HISTORY)[-1].validation.dice.values()) > 0.99


@pytest.mark.slow
def test_small_lesions_are_found_with_dice_where_cross_entropy_finds_nothing(
    prepared_phantoms, phantom_plan, tmp_path
):
    """One voxel in a thousand is lesion. Cross-entropy on patches from anywhere calls it all background.

    Of the remedies each helps alone; patches on lesions and a loss of overlap together help most.
    """
    store = prepared_phantoms(lambda rng: sparse(rng, size=48), cases=8, patch=(24, 24, 24))
    split = Split(tuple(f"c{n}" for n in range(6)), ("c6", "c7"))
    settings = {"patch": (24, 24, 24), "steps": 250, "learning_rate": 0.01, "validate_every": 250}
    found = []
    anywhere = {"foreground": 0.0}
    weighted = {"loss": "weighted_ce", "class_weights": (0.5, 50.0)}  # as planned for 0.1 %
    for wish in ({}, {"loss": "ce"} | anywhere, weighted | anywhere, anywhere):
        plan = phantom_plan(LabelSchema.of("lesion"), validation_batches=30, **settings, **wish)
        path = train(plan, store, split, tmp_path / f"fold_{len(found)}")
        found.append(_rows(path.parent)[-1][2].dice["lesion"])
    assert found[0] > 0.8
    assert found[1] < 0.05
    assert found[2] > 0.2  # weights alone find lesions, and much that is none
    assert found[3] > 0.7  # so does an overlap, even where hardly a patch holds any
