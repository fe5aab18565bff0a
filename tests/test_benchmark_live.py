"""The benchmark of streams and of the fast mode runs, on something tiny."""

import json
import sys
from pathlib import Path

import pytest

sys_path = str(Path(__file__).parents[1])


@pytest.mark.slow
def test_the_benchmark_measures_both_modes(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(sys_path)
    from benchmarks.live import main

    main([str(tmp_path), "--frames", "6", "--edge", "64", "--shape", "60,56,50", "--deadline-ms", "60000"])
    result = json.loads((tmp_path / "live.json").read_text())
    assert result["live"]["summary"]["full"] == 6
    assert result["fast"]["dice"] > 0.99
    assert "frames a second" in capsys.readouterr().out
    assert "benchmarks.live" in sys.modules
