"""Pretrained encoders: the folder, what refuses it, and what begins with it."""

import json

import pytest
import torch

from delineate.errors import ModelError
from delineate.io.disk import file_digest
from delineate.networks import Facts, Model, build_network, inputs_of, write_model
from delineate.networks.pretrained import Pretrained, Pretraining, write_pretrained
from delineate.networks.start import Start
from delineate.space import LabelSchema

SCANS = ("a" * 32, "b" * 32 + " " + "c" * 32)
DONE = Pretraining(
    task="mae",
    created="2026-01-02",
    configuration="3d_fullres",
    cases=2,
    steps=7,
    minutes=0.5,
    hidden=0.75,
    block=(4, 4, 4),
    error=0.25,
    baseline=1.0,
    scans=SCANS,
)


@pytest.fixture
def encoder(make_plan, tmp_path):
    """A pretrained encoder, written."""
    plan = make_plan(labels=LabelSchema.of("inside"))
    network = build_network(plan.configuration().network.but(deep_supervision=False), 2, 2, seed=3)
    weights = {name: t for name, t in network.state_dict().items() if "heads" not in name}
    return write_pretrained(tmp_path / "encoder", plan, DONE, weights)


def test_an_encoder_reads_back_as_it_was_written(encoder):
    again = Pretrained.open(encoder.folder)
    assert again.pretraining == DONE
    assert again.digest == encoder.digest
    assert again.weights().keys() == encoder.weights().keys()
    card = (encoder.folder / "CARD.md").read_text()
    assert "blocks of 4 x 4 x 4 voxels that hid 75% of each patch" in card
    assert "mean squared error 0.250, of the mean instead 1.000" in card


def test_the_card_of_genesis_says_its_task(encoder, tmp_path):
    done = DONE.but(task="genesis", hidden=None, block=None)
    other = write_pretrained(tmp_path / "other", encoder.plan, done, encoder.weights())
    assert "bent, shuffled and painted over" in (other.folder / "CARD.md").read_text()


def test_an_encoder_is_no_model_and_the_reason_says_what_it_is_for(encoder):
    with pytest.raises(ModelError, match="is a pretrained encoder: it has learnt what scans look like") as no:
        Model.open(encoder.folder)
    assert "delineate run DATASET RUN --from" in str(no.value)


@pytest.mark.parametrize("name", ["plan.json", "3d_fullres/encoder.safetensors"])
def test_an_altered_file_is_refused(encoder, name):
    with (encoder.folder / name).open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match="differs from what was written"):
        Pretrained.open(encoder.folder)


def test_an_added_file_is_refused(encoder):
    (encoder.folder / "more.txt").write_text("x")
    with pytest.raises(ModelError, match=r"more\.txt is missing, was added"):
        Pretrained.open(encoder.folder)


def test_weights_that_change_after_opening_are_refused(encoder):
    opened = Pretrained.open(encoder.folder)
    (encoder.folder / "3d_fullres/encoder.safetensors").write_bytes(b"other")
    with pytest.raises(ModelError, match="was altered after it was opened"):
        opened.weights()


def test_a_file_that_holds_no_weights_is_refused(encoder):
    file = encoder.folder / "3d_fullres/encoder.safetensors"
    file.write_bytes(b"nonsense")
    manifest = json.loads((encoder.folder / "manifest.json").read_text())
    manifest["files"]["3d_fullres/encoder.safetensors"] = file_digest(file)
    (encoder.folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelError, match="holds no weights"):
        Pretrained.open(encoder.folder).weights()


def test_a_manifest_with_nonsense_is_refused(encoder):
    (encoder.folder / "manifest.json").write_text('{"kind": "pretrained encoder"}')
    with pytest.raises(ModelError, match="Pretrain again, or copy the folder again"):
        Pretrained.open(encoder.folder)


def test_what_is_no_encoder_is_refused(tmp_path):
    with pytest.raises(ModelError, match="is no pretrained encoder"):
        Pretrained.open(tmp_path)


def test_nothing_of_the_user_is_overwritten(encoder, tmp_path):
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "mine.txt").write_text("x")
    with pytest.raises(ModelError, match="is not empty and holds no pretrained encoder"):
        write_pretrained(tmp_path / "notes", encoder.plan, DONE, encoder.weights())
    (tmp_path / "file").write_text("x")
    with pytest.raises(ModelError, match="is a file"):
        write_pretrained(tmp_path / "file", encoder.plan, DONE, encoder.weights())
    write_pretrained(encoder.folder, encoder.plan, DONE.but(steps=8), encoder.weights())
    assert Pretrained.open(encoder.folder).pretraining.steps == 8


def test_a_training_begins_with_an_encoder_bit_for_bit_but_for_its_head(encoder, make_plan):
    network, transfer = Start.open(encoder.folder).network(make_plan(), "3d_fullres", fold=2)
    theirs, ours = encoder.weights(), network.state_dict()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert transfer.source.kind == "pretrained encoder"
    assert transfer.source.sha256 == encoder.digest
    assert transfer.share == 1.0
    assert set(transfer.outputs.values()) == {"new"}
    assert Start.open(encoder.folder).scans == {"a" * 32, "b" * 32, "c" * 32}


def test_a_training_begins_with_the_fold_of_a_model_that_has_its_number(make_plan, tmp_path):
    plan = make_plan()
    folds = {
        n: build_network(plan.configuration().network, inputs_of(plan, "3d_fullres"), 3, seed=n).state_dict()
        for n in (1, 3)
    }
    facts = Facts(created="2026-01-02", cases=4, patients=4)
    write_model(tmp_path / "model", plan=plan, weights={"3d_fullres": folds}, card="# x\n", facts=facts)
    start = Start.open(tmp_path / "model")
    assert start.kind == "model"
    assert not start.scans
    for fold, chosen in ((3, 3), (0, 1)):
        network, transfer = start.network(plan, "3d_fullres", fold)
        assert transfer.source.fold == chosen
        assert all(torch.equal(t, network.state_dict()[name]) for name, t in folds[chosen].items())


def test_a_configuration_begins_with_the_one_most_like_it(make_plan, tmp_path, encoder):
    plan = make_plan(cascade=True)
    start = Start.open(encoder.folder)
    assert start.configuration(plan, "3d_cascade_fullres") == "3d_fullres"
    network, transfer = start.network(plan, "3d_cascade_fullres")
    assert transfer.channels["labels before: bone"] == "new: no stage before was read there"
    assert network.encoder[0][0].conv.weight.shape[1] == 4
