"""Start: a run that begins with a model or a pretrained encoder."""

import shutil
from dataclasses import replace

import pytest
import safetensors.torch
import torch

from delineate.dataset import Dataset
from delineate.dataset.imprint import mark
from delineate.errors import ModelError, PlanError, RunError
from delineate.networks import Model, Pretraining, Start, Transfer, write_pretrained
from delineate.pipeline import Run, StartWishes, TrainingWishes, Unwatched
from delineate.pipeline import stages as pipeline
from delineate.pipeline.start import START, StartRecord, with_start
from delineate.planning import Plan
from delineate.planning.plan import NetworkSpec

WATCH = Unwatched()


class Noted(Unwatched):
    """A watch that writes down what it is told."""

    def __init__(self) -> None:
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture
def model(finished):
    return finished / "model"


@pytest.fixture
def encoder(finished, balls_folder, tmp_path):
    """An encoder that was "pretrained" on two of the cases."""
    opened = Model.open(finished / "model")
    dataset = Dataset.open(balls_folder)
    scans = [" ".join(mark(dataset.scan(case)).digests) for case in dataset.cases[:2]]
    done = Pretraining(
        task="genesis", created="2026-01-02", configuration="3d_fullres", cases=2, steps=1, minutes=0.1,
        error=0.5, baseline=1.0, scans=tuple(sorted(scans)),
    )  # fmt: skip
    weights = opened.network("3d_fullres", 0).state_dict()
    body = {name: tensor for name, tensor in weights.items() if "heads" not in name}
    return write_pretrained(tmp_path / "encoder", opened.plan, done, body).folder


def begun(wishes, folder, **start):
    return replace(wishes, start=StartWishes(folder, **start))


def test_a_run_begins_with_a_model_and_says_what_it_took_over(tmp_path, balls_folder, wishes, model):
    watch, folder = Noted(), tmp_path / "run"
    asked = begun(replace(wishes, steps=2), model, freeze="encoder", thaw_after=1.0)
    made = pipeline.plan(balls_folder, folder, asked, watch)
    assert any("100% of the network is from the model" in line for line in watch.said)
    assert any("trained on this very dataset" in line for line in watch.said)
    assert made.training.freeze == "encoder"
    assert made.reasons["training.freeze"].startswith("set by hand")
    pipeline.train(folder, TrainingWishes(), watch)
    fold = Run(folder).fold("3d_fullres", 0)
    transfer = Transfer.load(fold / "transfer.json")
    assert transfer.source.sha256 == Model.open(model).digest == StartRecord.load(folder / START).sha256
    theirs = Model.open(model).network("3d_fullres", 0).state_dict()
    ours = safetensors.torch.load_file(fold / "weights.safetensors")
    assert all(torch.equal(ours[name], theirs[name]) for name in ours if name.startswith("encoder"))
    assert not all(torch.equal(ours[name], theirs[name]) for name in ours)
    pipeline.train(folder, TrainingWishes(), watch)  # finished: nothing is begun again


def test_where_weights_came_from_stays_with_the_model_and_on_its_page(tmp_path, balls_folder, wishes, model):
    folder = tmp_path / "run"
    pipeline.run(balls_folder, folder, begun(replace(wishes, steps=1), model), WATCH)
    packed = Model.open(folder / "model")
    assert packed.manifest.facts.digests["start"] == Model.open(model).digest
    assert "It began with the weights of the model" in packed.card
    assert "trained on this very dataset" in (folder / "report.html").read_text()


def test_a_run_whose_test_cases_an_encoder_has_seen_says_which(tmp_path, balls_folder, wishes, encoder):
    watch = Noted()
    pipeline.plan(balls_folder, tmp_path / "run", begun(wishes, encoder), watch)
    record = StartRecord.load(tmp_path / "run" / START)
    assert record.shared == ("ball_00", "ball_01")
    tested = Run(tmp_path / "run").splits().folds[0].validation
    assert set(record.measured) == set(record.shared) & set(tested)
    assert "were among the scans of its pretraining" in "\n".join(watch.said)
    both = record.but(measured=record.shared)
    assert "2 cases that measure it (ball_00, ball_01) were among" in next(both.warnings())
    assert next(both.warnings(named=False)).startswith("2 cases that measure it were among the scans")
    none = record.but(measured=())
    assert next(none.warnings()).endswith("scans of its pretraining; none of them is measured")


def test_the_plan_takes_the_network_over_with_a_reason(tmp_path, balls_folder, wishes, encoder):
    hand = {**wishes.by_hand, "configurations.3d_fullres.network.features": [4, 6, 8]}
    own = pipeline.plan(balls_folder, tmp_path / "own", replace(wishes, by_hand=hand), WATCH)
    there = Start.open(encoder)
    taken = with_start(own, there)
    assert taken.configuration().network == there.plan.configuration().network
    assert "so that its weights fit" in taken.reasons["configurations.3d_fullres.network"]
    assert with_start(taken, there) == taken


def test_a_plan_that_keeps_its_network_is_refused_where_weights_do_not_fit(
    tmp_path, balls_folder, wishes, encoder
):
    folder = tmp_path / "run"
    hand = {**wishes.by_hand, "configurations.3d_fullres.network.features": [3, 5, 7]}
    pipeline.plan(balls_folder, folder, replace(wishes, by_hand=hand), WATCH)
    with pytest.raises(ModelError, match="only 0% of the network would come from"):
        pipeline.train(folder, TrainingWishes(), WATCH, start=StartWishes(encoder))


def test_training_may_begin_with_weights_that_a_plan_did_not_know_of(tmp_path, balls_folder, wishes, encoder):
    folder = tmp_path / "run"
    pipeline.plan(balls_folder, folder, replace(wishes, steps=1), WATCH)
    pipeline.train(folder, TrainingWishes(), WATCH, start=StartWishes(encoder, encoder_rate=0.1))
    assert Run(folder).plan().training.encoder_rate == 0.1
    transfer = Transfer.load(Run(folder).fold("3d_fullres", 0) / "transfer.json")
    assert transfer.source.kind == "pretrained encoder"


def test_networks_of_one_run_begin_with_one_thing(tmp_path, balls_folder, wishes, model, encoder):
    folder = tmp_path / "run"
    one_step = replace(wishes, steps=1)
    pipeline.plan(balls_folder, folder, begun(one_step, model), WATCH)
    pipeline.train(folder, TrainingWishes(), WATCH)
    with pytest.raises(RunError, match=r"networks of this run began with .*model .*, now they are to begin"):
        pipeline.plan(balls_folder, folder, begun(one_step, encoder), WATCH)
    other = tmp_path / "other"
    pipeline.plan(balls_folder, other, one_step, WATCH)
    pipeline.train(other, TrainingWishes(), WATCH)
    with pytest.raises(RunError, match="networks of this run began at random"):
        pipeline.plan(balls_folder, other, begun(one_step, encoder), WATCH)


def test_deciding_anew_forgets_what_was_to_begin_with(tmp_path, balls_folder, wishes, encoder):
    folder = tmp_path / "run"
    pipeline.plan(balls_folder, folder, begun(wishes, encoder), WATCH)
    pipeline.plan(balls_folder, folder, wishes, WATCH)
    assert Run(folder).has(START), "asked for once, it stays"
    pipeline.plan(balls_folder, folder, wishes, WATCH, again=True)
    assert not Run(folder).has(START)


def test_what_a_run_begins_with_must_still_be_there_and_be_the_same(
    tmp_path, balls_folder, wishes, encoder, model
):
    folder = tmp_path / "run"
    pipeline.plan(balls_folder, folder, begun(wishes, encoder), WATCH)
    opened = Start.open(encoder).source
    write_pretrained(encoder, opened.plan, opened.pretraining.but(steps=9), opened.weights())
    with pytest.raises(RunError, match=r"is not what .* was planned to begin with"):
        pipeline.train(folder, TrainingWishes(), WATCH)
    shutil.rmtree(encoder)
    with pytest.raises(RunError, match="which cannot be opened"):
        pipeline.train(folder, TrainingWishes(), WATCH)


def test_a_network_asked_for_beside_one_to_begin_with_is_refused(tmp_path, balls_folder, wishes, encoder):
    for other, said in (({"network": "vnet"}, "vnet"), ({"preset": "L"}, "of preset L")):
        with pytest.raises(PlanError, match=f"leave out the network {said}"):
            pipeline.plan(balls_folder, tmp_path / "run", replace(begun(wishes, encoder), **other), WATCH)


def spec_of(dims, stages, **fields):
    layout = {
        "features": (4,) * stages,
        "strides": ((1,) * dims, *((2,) * dims,) * (stages - 1)),
        "kernels": ((3,) * dims,) * stages,
        "encoder_blocks": (2,) * stages,
        "decoder_blocks": (2,) * (stages - 1),
    }
    return NetworkSpec.model_validate(layout | fields)


def as_start(plan, encoder):
    """A start whose plan is another one; its weights are not looked at."""
    return Start(replace(Start.open(encoder).source, plan=plan))


def flat(plan, **changes):
    """The plan with its 3D configuration made 2D, across the last axis."""
    before = plan.configuration("3d_fullres")
    configuration = before.but(slice_axis=2, patch=(16, 16, 1), network=spec_of(2, 3), **changes)
    return plan.but(configurations={**plan.configurations, "3d_fullres": configuration})


def test_a_2d_network_taken_over_in_3d_has_planned_strides_across_its_slices(finished, encoder):
    plan = Plan.load(finished / "plan.json")
    taken = with_start(plan, as_start(flat(plan), encoder)).configuration()
    planned = plan.configuration("3d_fullres").network
    assert taken.network.features == (4, 4, 4)
    assert [stride[:2] for stride in taken.network.strides] == [(1, 1), (2, 2), (2, 2)]
    wanted = [stride[2] for stride in planned.strides] + [1] * 3
    assert [stride[2] for stride in taken.network.strides] == wanted[:3]
    assert all(edge % step == 0 for edge, step in zip(taken.edges, taken.network.divisor, strict=True))


def test_a_3d_network_taken_over_in_2d_loses_the_axis_across_the_slices(finished, encoder):
    plan = Plan.load(finished / "plan.json")
    taken = with_start(flat(plan), as_start(plan, encoder)).configuration("3d_fullres")
    there = plan.configuration("3d_fullres").network
    assert taken.network.strides == tuple(stride[:2] for stride in there.strides)
    assert taken.network.dims == 2


def test_a_patch_grows_to_what_the_network_can_halve_and_never_to_a_single_voxel(finished, encoder):
    plan = Plan.load(finished / "plan.json")
    full = plan.configuration("3d_fullres")
    deep = full.but(network=spec_of(3, 5), patch=(32, 16, 16))
    source = plan.but(configurations={**plan.configurations, "3d_fullres": deep})
    taken = with_start(plan, as_start(source, encoder))
    assert taken.configuration("3d_fullres").patch == (32, 16, 16)
    assert "grown to what that network can halve" in taken.reasons["configurations.3d_fullres.patch"]


def test_a_network_of_one_image_size_is_not_taken_over_in_other_dimensions(finished, encoder):
    plan = Plan.load(finished / "plan.json")
    unetr = {
        "kind": "unetr", "features": (4, 4, 4, 4, 8), "heads": (2,), "image": (16, 16),
        "strides": ((1, 1), *((2, 2),) * 4), "kernels": ((3, 3),) * 5, "encoder_blocks": (1,) * 5,
        "decoder_blocks": (), "deep_supervision": False,
    }  # fmt: skip
    before = flat(plan).configuration("3d_fullres")
    other = before.but(network=NetworkSpec.model_validate(unetr), patch=(16, 16, 1))
    source = plan.but(configurations={**plan.configurations, "3d_fullres": other})
    with pytest.raises(ModelError, match="unetr reads images of one size only"):
        with_start(plan, as_start(source, encoder))
