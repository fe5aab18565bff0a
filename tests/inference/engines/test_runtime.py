import json

import numpy as np
import pytest
import torch

from delineate.errors import ModelError, PlanError
from delineate.inference import Segmenter
from delineate.inference.engine import Parted
from delineate.inference.engines import Runtime, runtime
from delineate.inference.engines.graph import Apart
from delineate.space import Label, LabelSchema, Region

REGIONS = LabelSchema(
    labels=(Label(value=1, name="oedema"), Label(value=4, name="core")),
    regions=(Region(name="whole", values=(1, 4), paints=1), Region(name="core", values=(4,), paints=4)),
)
OTHERS = ("openvino", "onnx")


def plans(make_plan, configuration):
    """One of every kind of model: slices, regions, a cascade, several configurations, several channels."""
    flat, full = configuration((8, 8, 1), slice_axis=2), configuration()
    return {
        "2d": make_plan({"2d": flat}),
        "regions": make_plan(labels=REGIONS, channels=("T1", "T2")),
        "cascade": make_plan(
            {
                "3d_lowres": configuration(spacing=(2.0, 2.0, 2.0)),
                "3d_cascade_fullres": configuration(previous="3d_lowres"),
            },
            use=("3d_cascade_fullres",),
        ),
        "averaged": make_plan({"2d": flat, "3d_fullres": full}),
    }


@pytest.mark.parametrize("kind", ["2d", "regions", "cascade", "averaged"])
def test_every_kind_of_model_has_the_same_probabilities_in_every_engine(
    kind, make_plan, configuration, make_model, make_scan
):
    plan = plans(make_plan, configuration)[kind]
    folder = make_model(plan, folds=(0, 1)).folder
    scan = make_scan((12, 11, 10), channels=tuple(channel.name for channel in plan.channels))
    expected = Segmenter.open(folder, precision="fp32", mirror=True).segment(scan, probabilities=True)
    for engine in OTHERS:
        opened = Segmenter.open(folder, precision="fp32", engine=engine, mirror=True)
        found = opened.segment(scan, probabilities=True)
        assert np.abs(found.probabilities.array - expected.probabilities.array).max() < 1e-3
        assert (found.labels.array == expected.labels.array).mean() > 0.99


def test_networks_are_converted_and_compared_once(model, tmp_path, monkeypatch):
    wanted = Runtime("openvino", "fp32", cache=tmp_path)
    first = wanted.network(model, "3d_fullres", 0)
    kept = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert [name.rpartition(".")[2] for name in kept] == ["onnx", "json"]
    figures = json.loads(next(tmp_path.rglob("*.json")).read_text())
    assert 0 <= figures["largest difference of a logit in float32"] < 1e-3 < figures["largest logit"]
    for name in ("exported", "difference"):
        monkeypatch.setattr(runtime, name, None)
    x = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(wanted.network(model, "3d_fullres", 0)(x), first(x))


def test_a_converted_network_that_differs_is_refused_and_not_remembered(model, tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "difference", lambda *_: Apart(0.5, 1.0))
    with pytest.raises(ModelError, match=r"3d_fullres fold 0 in the engine onnx: gives other logits .* 0\.5"):
        Runtime("onnx", cache=tmp_path).networks(model)
    assert not list(tmp_path.rglob("*.json"))


def test_engines_say_where_and_in_what_they_compute():
    with pytest.raises(PlanError, match="onnx computes in fp32, not in bf16"):
        Runtime("onnx", "bf16")
    with pytest.raises(PlanError, match="fp16 is for GPUs"):
        Runtime("openvino", "fp16")
    assert Runtime("openvino", "fp32").numbers == "f32"
    assert Runtime("openvino", "bf16").numbers == "bf16"
    assert Runtime("openvino", "int8").numbers == Runtime("openvino", "auto").numbers


def test_other_engines_do_not_compute_on_a_gpu(monkeypatch):
    monkeypatch.setattr(runtime, "device_of", lambda name: torch.device("cuda"))
    with pytest.raises(PlanError, match="the engine openvino computes on the CPU, not on 'cuda'"):
        Runtime("openvino", device="cuda")


def test_int8_needs_int8_networks(model):
    with pytest.raises(PlanError, match=r"holds no int8 networks\. Make them with:  delineate compress"):
        Runtime("openvino", "int8").networks(model)


@pytest.mark.parametrize("folds", [(0,), (0, 1), (0, 1, 2)])
def test_many_classes_are_told_apart_after_the_engine(make_plan, make_model, make_scan, folds, tmp_path):
    """Up to two folds give four features each, fewer than nine classes; three do not."""
    made = make_model(make_plan(labels=LabelSchema.of(*(f"part {n}" for n in range(8)))), folds=folds)
    scan = make_scan()
    expected = Segmenter.open(made.folder, precision="fp32").segment(scan, probabilities=True)
    for engine in OTHERS:
        opened = Segmenter.open(made.folder, precision="fp32", engine=engine, cache=tmp_path)
        network = opened.networks["3d_fullres"][0]
        assert isinstance(network, Parted)
        assert network.trunk(torch.zeros(1, 1, 8, 8, 8)).shape[1] == 4
        assert network(torch.zeros(1, 1, 8, 8, 8)).shape[1] == 9
        found = opened.segment(scan, probabilities=True)
        assert np.abs(found.probabilities.array - expected.probabilities.array).max() < 1e-3
