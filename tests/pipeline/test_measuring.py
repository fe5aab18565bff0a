import json
import subprocess
import sys

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import Report, Rules
from delineate.io import write_labels
from delineate.pipeline import MeasureWishes, Unwatched, evaluate_folders
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((8, 9, 10), np.diag([1.0, 1.0, 3.0, 1.0]))


def save(path, size):
    array = np.zeros(GRID.shape, np.uint8)
    array[1 : 1 + size, 1:5, 1:4] = 1
    path.parent.mkdir(exist_ok=True)
    write_labels(LabelMap(array, GRID, LabelSchema.of("liver")), path)


@pytest.fixture
def places(tmp_path):
    for name, size in (("a", 4), ("b", 3), ("c", 0)):
        save(tmp_path / "r" / f"{name}.nii.gz", 4)
        save(tmp_path / "p" / f"{name}.nii.gz", size)
    return tmp_path / "r", tmp_path / "p"


def test_everything_that_was_measured_is_on_disk_for_people_and_machines(places, tmp_path):
    out = tmp_path / "out"
    report = evaluate_folders(*places, out, MeasureWishes(rules=Rules(metrics=("dice",))), Unwatched())
    assert {file.name for file in out.iterdir()} == {
        "report.json", "scores.csv", "summary.md", "report.html",
    }  # fmt: skip
    assert Report.load(out / "report.json") == report
    page = (out / "report.html").read_text()
    assert "nobody says what the values" in page
    assert "Dice: 2 TP / (2 TP + FP + FN) in voxels" in page
    assert "Reference (ml): volume of the reference" in page
    assert page.count("data:image/png") == 3


def test_a_report_never_lands_among_the_labels(places):
    with pytest.raises(DataError, match="holds the labels that are measured"):
        evaluate_folders(*places, places[1], MeasureWishes(), Unwatched())


def run(*words):
    return subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "delineate", *map(str, words)],
        capture_output=True,
        text=True,
    )


def test_the_command_measures_without_torch(places, tmp_path):
    done = run("evaluate", *places, "-o", tmp_path / "out", "--metrics", "dice,hd95_area", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["rules"]["metrics"] == ["dice", "hd95_area"]
    assert "torch" not in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say where the report goes"),
        (["-o", "out", "--metrics", "dise"], "unknown metrics ['dise']"),
    ],
)
def test_wrong_usage_is_said_before_anything_is_read(places, words, message):
    done = run("evaluate", *places, *words)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.replace("│", " ").split())


def test_options_of_folders_are_refused_with_a_run(tmp_path):
    done = run("evaluate", tmp_path, "--labels", tmp_path / "labels.json")
    assert done.returncode == 2
    assert "--labels" in done.stderr
