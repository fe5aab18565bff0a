"""`delineate compare`, called as a person would call it."""

import csv
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
CASES = [f"case_{n:02d}" for n in range(10)]
RULES = Rules(metrics=("dice", "hd95"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Reports of three models: old cuts off a part of every ball, new does so in the last case, newer too."""
    place = tmp_path_factory.mktemp("measured")
    scans = [balls(np.random.default_rng(n), size=16)[1] for n in range(len(CASES))]

    def model(cut):
        def load(case):
            number = CASES.index(case)
            found = scans[number].array.copy()
            found[: cut(number)] = 0
            return scans[number], LabelMap(found, scans[number].geometry, scans[number].schema)

        return load

    for name, cut in (
        ("old", lambda n: 6 + n % 2),
        ("new", lambda n: 6 if n == 9 else 5 - n % 2),
        ("run/evaluation", lambda n: 5),
    ):
        write_report(evaluate(CASES, model(cut), rules=RULES), place / name)
    write_report(evaluate(CASES[:8], model(lambda n: 5), rules=RULES), place / "short")
    write_report(evaluate(CASES, model(lambda n: 5), rules=RULES.but(tolerance_mm=2)), place / "other")
    return place


def compared(folder, *words):
    paths = [str(folder / word) if (folder / word).exists() else word for word in words]
    return cli.invoke(app, ["-q", "compare", *paths])


def test_two_folders_give_a_verdict_and_a_table(folder):
    done = compared(folder, "old", "new")
    assert done.exit_code == 0, done.output
    assert done.output.startswith("new is better, proven: in ")
    assert "| large ball | Dice | 0." in done.output
    assert "adjusted for 6 comparisons (Holm)" in done.output


def test_a_folder_a_run_and_a_file_are_all_reports(folder):
    done = compared(folder, "old/report.json", "run", "new")
    assert done.exit_code == 0, done.output
    assert "comes first by mean Dice" in done.output
    for title in ("### old and run", "### old and new", "### run and new", "### Order"):
        assert title in done.output


def test_everything_is_written_down(folder, tmp_path):
    done = cli.invoke(app, ["compare", str(folder / "old"), str(folder / "new"), "-o", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        f"comparison.{ending}" for ending in ("csv", "html", "json", "md")
    ]
    assert "comparison.html" in done.stderr
    rows = list(csv.DictReader((tmp_path / "out" / "comparison.csv").read_text().splitlines()))
    assert {row["first"] for row in rows} == {"old"}
    assert "<svg" in (tmp_path / "out" / "comparison.html").read_text()


def test_for_machines_there_is_json(folder):
    words = ["--names", "A,B", "--metrics", "hd95", "--margin", "hd95=0.5", "--test", "wilcoxon"]
    done = compared(folder, "old", "new", *words, "--missing", "judged", "--json")
    found = json.loads(done.output)
    assert found["verdict"].startswith("B is better, proven")
    assert found["terms"]["metrics"] == ["hd95"]
    assert (found["terms"]["test"], found["terms"]["missing"]) == ("wilcoxon", "judged")
    assert found["terms"]["margins"] == {"hd95": 0.5}
    assert {contrast["first"] for contrast in found["contrasts"]} == {"A"}


def test_other_cases_are_refused_unless_those_in_common_will_do(folder):
    done = cli.invoke(app, ["compare", str(folder / "old"), str(folder / "short")])
    assert done.exit_code == 1
    assert "different cases, 8 in common; only old: case_08, case_09" in str(done.exception)
    done = compared(folder, "old", "short", "--common")
    assert done.exit_code == 0, done.output
    assert "8 cases in common were compared" in done.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["old"], "a comparison takes two reports or more, got 1"),
        (["old", "old"], "old: is named twice; a model is not compared with itself"),
        (["old", "other"], r"different rules: tolerance_mm 1.0 and 2.0"),
        (["old", "nowhere"], "nowhere: holds no report. Expected report.json"),
        (["run", "run/evaluation"], "these are the same model"),
        (["old", "new", "--names", "A"], "expected 2 different names of models, got A"),
    ],
)
def test_what_cannot_be_compared_is_refused_with_a_way_out(folder, words, said):
    done = compared(folder, *words)
    assert done.exit_code == 1
    assert said in str(done.exception)


@pytest.mark.parametrize("margin", ["dice", "dice=", "=0.1", "dice=0", "dice=much"])
def test_a_margin_is_a_metric_and_a_number_above_zero(folder, margin):
    done = compared(folder, "old", "new", "--margin", margin)
    assert done.exit_code == 2
    assert "expected METRIC=GAP" in done.output


def test_models_are_called_what_tells_their_paths_apart(folder):
    from delineate.pipeline.comparing import names_of

    here = folder.resolve()
    assert names_of([here / "old", here / "run" / "evaluation"]) == ("old", "run")
    assert names_of([here / "a" / "evaluation" / "report.json", here / "b"]) == ("a", "b")
    assert names_of([here / "one" / "fold_0", here / "two" / "fold_0"]) == ("one/fold_0", "two/fold_0")


def test_comparing_needs_no_torch(folder):
    code = (
        "import sys; from delineate.cli import main; sys.argv = ['delineate', '-q', 'compare', "
        f"{str(folder / 'old')!r}, {str(folder / 'new')!r}]; main(); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
