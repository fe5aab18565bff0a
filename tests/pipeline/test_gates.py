"""`segment --gate-maps`: volumes beside the labels, or the reason why there are none."""

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError
from delineate.io import read_volume
from delineate.pipeline import SegmentWishes, Unwatched, segment
from delineate.space import Volume


def test_maps_lie_beside_the_labels(finished, balls_folder, tmp_path, monkeypatch):
    from delineate.inference import gates

    def half(segmenter, ready):
        return Volume(np.full((2, *ready.scan.shape), 0.5, np.float32), ready.scan, ("gate 1", "gate 2"))

    monkeypatch.setattr(gates, "gate_maps", half)
    scan, out = balls_folder / "imagesTr" / "ball_03_0000.nii.gz", tmp_path / "labels.nii.gz"
    done = CliRunner().invoke(
        app, ["segment", str(finished / "model"), str(scan), "-o", str(out), "--device", "cpu", "--gate-maps"]
    )
    assert done.exit_code == 0, done.output
    found = read_volume(tmp_path / "labels_gates.nii.gz")
    assert found.array.shape[0] == 2
    assert found.geometry.same_place(read_volume(scan).geometry, tolerance_mm=0.01)


def test_a_model_without_gates_says_so(finished, balls_folder, tmp_path):
    scans = [balls_folder / "imagesTr" / "ball_03_0000.nii.gz"]
    with pytest.raises(DataError, match="is a unet: only an attention_unet that torch computes has gates"):
        segment(finished / "model", scans, tmp_path / "l.nii.gz", SegmentWishes(gates=True), Unwatched())
