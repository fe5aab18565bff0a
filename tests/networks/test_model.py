import json
import pickle

import pytest
import torch
from pydantic import ValidationError

from delineate.errors import ModelError
from delineate.networks import (
    Calibration,
    CleanUp,
    Facts,
    Model,
    build_network,
    inputs_of,
    load_network,
    required,
    write_calibration,
    write_model,
)

FACTS = Facts(created="2026-11-20", cases=40, patients=38)


def states(plan, folds=(0, 1)):
    return {
        name: {
            fold: build_network(
                plan.configuration(name).network, inputs_of(plan, name), 3, seed=fold
            ).state_dict()
            for fold in folds
        }
        for name in required(plan)
    }


@pytest.fixture
def plan(make_plan):
    return make_plan()


@pytest.fixture
def folder(plan, tmp_path):
    write_model(tmp_path / "model", plan=plan, weights=states(plan), card="# Knees\n", facts=FACTS)
    return tmp_path / "model"


def test_what_was_packed_comes_back(plan, tmp_path):
    cleanup = CleanUp(foreground=True, structures=("bone",), reasons={"bone": "mean Dice .80 to .82"})
    weights = states(plan)
    write_model(tmp_path / "m", plan=plan, weights=weights, card="# Knees\n", facts=FACTS, cleanup=cleanup)
    model = Model.open(tmp_path / "m")
    assert (model.plan, model.cleanup, model.card) == (plan, cleanup, "# Knees\n")
    assert model.manifest.facts == FACTS
    assert model.folds == {"3d_fullres": (0, 1)}
    loaded = model.networks()["3d_fullres"][1]
    assert not loaded.training
    assert all(torch.equal(weights["3d_fullres"][1][k], v) for k, v in loaded.state_dict().items())


def test_a_model_takes_the_place_of_a_model_and_of_nothing_else(plan, folder, tmp_path):
    packed = {"plan": plan, "weights": states(plan), "card": "# Knees\n", "facts": FACTS}
    write_model(folder, **packed)
    mine = tmp_path / "mine"
    mine.mkdir()
    write_model(mine, **packed)
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ModelError, match="is not empty and holds no model"):
        write_model(tmp_path, **packed)
    with pytest.raises(ModelError, match=r"thesis\.txt: is a file"):
        write_model(tmp_path / "thesis.txt", **packed)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_loaded_networks_predict_and_do_not_learn(folder):
    network = Model.open(folder).networks()["3d_fullres"][0]
    assert network(torch.zeros(2, 2, 8, 8, 8)).shape == (2, 3, 8, 8, 8)
    assert not any(p.requires_grad for p in network.parameters())


def test_a_cascade_brings_the_configuration_that_it_builds_on(make_plan, tmp_path):
    plan = make_plan(cascade=True)
    assert required(plan) == ("3d_lowres", "3d_cascade_fullres")
    model = write_model(tmp_path / "m", plan=plan, weights=states(plan, (0,)), card="", facts=FACTS)
    networks = model.networks()
    assert networks["3d_cascade_fullres"][0](torch.zeros(2, 4, 8, 8, 8)).shape == (2, 3, 8, 8, 8)


def test_the_digest_names_the_model(plan, folder, tmp_path):
    other = write_model(
        tmp_path / "other", plan=plan, weights=states(plan, (5,)), card="# Knees\n", facts=FACTS
    )
    assert Model.open(folder).digest == Model.open(folder).digest != other.digest


def test_packing_again_replaces_the_folder(plan, folder):
    write_model(folder, plan=plan, weights=states(plan, (3,)), card="new", facts=FACTS)
    assert Model.open(folder).folds == {"3d_fullres": (3,)}


def test_a_failed_packing_leaves_nothing(plan, tmp_path):
    with pytest.raises(AttributeError):
        write_model(
            tmp_path / "m", plan=plan, weights={"3d_fullres": {0: {"x": "text"}}}, card="", facts=FACTS
        )
    assert list(tmp_path.iterdir()) == []


def test_the_weights_of_one_fold_can_be_loaded_without_a_model(plan, folder):
    alone = load_network(plan, "3d_fullres", folder / "3d_fullres" / "fold_1.safetensors")
    packed = Model.open(folder).networks()["3d_fullres"][1]
    assert not alone.training
    assert all(torch.equal(a, b) for a, b in zip(alone.parameters(), packed.parameters(), strict=True))


def test_weights_that_the_plan_no_longer_describes_are_refused(make_plan, folder):
    plan = make_plan(cascade=True)
    with pytest.raises(ModelError, match=r"weights of 3d_cascade_fullres in the plan.*Was the plan edited"):
        load_network(plan, "3d_cascade_fullres", folder / "3d_fullres" / "fold_1.safetensors")


def test_a_model_may_say_how_sure_it_should_be(folder):
    assert Model.open(folder).calibration is None
    before = Model.open(folder)
    calibration = Calibration(temperature=1.7, low=1.5, high=1.9, cases=12)
    model = write_calibration(folder, calibration)
    assert model.calibration == Model.open(folder).calibration == calibration
    assert model.digest != before.digest
    assert model.manifest.files.items() > before.manifest.files.items()
    assert "calibration.json" in model.manifest.files


def test_a_model_that_says_so_is_not_told_again(folder):
    write_calibration(folder, Calibration(temperature=1.7, cases=12))
    with pytest.raises(ModelError, match=r"carries a temperature already, 1\.700.*delineate pack RUN MODEL"):
        write_calibration(folder, Calibration(temperature=1.2, cases=12))
    assert Model.open(folder).calibration.temperature == 1.7


def test_a_calibration_that_was_altered_is_refused(folder):
    write_calibration(folder, Calibration(temperature=1.7, cases=12))
    file = folder / "calibration.json"
    file.write_text(file.read_text().replace("1.7", "0.1"))
    refused(folder, "calibration.json differ from what was packed")


@pytest.mark.parametrize("temperature", [0, -1, float("inf"), float("nan")])
def test_what_is_no_temperature_is_no_calibration(temperature):
    with pytest.raises(ValidationError, match="temperature"):
        Calibration(temperature=temperature, cases=1)


def refused(folder, message):
    with pytest.raises(ModelError, match=message):
        Model.open(folder)


def test_a_folder_without_manifest_is_no_model(tmp_path):
    refused(tmp_path, "holds no model.*delineate pack RUN MODEL")


def test_a_manifest_that_is_not_json_is_refused(folder):
    (folder / "manifest.json").write_text("{")
    refused(folder, "is not JSON")


def test_a_model_of_another_version_is_refused(folder):
    edit_manifest(folder, version=2)
    refused(folder, "expected a model of version 1, got 2.*update")


def test_a_manifest_that_does_not_fit_is_refused(folder):
    edit_manifest(folder, colour="red")
    refused(folder, r"colour: Extra inputs are not permitted[\s\S]*Copy the model folder")


@pytest.mark.parametrize("name", ["plan.json", "CARD.md", "3d_fullres/fold_1.safetensors"])
def test_an_altered_file_is_refused(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    refused(folder, f"{name} differ from what was packed")


@pytest.mark.parametrize("name", ["labels.json", "3d_fullres/fold_0.safetensors"])
def test_a_missing_file_is_refused(folder, name):
    (folder / name).unlink()
    refused(folder, f"is incomplete, without {name}")


@pytest.mark.parametrize("name", ["notes.txt", "3d_fullres/fold_7.safetensors", "sub/.hidden"])
def test_a_file_that_was_not_packed_is_refused(folder, name):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text("")
    refused(folder, f"files that were not packed: {name}")


def test_a_link_is_refused(folder, tmp_path):
    (tmp_path / "away").write_text("")
    (folder / "more").symlink_to(tmp_path / "away")
    refused(folder, "is a link")


def test_a_manifest_that_leads_out_of_the_folder_is_refused(folder):
    for name in ("../secrets.txt", "/etc/passwd", "3d_fullres/../../x.safetensors", "3d_fullres\\x"):
        edit_manifest(folder, files={name: "0" * 64})
        refused(folder, "no place in a model")


def test_a_pickle_is_refused_even_where_the_manifest_lists_it(folder):
    (folder / "3d_fullres" / "fold_0.pth").write_bytes(pickle.dumps({}))
    manifest = json.loads((folder / "manifest.json").read_text())
    edit_manifest(folder, files=manifest["files"] | {"3d_fullres/fold_0.pth": "0" * 64})
    refused(folder, r"no place in a model: 3d_fullres/fold_0\.pth.*Do not use this folder")


def test_labels_that_disagree_with_the_plan_are_refused(folder, plan):
    (folder / "labels.json").write_text(plan.labels.of("bone").to_json())
    rehash(folder)
    refused(folder, "labels.json and plan.json list different labels")


def test_weights_that_are_no_safetensors_are_refused(folder):
    (folder / "3d_fullres" / "fold_0.safetensors").write_bytes(pickle.dumps({}))
    rehash(folder)
    with pytest.raises(ModelError, match=r"fold_0\.safetensors: does not hold the weights"):
        Model.open(folder).networks()


def test_weights_of_another_network_are_refused(make_plan, tmp_path):
    plan, cascade = make_plan(), make_plan(cascade=True)
    weights = {"3d_fullres": states(cascade, (0,))["3d_cascade_fullres"]}
    model = write_model(tmp_path / "m", plan=plan, weights=weights, card="", facts=FACTS)
    with pytest.raises(ModelError, match=r"does not hold the weights.*size mismatch"):
        model.networks()


def test_weights_altered_after_opening_are_refused(folder):
    model = Model.open(folder)
    path = folder / "3d_fullres" / "fold_0.safetensors"
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ModelError, match="altered after it was opened"):
        model.networks()


def test_a_used_configuration_without_weights_is_refused(make_plan, tmp_path):
    plan = make_plan(cascade=True)
    weights = states(plan, (0,))
    del weights["3d_lowres"]
    with pytest.raises(ModelError, match="uses 3d_lowres, for which there are no weights"):
        write_model(tmp_path / "m", plan=plan, weights=weights, card="", facts=FACTS)


def test_weights_that_the_plan_does_not_use_are_refused(make_plan, plan, tmp_path):
    weights = states(plan, (0,)) | {"2d": {0: {}}}
    with pytest.raises(ModelError, match="weights for 2d, which the plan does not use"):
        write_model(tmp_path / "m", plan=plan, weights=weights, card="", facts=FACTS)


def edit_manifest(folder, **changes):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def rehash(folder):
    """The manifest as somebody would write it who wants the folder to be believed."""
    import hashlib

    manifest = json.loads((folder / "manifest.json").read_text())
    files = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in manifest["files"]}
    edit_manifest(folder, files=files)
