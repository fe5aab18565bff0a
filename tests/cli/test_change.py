"""`delineate change`, called as a person would call it."""

import csv
import io
import json
import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_labels
from delineate.io.disk import write_json
from delineate.space import Geometry, LabelMap, LabelSchema

cli = CliRunner()


def save(path, length):
    grid = Geometry((40, 20, 6), np.diag([1.0, 1.0, 2.0, 1.0]))
    array = np.zeros(grid.shape, np.uint8)
    array[3 : 3 + length, 4:14, 1:5] = 1
    write_labels(LabelMap(array, grid, LabelSchema.of("lesion")), path)


@pytest.fixture
def here(tmp_path, monkeypatch):
    for visit, lengths in (("before", (10, 20)), ("after", (15, 20)), ("again", (11, 19))):
        for name, length in zip("ab", lengths, strict=True):
            save(tmp_path / visit / f"{name}.nii.gz", length)
    write_json(tmp_path / "labels.json", {"background": 0, "lesion": 1})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*words):
    return cli.invoke(app, ["change", *words], prog_name="delineate")


def test_two_files_are_compared(here):
    done = run("before/a.nii.gz", "after/a.nii.gz", "--repeatability", "20%", "--days", "365.25")
    assert done.exit_code == 0, done.output
    assert (
        "| a | lesion | 0.8 | 1.2 | +0.4 [+0.2, +0.64] | +50 [+25, +80] | +50 [+25, +80] | grew |"
        in done.output
    )
    assert "within measurement error, all: -16.7% to +20.0% (given: 20 %)" in done.output


def test_folders_are_compared_by_a_repeatability_measured_on_the_spot(here):
    done = run("before", "after", "--retest", "before", "again", "-o", "changes.csv", "--targets", "lesion")
    assert done.exit_code == 0, done.output
    rows = list(csv.DictReader(io.StringIO((here / "changes.csv").read_text())))
    assert [row["case"] for row in rows] == ["a", "b"]
    assert rows[1]["verdict"] == "no change beyond measurement error"
    assert "found from 2 cases, fewer than 35" in done.output
    assert "| SD |" in done.output


def test_machines_get_json(here):
    (here / "visits.csv").write_text("case,before,after\na,2024-01-01,2024-12-31\n")
    done = run("before", "after", "--dates", "visits.csv", "--json", "--nadir", "5", "--targets", "lesion")
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout)
    assert content["changes"][0]["days"] == 365
    assert content["changes"][1]["days"] is None
    assert content["responses"][0]["nadir_mm"] == 5
    assert content["changes"][0]["verdict"] == "not judged"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--days", "9", "--dates", "visits.csv"), "says what --dates says"),
        (("--repeatability", "9%", "--retest", "before", "after"), "says what --retest says"),
        (("-o", "changes.xlsx"), "changes are written as .csv"),
    ],
)
def test_options_that_exclude_each_other_are_wrong_usage(here, words, message):
    done = run("before", "after", *words)
    assert done.exit_code == 2
    assert message in " ".join(done.output.replace("│", " ").split())


def test_the_table_of_dates_is_not_written_over(here):
    (here / "visits.csv").write_text("case,before,after\na,2024-01-01,2024-12-31\n")
    done = run("before", "after", "--dates", "visits.csv", "-o", "visits.csv")
    assert done.exit_code == 1
    assert "holds the dates that were read" in str(done.exception)
    assert (here / "visits.csv").read_text().startswith("case,before,after")


def test_the_command_needs_no_torch(here):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "delineate", "change", "before", "after", "--json"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "torch" not in done.stderr
