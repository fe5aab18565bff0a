import shutil

import pytest

from delineate.dataset import Dataset
from delineate.errors import RunError
from delineate.pipeline import Run
from delineate.pipeline.run_folder import files_of, signatures


def test_a_run_is_found_again(tmp_path, balls_folder):
    dataset = Dataset.open(balls_folder)
    started = Run.start(tmp_path / "run", dataset)
    assert Run.start(tmp_path / "run", dataset) == started == Run.open(tmp_path / "run")
    assert started.dataset().ids == dataset.ids


def test_a_folder_that_is_no_run_is_refused(tmp_path, balls_folder):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(RunError, match="is not empty and holds no run"):
        Run.start(tmp_path, Dataset.open(balls_folder))
    with pytest.raises(RunError, match="holds no run"):
        Run.open(tmp_path)


def test_a_run_keeps_to_its_dataset(tmp_path, balls_folder):
    Run.start(tmp_path / "run", Dataset.open(balls_folder))
    other = tmp_path / "other"
    shutil.copytree(balls_folder, other)
    with pytest.raises(RunError, match="was started on"):
        Run.start(tmp_path / "run", Dataset.open(other))


def test_changed_cases_are_named(tmp_path, balls_folder):
    mine = tmp_path / "mine"
    shutil.copytree(balls_folder, mine)
    started = Run.start(tmp_path / "run", Dataset.open(mine))
    labels = mine / "labelsTr" / "ball_04.nii.gz"
    labels.write_bytes(labels.read_bytes() + b"\0")
    with pytest.raises(RunError, match=r"1 cases changed since this run was started \(ball_04\)"):
        started.dataset()


def test_records_that_are_not_there_yet_name_the_command_that_makes_them(tmp_path, balls_folder):
    started = Run.start(tmp_path / "run", Dataset.open(balls_folder))
    for record in (started.plan, started.fingerprint, started.splits):
        with pytest.raises(RunError, match=r"has no .* yet. Make it with:  delineate plan"):
            record()


def test_only_one_process_works_on_a_run(tmp_path):
    run = Run(tmp_path / "run")
    with run.locked(), pytest.raises(RunError, match="another process works on this run"), run.locked():
        pass
    with run.locked():
        pass


def test_a_run_that_was_killed_at_once_can_be_started_again(tmp_path, balls_folder):
    folder = tmp_path / "run"
    folder.mkdir()
    half = folder / ".0123abcd.partial-run.json"
    half.write_text("half")
    run = Run.start(folder, Dataset.open(balls_folder))
    with run.locked():
        assert not half.exists()


def test_signatures_see_a_touched_file_and_the_files_of_a_dicom_folder(tmp_path, balls_folder):
    mine = tmp_path / "mine"
    shutil.copytree(balls_folder, mine)
    before = signatures(Dataset.open(mine))
    (mine / "labelsTr" / "ball_00.nii.gz").touch()
    after = signatures(Dataset.open(mine))
    assert {case for case in before if before[case] != after[case]} == {"ball_00"}
    assert len(files_of(mine / "labelsTr")) == 10
    assert files_of(None) == ()
