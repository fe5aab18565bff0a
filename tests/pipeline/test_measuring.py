import json
import subprocess
import sys

import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation import Report, Rules
from delineate.io import read_label_values, write_labels
from delineate.pipeline import MeasureWishes, Unwatched, evaluate_folders, evaluate_objects
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
    wishes = MeasureWishes(rules=Rules(metrics=("dice",)))
    report = evaluate_folders(*places, out, wishes, Unwatched()).report
    assert {file.name for file in out.iterdir()} == {
        "report.json", "scores.csv", "confusion.csv", "summary.md", "report.html",
    }  # fmt: skip
    assert Report.load(out / "report.json") == report
    page = (out / "report.html").read_text()
    assert "nobody says what the values" in page
    assert "Dice: 2 TP / (2 TP + FP + FN) in voxels" in page
    assert "Reference (ml): volume of the reference" in page
    assert page.count("data:image/png") == 3


def test_groups_and_thresholds_are_part_of_the_report_where_they_are_asked_for(places, tmp_path):
    (tmp_path / "cases.csv").write_text("case,patient,site\na,P,Rome\nb,Q,Oslo\nc,R,Oslo\n")
    (tmp_path / "gate.csv").write_text("structure,metric,threshold,source\nliver,dice,0.95,our wish\n")
    (places[0] / "labels.json").write_text('{"liver": 1}')
    wishes = MeasureWishes(facts=tmp_path / "cases.csv", by={"site": ()}, gate=str(tmp_path / "gate.csv"))
    measured = evaluate_folders(*places, tmp_path / "out", wishes, Unwatched())
    assert measured.verdict.outcome == "UNPROVEN"
    assert {"subgroups.json", "gate.json"} <= {file.name for file in (tmp_path / "out").iterdir()}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Is it as good for everybody?" in page
    assert "Is it good enough?" in page
    assert "our wish" in (tmp_path / "out" / "summary.md").read_text()


def test_lesions_are_measured_one_by_one_where_that_is_asked_for(places, tmp_path):
    wishes = MeasureWishes(rules=Rules(metrics=("dice", "lesion_f1")), lesions="gli")
    measured = evaluate_folders(*places, tmp_path / "out", wishes, Unwatched())
    assert measured.report.metrics[:2] == ("dice", "lesion_f1")
    assert {"lesion_dice", "lesion_hd95", "lesion_recall"} <= set(measured.report.metrics)
    assert measured.lesions.summaries[0].lesions == 3
    assert (tmp_path / "out" / "lesions.csv").read_text().count("\n") == 4
    assert (tmp_path / "out" / "findings.csv").is_file()
    assert "lesion-wise Dice" in (tmp_path / "out" / "report.html").read_text()


def test_lesion_rules_that_do_not_exist_are_refused_with_those_that_do(places, tmp_path):
    with pytest.raises(DataError, match=r"no lesion rules 'BRATS'; there are plain, GLI"):
        evaluate_folders(*places, tmp_path / "out", MeasureWishes(lesions="BRATS"), Unwatched())


def test_a_column_that_nobody_knows_is_refused(places, tmp_path):
    with pytest.raises(DataError, match="nobody knows 'sex' of its cases"):
        evaluate_folders(*places, tmp_path / "out", MeasureWishes(by={"sex": ()}), Unwatched())


@pytest.fixture
def objects(tmp_path):
    """Two maps of numbered objects; in the second prediction one object is missing."""
    grid = Geometry.of_image((40, 30))
    schema = LabelSchema.of(*(f"n{n}" for n in range(1, 701)))
    for name, dropped in (("a", 0), ("b", 4)):
        array = np.zeros(grid.shape, np.uint16)
        for number in range(6):
            array[6 * number : 6 * number + 4, 5:12] = 100 * number + 90
        for folder in ("ids", "found"):
            (tmp_path / folder).mkdir(exist_ok=True)
            kept = np.where(array == 100 * dropped - 10, 0, array) if folder == "found" else array
            write_labels(LabelMap(kept.astype(np.uint16), grid, schema), tmp_path / folder / f"{name}.png")
    return tmp_path / "ids", tmp_path / "found"


def test_objects_are_measured_by_their_ids(objects, tmp_path):
    report = evaluate_objects(*objects, tmp_path / "out", MeasureWishes(), Unwatched())
    assert report.summary("pq").pooled.value == pytest.approx(11 / 11.5)
    page = (tmp_path / "out" / "report.html").read_text()
    assert "every value of a map is one object" in page
    assert {file.name for file in (tmp_path / "out").iterdir()} == {
        "instances.json", "scores.csv", "summary.md", "report.html",
    }  # fmt: skip


def test_pictures_of_objects_lie_where_their_reference_does(objects, tmp_path):
    for name in "ab":
        there = read_label_values(objects[0] / f"{name}.png")
        grid = Geometry.of_image((40, 30), (0.5, 0.5))
        schema = LabelSchema.of(*(f"n{n}" for n in range(1, 701)))
        (objects[0] / f"{name}.png").unlink()
        write_labels(LabelMap(there.array, grid, schema), objects[0] / f"{name}.nii.gz")
    report = evaluate_objects(*objects, tmp_path / "out", MeasureWishes(), Unwatched())
    assert report.summary("pq").pooled.value == pytest.approx(11 / 11.5)


def test_objects_of_a_case_without_prediction_may_count_as_missed(objects, tmp_path):
    (objects[1] / "b.png").unlink()
    with pytest.raises(DataError, match="1 of 2 references have no prediction: b"):
        evaluate_objects(*objects, tmp_path / "out", MeasureWishes(), Unwatched())
    wishes = MeasureWishes(without="empty")
    report = evaluate_objects(*objects, tmp_path / "out", wishes, Unwatched())
    assert report.counts[0].missed == 6


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
