"""`delineate export` and the engines of `delineate segment`, called as a person would call them."""

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.cli.options import user_cache
from delineate.io import read_label_values, write_volume
from delineate.networks import Facts, build_network, write_model
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

cli = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model with random weights, and a scan."""
    place = tmp_path_factory.mktemp("export")
    spec = NetworkSpec(
        features=(4, 8),
        strides=((1, 1, 1), (2, 2, 2)),
        kernels=((3, 3, 3),) * 2,
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
        deep_supervision=False,
    )
    full = Configuration(
        spacing=(1.0, 1.0, 1.0),
        median_shape=(16, 16, 16),
        patch=(16, 16, 16),
        batch=2,
        network=spec,
        batch_dice=False,
    )
    plan = Plan(
        dataset="balls",
        fingerprint="0" * 64,
        labels=LabelSchema.of("large", "small"),
        channels=(ChannelPlan(name="MR", normalization=Normalization(rule="zscore")),),
        orientation="RAS",
        configurations={"3d_fullres": full},
        use=("3d_fullres",),
        augmentation={"3d_fullres": Augmentation()},
        training=Training(
            optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=10
        ),
        reasons={},
    )
    weights = {"3d_fullres": {0: build_network(spec, 1, 3, seed=1).state_dict()}}
    facts = Facts(created="2026-11-20", cases=1, patients=1)
    write_model(place / "model", plan=plan, weights=weights, card="", facts=facts)
    scan, _ = balls(np.random.default_rng(0), size=16)
    write_volume(scan, place / "scan.nii.gz")
    return place


@pytest.mark.parametrize(("form", "ending"), [("onnx", "onnx"), ("openvino", "xml")])
def test_networks_are_written_and_the_difference_is_printed(folder, tmp_path, form, ending):
    done = cli.invoke(app, ["export", str(folder / "model"), str(tmp_path / "out"), "--format", form])
    assert done.exit_code == 0, done.output
    assert f"3d_fullres_fold_0.{ending}  (differs from torch by " in done.stdout
    assert (tmp_path / "out" / "about.json").is_file()


def test_every_engine_segments_and_auto_says_which_it_chose(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    found = {}
    for engine in ("torch", "openvino", "onnx", "auto"):
        out = tmp_path / f"{engine}.nii.gz"
        words = ["segment", str(folder / "model"), str(folder / "scan.nii.gz"), "-o", str(out)]
        done = cli.invoke(app, [*words, "--engine", engine, "--precision", "fp32"])
        assert done.exit_code == 0, done.output
        found[engine] = read_label_values(out).array
    assert "(windows a second: " in done.stderr
    assert all((labels == found["torch"]).mean() > 0.999 for labels in found.values())
    assert list((tmp_path / "cache" / "delineate" / "engines").rglob("choice_*.json"))


@pytest.mark.parametrize(
    ("system", "variable", "expected"),
    [
        ("linux", "XDG_CACHE_HOME", "{place}/delineate"),
        ("linux", None, "{home}/.cache/delineate"),
        ("darwin", None, "{home}/Library/Caches/delineate"),
        ("win32", "LOCALAPPDATA", "{place}/delineate"),
        ("win32", None, "{home}/AppData/Local/delineate"),
    ],
)
def test_the_cache_lies_where_the_system_keeps_such_things(system, variable, expected, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.platform", system)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, str(tmp_path / "place"))
    told = expected.format(place=tmp_path / "place", home=tmp_path / "home")
    assert user_cache().as_posix() == told
