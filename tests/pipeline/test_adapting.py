"""Adapting to a scan: batch norms see its statistics, the guard decides, and everything says so."""

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError, ModelError
from delineate.inference import Segmenter
from delineate.inference.adapt import norms_of, with_statistics
from delineate.io import read_volume
from delineate.networks import Model
from delineate.networks.adaptation import MARK, Adaptation
from delineate.networks.model import write_adaptation
from delineate.pipeline import PlanWishes, SegmentWishes, Unwatched, measure_adaptation, run, segment
from delineate.space import Volume

QUICK = {
    "training.precision": "fp32",
    "training.validate_every": 8,
    "training.validation_batches": 1,
    "network.norm": "batch",
    "batch": 4,
}
FIGURES = {"cases": 9, "patients": 9, "clean": 0.8, "adapted": 0.8, "loss": 0.0, "low": 0.0}


@pytest.fixture(scope="module")
def model(balls_folder, tmp_path_factory):
    """A model with batch norms."""
    folder = tmp_path_factory.mktemp("batch_norms") / "run"
    run(balls_folder, folder, PlanWishes(steps=8, network="resnet_unet", by_hand=QUICK), Unwatched())
    return folder / "model"


@pytest.fixture
def scan(balls_folder):
    found = read_volume(balls_folder / "imagesTr" / "ball_03_0000.nii.gz")
    return Volume(found.array, found.geometry, ("MR",))


def _state(segmenter):
    return [norm.running_mean.clone() for norm in norms_of(segmenter)]


def test_statistics_come_from_the_scan_and_are_put_back(model, scan):
    segmenter = Segmenter.open(model, precision="fp32")
    before, ready = _state(segmenter), segmenter.ready(scan)
    seen = []
    plain = segmenter.labelled(ready, probabilities=True).probabilities.array
    hook = norms_of(segmenter)[0].register_forward_hook(
        lambda norm, given, out: seen.append((given[0].mean((0, 2, 3, 4)), norm.running_mean.clone()))
    )
    mixed = with_statistics(segmenter, ready, 1.0, probabilities=True).probabilities.array
    hook.remove()
    windows, statistics = seen[-1]
    assert torch.allclose(windows, statistics, atol=1e-3)  # one batch of windows: its own mean
    assert not np.allclose(plain, mixed, atol=1e-3)
    assert all(torch.equal(a, b) for a, b in zip(before, _state(segmenter), strict=True))
    assert np.array_equal(segmenter.labelled(ready, probabilities=True).probabilities.array, plain)


def test_a_small_share_changes_little(model, scan):
    segmenter = Segmenter.open(model, precision="fp32")
    ready = segmenter.ready(scan)
    plain = segmenter.labelled(ready, probabilities=True).probabilities.array
    shares = (1e-6, 0.3, 1.0)
    mixed = [with_statistics(segmenter, ready, share, probabilities=True).probabilities for share in shares]
    away = [np.abs(each.array - plain).mean() for each in mixed]
    assert away[0] < 1e-4 < away[1] < away[2]


def test_statistics_are_put_back_after_an_error(model, scan, monkeypatch):
    segmenter = Segmenter.open(model, precision="fp32")
    before, ready = _state(segmenter), segmenter.ready(scan)
    calls = []

    def fail(self, *_, **__):
        calls.append(1)
        norms_of(self)[0].running_mean.add_(5)
        raise DataError("gone")

    monkeypatch.setattr(Segmenter, "labelled", fail)
    with pytest.raises(DataError, match="gone"):
        with_statistics(segmenter, ready, 0.5)
    assert all(torch.equal(a, b) for a, b in zip(before, _state(segmenter), strict=True))


def test_without_a_measurement_nothing_is_adapted(model, balls_folder, tmp_path):
    scans = [balls_folder / "imagesTr" / "ball_03_0000.nii.gz"]
    with pytest.raises(DataError, match="this model was not measured for adapting"):
        segment(model, scans, tmp_path / "out.nii.gz", SegmentWishes(adapt=True), Unwatched())


def test_the_guard_is_measured_kept_in_the_model_and_decides(model, balls_folder, tmp_path):
    found = measure_adaptation(model, balls_folder, Unwatched(), share=0.3)
    assert found.cases == 10
    assert found.loss == pytest.approx(found.clean - found.adapted, abs=1e-6)
    assert found.low <= found.loss <= found.high
    assert Model.open(model).adaptation == found
    scans = [balls_folder / "imagesTr" / "ball_03_0000.nii.gz"]
    refused = Adaptation(high=0.02, **FIGURES)
    write_adaptation(model, refused)
    with pytest.raises(DataError, match="Refused: adapting with a share"):
        segment(model, scans, tmp_path / "out.nii.gz", SegmentWishes(adapt=True), Unwatched())
    write_adaptation(model, Adaptation(high=0.001, **FIGURES))
    said = []
    watch = Unwatched()
    watch.say = said.append
    segment(model, scans, tmp_path / "out.nii.gz", SegmentWishes(adapt=True), watch)
    assert any(MARK in text for text in said)


def test_networks_without_batch_norms_have_nothing_to_adapt(finished, balls_folder):
    with pytest.raises(ModelError, match="no network of this model has batch norms that torch computes"):
        measure_adaptation(finished / "model", balls_folder, Unwatched())


def test_the_verb_says_what_it_costs_and_refuses_by_its_exit_code(model, balls_folder):
    words = ["adapt", str(model), str(balls_folder), "--share", "1", "--device", "cpu"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == (0 if "Allowed" in done.output else 1), done.output
    assert "adapting with a share of 1 costs" in done.output
    done = CliRunner().invoke(app, ["-q", *words, "--json"])
    assert '"allowed"' in done.output
