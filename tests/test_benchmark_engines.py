"""The benchmark of engines, on a network and on matrices that are tiny."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def engines(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    return pytest.importorskip("benchmarks.engines")


def test_every_engine_has_a_time_and_a_share_of_the_peak(engines, tmp_path):
    model = engines.untrained(tmp_path / "model", (4, 8), (8, 8, 8), 3)
    rows = engines.compared("tiny", model, engines.in_int8(model, tmp_path / "int8"), 2, edge=64)
    assert {("torch", "f32"), ("onnx", "f32"), ("openvino", "f32"), ("openvino", "int8")} <= {
        (row.engine, row.numbers) for row in rows
    }
    assert all(row.gflops > 0 and row.share > 0 for row in rows)
    assert "| tiny | openvino | int8 |" in engines.markdown(rows)
