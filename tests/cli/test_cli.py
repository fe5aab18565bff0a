"""The command line, called as a person would call it."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app, main
from delineate.io import read_label_values, write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space.phantoms import balls

cli = CliRunner()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six tiny scans with labels, in nnU-Net's layout."""
    folder = tmp_path_factory.mktemp("data") / "Dataset001_Balls"
    for number in range(6):
        scan, labels = balls(np.random.default_rng(number), size=16)
        write_volume(scan, folder / "imagesTr" / f"ball_{number}_0000.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"ball_{number}.nii.gz")
    description = {
        "channel_names": {"0": "MR"},
        "labels": {"background": 0, "large ball": 1, "small ball": 2},
        "numTraining": 6,
        "file_ending": ".nii.gz",
    }
    write_json(folder / "dataset.json", description)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Path) -> Path:
    """A run that was made by `delineate run`."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = cli.invoke(app, ["-q", "run", str(data), str(folder), "--steps", "3", "--set", "precision=fp32"])
    assert done.exit_code == 0, done.output
    return folder


def test_the_help_is_the_pipeline_in_order():
    text = cli.invoke(app, ["--help"]).output
    verbs = ["check", "run", "plan", "prepare", "train", "evaluate", "report", "pack", "segment", "convert"]
    places = [text.index(f"\n  {verb}") for verb in verbs]
    assert places == sorted(places)


def test_help_loads_nothing_heavy():
    code = "import sys, delineate.cli; print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "'torch'" not in out
    assert "'numpy'" not in out


def test_check_prints_words_and_json_and_exits_with_1_on_errors(data, tmp_path):
    good = cli.invoke(app, ["-q", "check", str(data)])
    assert good.exit_code == 0
    assert "few-cases" in good.output
    machine = cli.invoke(app, ["-q", "check", str(data), "--json"])
    assert json.loads(machine.output)["cases"] == 6
    broken = tmp_path / "broken"
    broken.mkdir()
    for name in ("imagesTr", "labelsTr", "dataset.json"):
        (broken / name).symlink_to(data / name)
    (broken / "imagesTr").unlink()
    (broken / "imagesTr").mkdir()
    for file in sorted((data / "imagesTr").iterdir())[1:]:
        (broken / "imagesTr" / file.name).symlink_to(file)
    bad = cli.invoke(app, ["-q", "check", str(broken)])
    assert bad.exit_code == 1
    assert "ball_0" in bad.output


def test_plan_prints_reasons_and_remembers_settings(data, tmp_path):
    shown = cli.invoke(
        app, ["-q", "plan", str(data), str(tmp_path / "run"), "--steps", "3", "--set", "batch=4"]
    )
    assert shown.exit_code == 0, shown.output
    assert "set by hand" in " ".join(shown.output.split())
    machine = cli.invoke(app, ["-q", "plan", str(data), str(tmp_path / "run"), "--json"])
    assert json.loads(machine.output)["configurations"]["3d_fullres"]["batch"] == 4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--set", "batch"], "expected FIELD=VALUE"),
        (["--set", "batches=4"], "no field 'batches'"),
        (["--set", "batch=none"], "batch"),
        (["--minutes", "3", "--steps", "4"], "either minutes or steps"),
    ],
)
def test_a_wrong_wish_is_refused_in_words(data, tmp_path, options, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["delineate", "-q", "plan", str(data), str(tmp_path / "run"), *options])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    captured = capsys.readouterr()
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--folds", "one"], "expected numbers like 0,1,2"),
        (["--use", "4d"], "expected 2d"),
        (["--device", "tpu"], "expected auto, cpu or cuda"),
    ],
)
def test_wrong_usage_exits_with_2(data, tmp_path, options, message):
    done = cli.invoke(app, ["-q", "plan", str(data), str(tmp_path / "run"), *options])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_place_that_cannot_be_written_to_is_named(data, tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    place = str(tmp_path / "file" / "run")
    monkeypatch.setattr(sys, "argv", ["delineate", "-q", "plan", str(data), place, "--steps", "3"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    said = capsys.readouterr().err
    assert place in said
    assert "Traceback" not in said


def test_debug_shows_where_an_error_arose(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["delineate", "--debug", "check", str(tmp_path / "nothing")])
    with pytest.raises(Exception, match="nothing"):
        main()


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit(130)])
def test_who_stops_the_program_hears_that_it_can_go_on(monkeypatch, capsys, stop):
    def stopped(*_, **__):
        raise stop

    monkeypatch.setattr("delineate.cli.app", stopped)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130
    assert capsys.readouterr().err.startswith("delineate: stopped. What was finished is kept")


def test_the_version_is_printed():
    assert cli.invoke(app, ["--version"]).output.startswith("delineate 0.")


def test_stages_one_by_one_give_what_run_gives(data, finished, tmp_path):
    folder = str(tmp_path / "run")
    for verb in (
        ["plan", str(data), folder, "--steps", "3", "--set", "precision=fp32"],
        ["prepare", folder, "--workers", "2"],
        ["train", folder, "--fold", "0"],
        ["evaluate", folder],
        ["report", folder],
        ["pack", folder, str(tmp_path / "model")],
    ):
        done = cli.invoke(app, ["-q", *verb])
        assert done.exit_code == 0, (verb, done.output)
    mine, theirs = tmp_path / "run", finished
    for name in ("plan.json", "evaluation/scores.csv", "folds/3d_fullres/fold_0/weights.safetensors"):
        assert (mine / name).read_bytes() == (theirs / name).read_bytes(), name
    assert (tmp_path / "model" / "CARD.md").is_file()


def test_evaluate_prints_json(finished):
    done = cli.invoke(app, ["-q", "evaluate", str(finished), "--json"])
    assert json.loads(done.output)["structures"] == ["large ball", "small ball"]


def test_segment_writes_labels_where_it_says(data, finished, tmp_path):
    scan = data / "imagesTr" / "ball_3_0000.nii.gz"
    out = tmp_path / "labels.nii.gz"
    done = cli.invoke(app, ["-q", "segment", str(finished / "model"), str(scan), "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert done.output.strip() == str(out)
    assert read_label_values(out).array.shape == (16, 16, 16)


def test_convert_writes_what_can_be_opened_again(data, tmp_path):
    out = tmp_path / "Dataset002_Copy"
    assert cli.invoke(app, ["-q", "convert", str(data), str(out)]).exit_code == 0
    assert cli.invoke(app, ["-q", "check", str(out)]).exit_code == 0


def test_phantoms_make_a_cohort_that_passes_the_check(tmp_path):
    assert cli.invoke(app, ["-q", "phantoms", str(tmp_path / "heads"), "--cases", "2"]).exit_code == 0
    assert cli.invoke(app, ["-q", "check", str(tmp_path / "heads")]).exit_code == 0


def test_progress_goes_to_stderr_and_results_to_stdout(data):
    command = [sys.executable, "-m", "delineate", "check", str(data), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["dataset"] == "Dataset001_Balls"
    assert "check: 6 of 6, done in" in done.stderr
