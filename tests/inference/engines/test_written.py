import json

import numpy as np
import onnxruntime
import pytest
import torch

from delineate.errors import ModelError
from delineate.inference.engines import Written, write_networks, written
from delineate.inference.engines.graph import Apart, windows


@pytest.mark.parametrize("form", ["onnx", "openvino"])
def test_every_fold_is_written_with_what_is_done_around_it(make_model, make_plan, tmp_path, form):
    model = make_model(make_plan(), folds=(0, 1))
    made = write_networks(model, tmp_path / "out", form)
    endings = {"onnx": ["onnx"], "openvino": ["bin", "xml"]}[form]
    expected = [f"3d_fullres_fold_{fold}.{ending}" for fold in (0, 1) for ending in endings]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [*expected, "about.json"]
    assert Written.load(tmp_path / "out" / "about.json") == made
    assert max(network.largest_difference for network in made.networks) < 1e-3
    assert made.networks[0].input.startswith("scan: float32 [any number of windows, 1 channels, 8, 8, 8]")
    write_networks(model, tmp_path / "out", form)  # an older export is replaced


def test_others_run_the_file_without_us(model, tmp_path):
    made = write_networks(model, tmp_path / "out", "onnx")
    x = windows(model.plan.configuration(), 1)
    session = onnxruntime.InferenceSession(tmp_path / "out" / made.networks[0].file)
    with torch.inference_mode():
        expected = model.network("3d_fullres", 0)(x).numpy()
    assert np.allclose(session.run(None, {"scan": x.numpy()})[0], expected, atol=1e-4)


def test_nothing_else_is_overwritten_and_nothing_is_left_of_a_refusal(model, tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    with pytest.raises(ModelError, match=r"mine: is there already\. Name a new folder"):
        write_networks(model, tmp_path / "mine", "onnx")
    monkeypatch.setattr(written, "difference", lambda *_: Apart(1.0, 1.0))
    with pytest.raises(ModelError, match="3d_fullres fold 0 as onnx: gives other logits than torch"):
        write_networks(model, tmp_path / "out", "onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_about_is_plain_json(model, tmp_path):
    write_networks(model, tmp_path / "out", "onnx")
    about = json.loads((tmp_path / "out" / "about.json").read_text())
    assert set(about) == {"version", "model", "sha256", "made_with", "before", "networks", "after"}
