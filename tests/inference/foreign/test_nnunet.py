"""What nnU-Net itself built, stored and predicted (make_golden.py), against the imported models."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.inference.foreign import import_nnunet
from delineate.inference.foreign.nnunet_plans import Meaning
from delineate.io import read_label_values, read_volume
from delineate.networks import Model
from delineate.planning.plan import STORED
from delineate.space import Volume

GOLDEN = Path(__file__).parent / "golden"
SURE = 0.005  # nnU-Net adds up in half precision: closer calls may go either way


def scan_of(folder: Path) -> Volume:
    parts = [read_volume(path) for path in sorted(folder.glob("scan_*.nii.gz"))]
    names = tuple(f"channel {n}" for n in range(len(parts)))
    return Volume(np.concatenate([part.array for part in parts]), parts[0].geometry, names)


def margin(probabilities: Volume, *, exclusive: bool) -> np.ndarray:
    """How close the call was in each voxel."""
    if not exclusive:
        return np.abs(probabilities.array - 0.5).min(axis=0)
    ordered = np.sort(probabilities.array, axis=0)
    return ordered[-1] - ordered[-2]


def trained(name: str) -> Path:
    """The folder of the configuration that predicts."""
    folders = sorted((GOLDEN / name).glob("nnUNetTrainer__*"))
    return folders[0]  # of the cascade, 3d_cascade_fullres


@pytest.mark.parametrize("name", ["thick", "residual", "flat", "cascade"])
def test_an_imported_model_gives_the_labels_that_nnunet_gave(tmp_path, name):
    model = import_nnunet(trained(name), tmp_path / "model")
    segmenter = Segmenter.open(tmp_path / "model", mirror=True, precision="fp32")
    found = segmenter.segment(scan_of(GOLDEN / name), probabilities=True)
    expected = read_label_values(GOLDEN / name / "expected.nii.gz")
    assert found.labels.geometry.same_place(expected.geometry, tolerance_mm=0.01)
    assert len(np.unique(expected.array)) >= 2
    other = found.labels.array != expected.array
    assert other.mean() < 0.005
    sure = margin(found.probabilities, exclusive=model.plan.labels.exclusive) > SURE
    assert not (other & sure).any()


def test_nothing_of_the_other_tool_is_in_the_model(tmp_path):
    model = import_nnunet(trained("thick"), tmp_path / "model")
    assert {path.suffix for path in model.folder.rglob("*") if path.is_file()} == {
        ".json",
        ".md",
        ".safetensors",
    }
    assert model.plan.orientation == STORED
    assert "Scans are taken as they are stored" in model.card
    assert "it was not measured here" in model.card
    assert Model.open(model.folder).folds == {"3d_fullres": (0,)}


def test_axes_are_named_as_ours_are(tmp_path):
    plan = import_nnunet(trained("thick"), tmp_path / "model").plan
    configuration = plan.configuration()
    assert configuration.spacing == (3.0, 0.9, 1.1)  # transposed by (2, 0, 1): i, k, j
    assert configuration.patch == (8, 24, 36)
    assert configuration.network.kernels[0] == (1, 3, 3)
    assert plan.training.mirror_axes == (0, 1)  # theirs are 0 and 2


def test_slices_lie_across_the_first_of_their_axes(tmp_path):
    configuration = import_nnunet(trained("flat"), tmp_path / "model").plan.configuration()
    assert configuration.slice_axis == 1
    assert configuration.patch == (20, 1, 44)
    assert configuration.network.strides[-1] == (1, 2)
    assert configuration.network.kernels[1] == (5, 3)


def test_a_cascade_brings_the_stage_that_it_builds_on(tmp_path):
    model = import_nnunet(trained("cascade"), tmp_path / "model")
    assert set(model.folds) == {"3d_lowres", "3d_cascade_fullres"}
    assert model.plan.use == ("3d_cascade_fullres",)


def test_regions_keep_their_order(tmp_path):
    labels = import_nnunet(trained("residual"), tmp_path / "model").plan.labels
    assert labels.structures == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}


def test_the_folder_of_the_dataset_will_do_where_it_holds_one_model(tmp_path):
    assert import_nnunet(GOLDEN / "thick", tmp_path / "a").digest
    with pytest.raises(ModelError, match=r"holds 2 trained nnU-Net models, expected one"):
        import_nnunet(GOLDEN / "cascade", tmp_path / "b")
    assert import_nnunet(GOLDEN / "cascade", tmp_path / "c", configuration="3d_lowres").folds == {
        "3d_lowres": (0,)
    }
    with pytest.raises(
        ModelError, match=r"holds 0 trained nnU-Net models of configuration '2d'.*thick|there are"
    ):
        import_nnunet(GOLDEN / "thick", tmp_path / "d", configuration="2d")
    with pytest.raises(ModelError, match=r"holds 0 trained nnU-Net models.*there are none"):
        import_nnunet(tmp_path / "nowhere", tmp_path / "e")


def test_progress_is_told_for_every_checkpoint(tmp_path):
    seen = []
    import_nnunet(
        trained("cascade"), tmp_path / "model", progress=lambda done, total, what: seen.append((done, total))
    )
    assert seen == [(0, 2), (1, 2), (1, 2), (2, 2)]


@pytest.fixture
def copy(tmp_path):
    """A copy of a trained folder that a test may spoil."""
    source = trained("thick")
    return Path(shutil.copytree(source, tmp_path / "RESULTS" / source.name))


def edited(folder, change):
    """The folder with `change(plans, its configuration)` done to its plans."""
    content = json.loads((folder / "plans.json").read_text())
    change(content, content["configurations"]["3d_fullres"])
    (folder / "plans.json").write_text(json.dumps(content))
    return folder


def test_older_plans_describe_the_same_network(copy):
    dataset = json.loads((copy / "dataset.json").read_text())
    new = json.loads((copy / "plans.json").read_text())
    raw = new["configurations"]["3d_fullres"]
    settings = raw.pop("architecture")["arch_kwargs"]
    before = Meaning.of(
        json.loads((copy / "plans.json").read_text()), dataset, "3d_fullres", where=copy
    ).plan()
    raw |= {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "conv_kernel_sizes": settings["kernel_sizes"],
        "pool_op_kernel_sizes": settings["strides"],
        "n_conv_per_stage_encoder": settings["n_conv_per_stage"],
        "n_conv_per_stage_decoder": settings["n_conv_per_stage_decoder"],
    }
    after = Meaning.of(new, dataset, "3d_fullres", where=copy).plan()
    expected = before.configuration().network.but(features=(4, 8, 8))
    assert after.configuration().network == expected


def test_a_configuration_may_inherit_from_another(copy, tmp_path):
    def inherit(plans, raw):
        plans["configurations"]["base"] = raw
        plans["configurations"]["3d_fullres"] = {"inherits_from": "base", "batch_size": 5}

    plan = import_nnunet(edited(copy, inherit), tmp_path / "model").plan
    assert plan.configuration().batch == 5
    assert plan.configuration().patch == (8, 24, 36)


@pytest.mark.parametrize(
    ("scheme", "rule"),
    [
        ("ZScoreNormalization", "zscore"),
        ("NoNormalization", "none"),
        ("RescaleTo01Normalization", "unit"),
        ("RGBTo01Normalization", "rgb"),
        ("CTNormalization", "ct"),
    ],
)
def test_every_normalisation_has_its_own(copy, tmp_path, scheme, rule):
    folder = edited(copy, lambda plans, raw: raw.update(normalization_schemes=[scheme]))
    found = import_nnunet(folder, tmp_path / "model").plan.channels[0].normalization
    assert found.rule == rule
    if rule == "ct":
        assert (found.low, found.high, found.mean, found.sd) == (5.0, 400.0, 90.0, 40.0)


def test_a_reader_that_turns_scans_is_followed(copy, tmp_path):
    folder = edited(copy, lambda plans, raw: plans.update(image_reader_writer="NibabelIOWithReorient"))
    assert import_nnunet(folder, tmp_path / "model").plan.orientation == "RAS"


def _layer(settings, **change):
    settings["architecture"]["arch_kwargs"] |= change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p, r: r.update(normalization_schemes=["Mine"]),
            "the normalisation 'Mine' is not nnU-Net's own",
        ),
        (
            lambda p, r: r.update(normalization_schemes=["CTNormalization"] * 2),
            "2 normalization_schemes for 1 channels",
        ),
        (lambda p, r: r.pop("normalization_schemes"), "has no normalization_schemes for 3d_fullres"),
        (lambda p, r: r.update(preprocessor_name="Mine"), "the preprocessor 'Mine' is not nnU-Net's own"),
        (
            lambda p, r: r["resampling_fn_data_kwargs"].update(order=1),
            "resamples with resample_data_or_seg_to_shape",
        ),
        (lambda p, r: r.update(resampling_fn_probabilities="mine"), "resamples with mine"),
        (
            lambda p, r: r["architecture"].update(network_class_name="a.Primus"),
            "the network 'Primus' is none of",
        ),
        (lambda p, r: _layer(r, conv_bias=False), "the network has conv_bias = False, ours True"),
        (lambda p, r: _layer(r, nonlin="torch.nn.ReLU"), "the network has nonlin = 'torch.nn.ReLU'"),
        (lambda p, r: p["configurations"].pop("3d_fullres"), "has no configuration '3d_fullres'"),
        (lambda p, r: r.update(inherits_from="nobody"), "inherits from 'nobody', which is no other"),
        (lambda p, r: r.update(previous_stage="4d"), "previous_stage '4d' is none of"),
        (
            lambda p, r: _layer(r, features_per_stage=[4, 6, 9]),
            "has shape .*The plans describe another network",
        ),
        (
            lambda p, r: _layer(r, n_conv_per_stage=[2, 3, 2]),
            "has no tensor .*The plans describe another network",
        ),
    ],
)
def test_what_would_give_other_answers_is_refused(copy, tmp_path, change, message):
    with pytest.raises(ModelError, match=message):
        import_nnunet(edited(copy, change), tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_labels_that_nobody_named_are_refused(copy, tmp_path):
    content = json.loads((copy / "dataset.json").read_text())
    content.pop("labels")
    (copy / "dataset.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"dataset\.json: labels is missing"):
        import_nnunet(copy, tmp_path / "model")


def test_a_folder_that_is_something_else_is_refused(copy, tmp_path):
    (copy / "dataset.json").unlink()
    with pytest.raises(
        ModelError, match="is no trained nnU-Net model; expected TRAINER__PLANS__CONFIGURATION"
    ):
        import_nnunet(copy, tmp_path / "model")
    other = copy.rename(copy.with_name("a__b__4d"))
    (other / "dataset.json").write_text("{}")
    with pytest.raises(ModelError, match="configuration '4d' is none of 2d, 3d_fullres"):
        import_nnunet(other, tmp_path / "model")


def test_folds_and_files_that_are_not_there_are_named(copy, tmp_path):
    with pytest.raises(ModelError, match=r"has no checkpoint_final\.pth of fold 3; there are 0"):
        import_nnunet(copy, tmp_path / "model", folds=[0, 3])
    with pytest.raises(ModelError, match=r"has no best\.pth of fold 0; there are none.*--checkpoint"):
        import_nnunet(copy, tmp_path / "model", checkpoint="best.pth")


def test_a_training_on_all_cases_is_one_fold(copy, tmp_path):
    (copy / "fold_0").rename(copy / "fold_all")
    assert import_nnunet(copy, tmp_path / "model").folds == {"3d_fullres": (0,)}


def test_a_checkpoint_that_would_run_code_is_not_opened(copy, tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"network_weights": {}, "logging": Evil()}, copy / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(ModelError, match=r"which is no data and could run code; it was not opened"):
        import_nnunet(copy, tmp_path / "model")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "cannot be read as a checkpoint"), (b"PK\x03\x04 cut", "cannot be read as a checkpoint|no data")],
)
def test_a_checkpoint_that_is_cut_is_named(copy, tmp_path, content, message):
    (copy / "fold_0" / "checkpoint_final.pth").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        import_nnunet(copy, tmp_path / "model")


def test_a_checkpoint_without_weights_is_refused(copy, tmp_path):
    torch.save({"state_dict": {}}, copy / "fold_0" / "checkpoint_final.pth")
    with pytest.raises(
        ModelError, match="holds no network_weights; expected a checkpoint of nnU-Net version 2"
    ):
        import_nnunet(copy, tmp_path / "model")


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "module._orig_mod."])
def test_names_of_networks_that_were_wrapped_are_understood(copy, tmp_path, prefix):
    file = copy / "fold_0" / "checkpoint_final.pth"
    content = torch.load(file, weights_only=False)
    content["network_weights"] = {prefix + name: value for name, value in content["network_weights"].items()}
    torch.save(content, file)
    before = import_nnunet(trained("thick"), tmp_path / "a").networks()["3d_fullres"][0].state_dict()
    after = import_nnunet(copy, tmp_path / "b").networks()["3d_fullres"][0].state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
