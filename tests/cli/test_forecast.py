"""`delineate forecast`, called as a person would call it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.evaluation import Rules, evaluate, write_report
from delineate.space import LabelMap
from delineate.space.phantoms import balls

cli = CliRunner()
CURVE = "size,score\n" + "".join(f"{n},{0.93 - 0.6 * n**-0.5:.4f}\n" for n in (10, 20, 40, 80, 160, 200))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A learning curve, and a report of twelve cases that are cut off more and more."""
    place = tmp_path_factory.mktemp("forecast")
    (place / "curve.csv").write_text(CURVE)
    scans = [balls(np.random.default_rng(n), size=16)[1] for n in range(12)]

    def load(case):
        reference = scans[int(case)]
        found = reference.array.copy()
        found[: 4 + int(case) // 3] = 0
        return reference, LabelMap(found, reference.geometry, reference.schema)

    cases = [str(n) for n in range(12)]
    write_report(evaluate(cases, load, rules=Rules(metrics=("dice", "hd95"))), place / "measured")
    return place


def test_a_curve_says_how_many_cases_to_train_with(folder, tmp_path):
    words = ["forecast", str(folder / "curve.csv"), "--target", "0.88", "--target", "0.95"]
    done = cli.invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "0.88 takes about 14" in done.stdout
    assert "0.95: the curve levels off at 0.93" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"forecast.{ending}" for ending in ("html", "json", "md")
    ]
    assert "<svg" in (tmp_path / "out" / "forecast.html").read_text()
    assert json.loads((tmp_path / "out" / "forecast.json").read_text())["limit"] == 400


def test_a_report_says_how_many_cases_prove_it(folder, tmp_path):
    words = ["-q", "forecast", str(folder / "measured"), "--target", "0.5", "--target", "0.99"]
    done = cli.invoke(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert "Dice, 0.5" in done.output
    assert "Dice, 0.99" in done.output
    assert "does not clear 0.99" in done.output
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["forecast.json", "forecast.md"]
    assert len(json.loads((tmp_path / "out" / "forecast.json").read_text())) == 2


def test_for_machines_there_is_json(folder):
    done = cli.invoke(app, ["-q", "forecast", str(folder / "curve.csv"), "--target", "0.88", "--json"])
    assert json.loads(done.output)["reaches"][0]["size"] in range(142, 147)
    words = ["--target", "4", "--metric", "hd95", "--json"]
    done = cli.invoke(app, ["-q", "forecast", str(folder / "measured"), *words])
    (found,) = json.loads(done.output)
    assert found["structures"]["large ball"]["best"] == "low"


def test_without_a_target_nothing_is_forecast(folder):
    done = cli.invoke(app, ["forecast", str(folder / "curve.csv")])
    assert done.exit_code == 1
    assert "say what is to be reached, for example  --target 0.9" in str(done.exception)


def test_forecasting_needs_no_torch(folder):
    code = (
        "import sys; from delineate.cli import main; sys.argv = ['delineate', '-q', 'forecast', "
        f"{str(folder / 'measured')!r}, '--target', '0.9']; main(); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
