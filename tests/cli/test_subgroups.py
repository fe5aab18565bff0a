"""`delineate subgroups`, called as a person would call it."""

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
CASES = [f"case_{n:02d}" for n in range(24)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A report of 24 cases, the last twelve of which (south) miss a part of the large ball."""
    place = tmp_path_factory.mktemp("measured")
    scans = [balls(np.random.default_rng(n), size=16)[1] for n in range(len(CASES))]

    def load(case):
        number = CASES.index(case)
        reference = scans[number]
        found = reference.array.copy()
        if number >= 12:
            found[:7] = 0
        return reference, LabelMap(found, reference.geometry, reference.schema)

    write_report(evaluate(CASES, load, rules=Rules(metrics=("dice", "hd95"))), place)
    lines = [f"{case},{'north' if n < 12 else 'south'},{20 + 2 * n},name {n}" for n, case in enumerate(CASES)]
    (place / "people.csv").write_text("case,site,age,remark\n" + "\n".join(lines) + "\n")
    return place


def test_every_column_that_makes_groups_divides_every_table(folder):
    done = cli.invoke(app, ["-q", "subgroups", str(folder), str(folder / "people.csv")])
    assert done.exit_code == 0, done.output
    for words in ("## By site", "## By age", "## By size (ml)", "### small ball: HD95", "proven: worse"):
        assert words in done.output
    assert "remark" not in done.output


def test_numbers_are_cut_at_the_edges_that_are_named_and_margins_are_said(folder):
    words = ["--by", "age=30,50", "--margin", "dice=0.05", "--metrics", "dice"]
    done = cli.invoke(app, ["-q", "subgroups", str(folder), str(folder / "people.csv"), *words, "--json"])
    (column,) = json.loads(done.output)["columns"]
    assert column["edges"] == {"": [30.0, 50.0]}
    assert column["margins"] == {"dice": 0.05}
    groups = column["tables"][0]["groups"]
    assert [(g["name"], g["n"]) for g in groups] == [
        ("under 30", 5),
        ("30 to under 50", 10),
        ("50 and over", 9),
    ]


def test_a_folder_gets_tables_numbers_and_a_page(folder, tmp_path):
    words = [str(folder), str(folder / "people.csv"), "--left-out", "site", "-o", str(tmp_path)]
    done = cli.invoke(app, ["subgroups", *words])
    assert done.exit_code == 0, done.output
    assert "needs 3 sites" in (tmp_path / "subgroups.md").read_text()
    assert json.loads((tmp_path / "subgroups.json").read_text())["left_out"]["verified"] is False
    page = (tmp_path / "subgroups.html").read_text()
    assert page.count("<svg") == 3
    assert 'class="dot"' in page
    assert "What to expect elsewhere" in page
    assert "Nobody checked" in page


def test_the_size_is_always_known(folder):
    done = cli.invoke(app, ["-q", "subgroups", str(folder), "--by", "size"])
    assert done.exit_code == 0
    assert "## By size (ml)" in done.output


def test_a_column_that_nobody_knows_is_refused(folder, monkeypatch):
    done = cli.invoke(app, ["-q", "subgroups", str(folder), "--by", "scanner"])
    assert done.exit_code == 1
    assert "nobody knows 'scanner' of its cases; known are size. Give a CSV" in str(done.exception)


@pytest.mark.parametrize("words", [["--by", "age=young"], ["--margin", "dice"]])
def test_what_is_no_number_is_wrong_usage(folder, words):
    done = cli.invoke(app, ["-q", "subgroups", str(folder), *words])
    assert done.exit_code == 2
    assert "is no number" in done.output


def test_no_torch_is_needed(folder):
    code = f"import sys; sys.argv = ['delineate', 'subgroups', {str(folder)!r}]; import delineate.cli as c\n"
    code += "try: c.main()\nexcept SystemExit: pass\nassert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
