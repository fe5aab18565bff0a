from itertools import count

import pytest
import torch

from delineate.errors import ModelError
from delineate.inference import Segmenter
from delineate.inference.engines import Choice, Runtime, choice, choose


@pytest.fixture
def rates(monkeypatch):
    """What was measured, without measuring."""
    found = {"torch": 10.0, "openvino": 30.0, "onnx": 20.0}
    measured = count()

    def rated(opened, x, clock):
        next(measured)
        return {engine: found[engine] for engine in opened}

    monkeypatch.setattr(choice, "_rates", rated)
    return found, measured


def test_the_fastest_is_chosen_and_remembered(model, tmp_path, rates):
    _, measured = rates
    first = choose(model, Runtime(cache=tmp_path))
    assert first.engine == "openvino"
    assert first.told == "engine openvino (windows a second: openvino 30, onnx 20, torch 10)"
    assert choose(model, Runtime(cache=tmp_path)) == first
    assert next(measured) == 1
    assert Choice.load(next(tmp_path.rglob("choice_*.json"))) == first


def test_other_circumstances_are_measured_again(model, tmp_path, rates):
    _, measured = rates
    for wish in (Runtime(cache=tmp_path), Runtime(cache=tmp_path, threads=7), Runtime(cache=None)):
        choose(model, wish)
    next(tmp_path.rglob("choice_*.json")).write_text("{")
    assert len(list(tmp_path.rglob("choice_*.json"))) == 2
    for path in tmp_path.rglob("choice_*.json"):
        path.write_text("not json")
    choose(model, Runtime(cache=tmp_path))
    assert next(measured) == 4


def test_torch_stays_where_another_is_hardly_faster(model, rates):
    found, _ = rates
    found |= {"openvino": 10.9, "onnx": 5.0}
    assert choose(model, Runtime()).engine == "torch"


def test_without_the_extra_nothing_is_measured(model, monkeypatch, rates):
    _, measured = rates
    monkeypatch.setattr(choice, "versions", lambda engine: {} if engine == "torch" else None)
    found = choose(model, Runtime())
    assert found.engine == "torch"
    assert "nothing was measured; not openvino: not installed (pip install 'delineate[export]')" in found.told
    assert next(measured) == 0


def test_an_engine_that_cannot_convert_is_left_out_with_its_reason(model, monkeypatch, rates):
    plain = Runtime.network

    def refusing(self, *where):
        if self.engine == "openvino":
            raise ModelError("a network of the kind odd cannot be converted")
        return plain(self, *where)

    monkeypatch.setattr(Runtime, "network", refusing)
    found = choose(model, Runtime())
    assert found.engine == "onnx"
    assert "not openvino: a network of the kind odd cannot be converted" in found.told


def test_engines_that_do_not_compute_in_the_numbers_asked_for_are_left_out(model, rates):
    found = choose(model, Runtime(precision="bf16"))
    assert set(found.windows_per_s) == {"torch", "openvino"}
    assert "computes in fp32" in found.left_out["onnx"]


def test_rates_are_windows_by_seconds_of_the_clock(model):
    ticks = count(step=0.5)
    x = torch.zeros(2, 1, 8, 8, 8)
    with torch.inference_mode():
        found = choice._rates({"torch": lambda x: x, "onnx": lambda x: x}, x, lambda: next(ticks))
    assert found == {"torch": 4.0, "onnx": 4.0}


@pytest.mark.parametrize("slice_axis", [None, 1])
def test_auto_really_measures_and_segments(
    make_plan, configuration, make_model, make_scan, slice_axis, tmp_path
):
    plan = (
        make_plan()
        if slice_axis is None
        else make_plan({"2d": configuration((8, 1, 8), slice_axis=slice_axis)})
    )
    made = make_model(plan)
    opened = Segmenter.open(made.folder, engine="auto", precision="fp32", cache=tmp_path)
    found = Choice.load(next(tmp_path.rglob("choice_*.json")))
    assert set(found.windows_per_s) == {"torch", "openvino", "onnx"}
    assert min(found.windows_per_s.values()) > 0
    scan = make_scan()
    expected = Segmenter.open(made.folder, precision="fp32").segment(scan)
    assert (opened.segment(scan).labels.array == expected.labels.array).mean() > 0.99
