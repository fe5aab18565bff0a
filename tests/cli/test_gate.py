"""`delineate gate`, called as a person would call it."""

import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.evaluation import Rules, evaluate, write_report
from delineate.io.disk import write_text
from delineate.space.phantoms import balls

cli = CliRunner()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of four cases in which the large ball is found, and the small one is not."""
    place = tmp_path_factory.mktemp("measured")
    maps = [balls(np.random.default_rng(n), size=16)[1] for n in range(4)]

    def load(case):
        reference = maps[int(case)]
        found = np.where(reference.array == 1, 1, 0).astype(reference.array.dtype)
        return reference, type(reference)(found, reference.geometry, reference.schema)

    report = evaluate(["0", "1", "2", "3"], load, rules=Rules(metrics=("dice",)))
    write_report(report, place)
    return place


def gate(folder, *rows, name="gate.csv"):
    write_text(folder / name, "\n".join(["structure,metric,threshold,patients,source", *rows]) + "\n")
    return ["--gate", str(folder / name)]


@pytest.mark.parametrize(
    ("row", "outcome", "code", "strict"),
    [
        ("large ball,dice,0.9,2,us", "PASS", 0, 0),
        ("large ball,dice,0.9,30,us", "UNPROVEN", 0, 1),
        ("small ball,dice,0.9,2,us", "FAIL", 1, 1),
        ("medium ball,dice,0.9,2,us", "UNPROVEN", 0, 1),
    ],
)
def test_the_exit_says_what_the_verdict_is(folder, row, outcome, code, strict):
    asked = gate(folder, row)
    done = cli.invoke(app, ["-q", "gate", str(folder), *asked])
    assert f"Gate 'gate': **{outcome}**." in done.output
    assert done.exit_code == code
    assert cli.invoke(app, ["-q", "gate", str(folder), *asked, "--strict"]).exit_code == strict


def test_without_a_file_the_literature_is_asked_and_says_that_it_is_no_regulation(folder):
    done = cli.invoke(app, ["-q", "gate", str(folder)])
    assert done.exit_code == 0
    assert "Defaults from the literature, not regulatory limits." in done.output
    assert "No row of the gate asks about large ball, small ball." in done.output
    assert cli.invoke(app, ["-q", "gate", str(folder), "--strict"]).exit_code == 1


def test_machines_get_the_outcome_and_every_number(folder):
    done = cli.invoke(app, ["-q", "gate", str(folder / "report.json"), "--json", "--people", str(folder)])
    verdict = json.loads(done.output)
    assert verdict["outcome"] == "NOT JUDGED"
    assert len(verdict["judgements"]) == 4


def test_no_torch_is_needed(folder):
    code = f"import sys; sys.argv = ['delineate', 'gate', {str(folder)!r}]; import delineate.cli as c\n"
    code += "try: c.main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
