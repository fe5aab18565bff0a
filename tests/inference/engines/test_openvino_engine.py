import threading

import pytest
import torch

from delineate.errors import ModelError
from delineate.inference.engines import OpenVino, openvino_engine
from delineate.inference.engines.graph import exported, windows


@pytest.fixture(scope="module")
def graph(model):
    return exported(model.network("3d_fullres", 0), model.plan.configuration(), 1)


def test_numbers_are_those_that_are_asked_for(model, graph):
    x = windows(model.plan.configuration(), 1)
    with torch.inference_mode():
        expected = model.network("3d_fullres", 0)(x)
    exact, rough = (OpenVino(graph, numbers, 1)(x) for numbers in ("f32", "bf16"))
    assert torch.allclose(exact, expected, atol=1e-4)
    assert exact.dtype == rough.dtype == torch.float32
    assert torch.allclose(rough, expected, atol=0.2)


def test_windows_are_computed_part_by_part_with_the_same_answer(model, graph, monkeypatch):
    x = windows(model.plan.configuration(), 1, 5)
    whole = OpenVino(graph, "f32", 1)(x)
    monkeypatch.setattr(openvino_engine, "TOGETHER", 8**3)
    assert torch.allclose(OpenVino(graph, "f32", 1)(x), whole, atol=1e-5)


def test_callers_in_several_threads_wait_for_each_other(model, graph):
    engine, x = OpenVino(graph, "f32", 1), windows(model.plan.configuration(), 1, 3)
    alone, found = [engine(part[None]) for part in x], [None] * 3

    def work(n):
        found[n] = engine(x[n][None])

    threads = [threading.Thread(target=work, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(a, b) for a, b in zip(alone, found, strict=True))


def test_windows_of_another_size_are_refused(graph):
    expected = "converted for windows of 8 x 8 x 8, got 8 x 8 x 16. Use the engine torch"
    with pytest.raises(ModelError, match=expected):
        OpenVino(graph, "f32", 1)(torch.zeros(1, 1, 8, 8, 16))


def test_what_is_no_network_is_refused():
    for source in (b"nonsense", (b"<xml/>", b"")):
        with pytest.raises(ModelError, match=r"the engine openvino cannot read this network: Unable to read"):
            OpenVino(source, "f32", 1)


def test_what_openvino_cannot_compile_is_refused(graph, monkeypatch):
    class Broken:
        def compile_model(self, *_):
            raise RuntimeError("Exception from core:\nno such operation.\n")

    openvino = openvino_engine.package("openvino", "")
    read = openvino_engine.read_graph(graph)
    monkeypatch.setattr(openvino, "Core", Broken)
    with pytest.raises(ModelError, match=r"read this network: no such operation\. .* delete that folder"):
        OpenVino(read, "f32", 1)
