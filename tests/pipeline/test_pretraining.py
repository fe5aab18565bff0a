"""Pretraining from a folder of scans to an encoder, and from there to a run."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from delineate.dataset import open_scans
from delineate.errors import ModelError, RunError
from delineate.inference import Segmenter
from delineate.io import write_volume
from delineate.networks import Pretrained, Start
from delineate.pipeline import PretrainWishes, StartWishes, Unwatched, pretrain
from delineate.pipeline import stages as pipeline
from delineate.pipeline.pretraining import held_out
from delineate.pipeline.start import START, StartRecord
from delineate.space.phantoms import balls

WATCH = Unwatched()
QUICK = PretrainWishes(steps=4, workers=1)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory, balls_folder):
    """An encoder pretrained on the labelled balls, without their labels."""
    folder = tmp_path_factory.mktemp("pretrained") / "encoder"
    pretrain(balls_folder, folder, QUICK, WATCH)
    return folder


def test_an_encoder_says_what_it_was_pretrained_on_and_how_well(encoder):
    found = Pretrained.open(encoder)
    done = found.pretraining
    assert (done.task, done.cases, done.steps) == ("mae", 10, 4)
    assert len(done.scans) == 10
    assert done.error > 0
    assert done.baseline > 0
    assert found.plan.labels.structures.keys() == {"foreground"}
    assert "only places are changed" in found.plan.reasons["augmentation.3d_fullres"]
    assert not any("head" in name for name in found.weights())


def test_pretraining_again_does_nothing_again(encoder, balls_folder):
    work = encoder.with_name("encoder.work")
    before = {path: path.stat().st_mtime_ns for path in work.rglob("*.safetensors")}
    again = pretrain(balls_folder, encoder, QUICK, WATCH)
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert again.pretraining.steps == 4


def test_something_else_asked_for_is_not_passed_over(encoder, balls_folder):
    with pytest.raises(RunError, match=r"was begun with task mae\. Ask for the same"):
        pretrain(balls_folder, encoder, replace(QUICK, task="genesis"), WATCH)


def test_an_encoder_segments_nothing_and_says_why(encoder):
    with pytest.raises(ModelError, match="has learnt what scans look like, and knows no structure"):
        Segmenter.open(encoder)


def test_a_run_begins_with_it_and_names_the_cases_it_has_seen(encoder, balls_folder, wishes, tmp_path):
    asked = replace(wishes, steps=1, start=StartWishes(encoder))
    made = pipeline.plan(balls_folder, tmp_path / "run", asked, WATCH)
    there = Start.open(encoder).plan.configuration()
    assert made.configuration().network == there.network.but(deep_supervision=True)
    assert len(StartRecord.load(tmp_path / "run" / START).shared) == 10
    _, transfer = Start.open(encoder).network(made, "3d_fullres")
    assert transfer.share == 1.0


def test_a_folder_of_scans_without_labels_is_enough_even_for_genesis(tmp_path):
    for number in range(2):
        scan, _ = balls(np.random.default_rng(number), size=16)
        write_volume(scan, tmp_path / "scans" / f"s{number}.nii.gz")
    asked = replace(QUICK, task="genesis", steps=1, channels=("MR",))
    done = pretrain(tmp_path / "scans", tmp_path / "encoder", asked, WATCH)
    assert done.pretraining.block is None
    assert [channel.name for channel in done.plan.channels] == ["MR"]
    shutil.rmtree(tmp_path / "encoder.work")
    assert Pretrained.open(tmp_path / "encoder").digest == done.digest


def test_patients_are_held_out_whole_and_one_alone_watches_itself(balls_folder):
    dataset = open_scans(balls_folder)
    split = held_out(dataset, seed=1)
    assert len(split.validation) == 1
    assert set(split.train) | set(split.validation) == set(dataset.ids)
    alone = replace(dataset, cases=tuple(replace(case, group="one") for case in dataset.cases))
    assert held_out(alone, seed=1).validation == ()
