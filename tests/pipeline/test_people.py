"""Raters and consensus, through the command line: what lies there afterwards, and what is refused."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.errors import DataError, Error
from delineate.evaluation.raters import Agreement, FusedFolder, FusionRules
from delineate.io import read_label_values, write_labels
from delineate.pipeline import ConsensusWishes, RaterWishes, Unwatched, compare_raters, fuse_raters
from delineate.space import Geometry, LabelMap, LabelSchema

GRID = Geometry((9, 8, 7), np.diag([1.0, 1.0, 2.0, 1.0]))


def save(path, size):
    array = np.zeros(GRID.shape, np.uint8)
    array[1 : 1 + size, 1:6, 1:5] = 1
    write_labels(LabelMap(array, GRID, LabelSchema.of("liver")), path)


@pytest.fixture
def places(tmp_path):
    """Three raters and a model of four cases; bob left one out."""
    for reader, size in (("ann", 4), ("bob", 5), ("cat", 5), ("net", 5)):
        for number in range(4):
            if (reader, number) != ("bob", 3):
                save(tmp_path / reader / f"case_{number}.nii.gz", size + (number == 2))
    return [tmp_path / name for name in ("ann", "bob", "cat")]


@dataclass(frozen=True)
class Done:
    """A command that ran to its end."""

    returncode: int
    stdout: str
    stderr: str


def run(*words):
    done = CliRunner().invoke(app, [str(word) for word in words])
    if isinstance(done.exception, Error):
        return Done(1, done.stdout, f"{done.stderr}{done.exception}")
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return Done(done.exit_code, done.stdout, done.stderr)


def said(done):
    return " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.parametrize("verb", ["raters", "consensus"])
def test_the_verbs_stay_light(places, tmp_path, verb):
    words = [sys.executable, "-X", "importtime", "-m", "delineate", verb, *places, "-o", tmp_path / "out"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, check=True)
    assert "delineate.evaluation.raters" in done.stderr
    assert not re.search(r"\| +torch$", done.stderr, re.MULTILINE)


# --- raters


def test_raters_and_a_model_are_compared(places, tmp_path):
    out = tmp_path / "out"
    done = run("raters", *places, "--model", tmp_path / "net", "-o", out, "--names", "A,B,C", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["raters"] == ["A", "B", "C"]
    assert {file.name for file in out.iterdir()} == {
        "agreement.json", "agreement.md", "agreement.html", "pairs.csv", "readers.csv",
    }  # fmt: skip
    agreement = Agreement.load(out / "agreement.json")
    assert agreement.absent["B"] == ("case_3",)
    assert agreement.people[0].dice.n == 4
    assert agreement.standings[0].verdict == "NOT PROVEN"
    page = (out / "agreement.html").read_text()
    assert "B did not label 1 cases (case_3)." in page
    assert "nobody says what the values" in said(done)


def test_the_table_is_the_result_on_the_screen(places, tmp_path):
    done = run("-q", "raters", *places, "-o", tmp_path / "out", "--method", "majority", "--field", "3")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| structure | cases | Dice of two raters |")
    assert "Consensus by majority" in done.stdout
    assert "what anybody drew and 3 mm around it" in done.stdout
    assert done.stdout.strip() in (tmp_path / "out" / "agreement.md").read_text()


def test_margin_patients_and_field_are_choices(places, tmp_path):
    words = ("--margin", 0.3, "--patients", 2, "--whole-scan", "--json")
    done = run("raters", *places, "--model", tmp_path / "net", "-o", tmp_path / "out", *words)
    found = json.loads(done.stdout)
    assert found["rules"]["margin_mm"] is None
    assert found["standings"][0]["verdict"] == "NON-INFERIOR"


def test_patients_are_those_of_a_table(places, tmp_path):
    (tmp_path / "cases.csv").write_text("case,patient\ncase_0,p\ncase_1,p\ncase_2,p\ncase_3,p\n")
    done = run("raters", *places, "-o", tmp_path / "out", "--cases", tmp_path / "cases.csv", "--json")
    assert json.loads(done.stdout)["people"][0]["dice"]["patients"] == 1


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ([], 1, "raters are two or more"),
        (["bob", "--names", "A"], 1, "2 folders need 2 different names; got A"),
        (["bob", "--field", "3", "--whole-scan"], 2, "give --field or --whole-scan, not both"),
        (["nowhere"], 1, "nowhere: does not exist"),
        (["empty"], 1, "holds no label file"),
        (["bob", "--method", "vote"], 2, "vote"),
    ],
)
def test_what_cannot_be_is_said(places, tmp_path, words, code, message):
    (tmp_path / "empty").mkdir()
    given = [tmp_path / word if word in ("bob", "nowhere", "empty") else word for word in words]
    done = run("raters", places[0], *given, "-o", tmp_path / "out")
    assert done.returncode == code
    assert message in said(done)


def test_a_report_never_lands_among_the_labels(places, tmp_path):
    for wishes, out in ((RaterWishes(), places[0]), (RaterWishes(model=tmp_path / "net"), tmp_path / "net")):
        with pytest.raises(DataError, match="holds labels that are read"):
            compare_raters(places, out, wishes, Unwatched())
    with pytest.raises(DataError, match="holds labels that are read"):
        fuse_raters(places, places[1], ConsensusWishes(), Unwatched())


def test_raters_who_share_no_case_are_told_so(places, tmp_path):
    shutil.copy(places[0] / "case_0.nii.gz", tmp_path / "other.nii.gz")
    (tmp_path / "eve").mkdir()
    (tmp_path / "other.nii.gz").rename(tmp_path / "eve" / "other.nii.gz")
    with pytest.raises(DataError, match="no case was labelled by two raters"):
        compare_raters([places[0], tmp_path / "eve"], tmp_path / "out", RaterWishes(), Unwatched())


# --- consensus


@pytest.mark.parametrize("method", ["staple", "majority", "simple", "soft"])
def test_a_consensus_is_files_and_a_record(places, tmp_path, method):
    out = tmp_path / "fused"
    done = run("consensus", *places, "-o", out, "--method", method)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"{out}: 4 cases by {method}"
    record = FusedFolder.load(out / "consensus.json")
    assert record.rules == FusionRules(method=method)
    assert record.made_by.startswith("delineate ")
    assert [case.labels for case in record.cases] == [f"case_{n}.nii.gz" for n in range(4)]
    assert (read_label_values(out / "case_0.nii.gz").array[1:5, 1:6, 1:5] == 1).all()
    assert (out / "probabilities" / "case_0.nii.gz").exists() == (method in ("staple", "soft"))
    measured = run("evaluate", places[0], out, "-o", tmp_path / "m", "--metrics", "dice", "--json")
    assert len(json.loads(measured.stdout)["cases"]) == 4


def test_ties_are_a_choice(places, tmp_path):
    two = places[:2]
    for ties, size in (("lowest", 4), ("highest", 5)):
        words = ("--method", "majority", "--ties", ties, "-o", tmp_path / ties)
        assert run("consensus", *two, *words).returncode == 0
        assert (read_label_values(tmp_path / ties / "case_0.nii.gz").array > 0).sum() == size * 5 * 4


def test_a_case_of_one_rater_is_left_out_and_counted(places, tmp_path):
    done = run("consensus", *places[:2], "-o", tmp_path / "fused", "--json")
    assert json.loads(done.stdout)["skipped"] == ["case_3"]
    assert "1 cases were labelled by fewer than two raters and left out." in said(done)


def test_known_answers_judge_who_takes_part(places, tmp_path):
    save(tmp_path / "gold" / "case_0.nii.gz", 5)
    for number in range(4):
        save(tmp_path / "eve" / f"case_{number}.nii.gz", 1)
    words = ("--gold", tmp_path / "gold", "--least", "0.6", "--method", "majority", "--json")
    done = run("consensus", *places, tmp_path / "eve", "-o", tmp_path / "fused", *words)
    assert done.returncode == 0, done.stderr
    record = json.loads(done.stdout)
    assert {worker["name"]: worker["why"] is None for worker in record["crowd"]["workers"]} == {
        "ann": True, "bob": True, "cat": True, "eve": False,
    }  # fmt: skip
    assert [case["case"] for case in record["cases"]] == ["case_1", "case_2", "case_3"]
    assert "| eve | 1 |" in done.stderr
    assert "below 0.6" in said(done)


def test_nobody_who_passes_is_an_error(places, tmp_path):
    save(tmp_path / "gold" / "case_0.nii.gz", 1)
    done = run("consensus", *places, "--gold", tmp_path / "gold", "-o", tmp_path / "fused")
    assert done.returncode == 1
    assert "nobody takes part: ann: mean Dice 0.400 on them, below 0.7" in said(done)


def test_open_ties_need_an_ignore_label(places, tmp_path):
    done = run("consensus", *places, "--ties", "ignore", "-o", tmp_path / "fused")
    assert done.returncode == 1
    assert "no ignore label" in said(done)
    (tmp_path / "labels.json").write_text('{"background": 0, "liver": 1, "ignore": 2}')
    words = ("--ties", "ignore", "--method", "majority", "--labels", tmp_path / "labels.json")
    assert run("consensus", *places[:2], *words, "-o", tmp_path / "fused").returncode == 0
    assert (read_label_values(tmp_path / "fused" / "case_0.nii.gz").array == 2).sum() == 5 * 4


def test_single_files_are_one_case(places, tmp_path):
    files = [folder / "case_0.nii.gz" for folder in places]
    done = run("consensus", *files, "--names", "A,B,C", "-o", tmp_path / "fused")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "fused" / "scan.nii.gz").exists()
