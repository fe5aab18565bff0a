import numpy as np
import pytest

from delineate.errors import DataError
from delineate.evaluation.calibration import calibrate
from delineate.evaluation.calibration.files import ProbabilityFiles
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json

NAMES = ("a", "b", "c")


@pytest.fixture
def folders(worlds, tmp_path):
    """Three references and their probabilities."""
    for number, name in enumerate(NAMES):
        reference, probabilities = worlds.scan(number, shape=(9, 8, 7))
        write_labels(reference, tmp_path / "labels" / f"{name}.nii.gz")
        write_volume(probabilities, tmp_path / "p" / f"{name}.nii.gz")
    write_json(tmp_path / "labels" / "labels.json", {"background": 0, "organ": 1, "cyst": 2})
    return tmp_path / "labels", tmp_path / "p"


def test_files_of_one_name_belong_together(folders, worlds):
    files = ProbabilityFiles.open(*folders)
    assert files.references.ids == NAMES
    assert files.notes == ()
    reference, probabilities = files.load("b")
    expected, said = worlds.scan(1, shape=(9, 8, 7))
    assert np.array_equal(reference.array, expected.array)
    assert np.allclose(probabilities.array, said.array)
    assert calibrate(files.references.ids, files.load).names == ("top label", "organ", "cyst")


def test_what_segment_writes_is_told_from_its_labels(folders):
    labels, p = folders
    for name in NAMES:
        (p / f"{name}.nii.gz").rename(p / f"{name}_probabilities.nii.gz")
        (p / f"{name}.nii.gz").write_bytes((labels / f"{name}.nii.gz").read_bytes())
    files = ProbabilityFiles.open(labels, p)
    assert {name: file.name for name, file in files.probabilities.items()} == {
        name: f"{name}_probabilities.nii.gz" for name in NAMES
    }


def test_references_without_probabilities_are_left_out_and_said(folders):
    labels, p = folders
    (p / "b.nii.gz").unlink()
    files = ProbabilityFiles.open(labels, p)
    assert files.references.ids == ("a", "c")
    assert files.notes == ("1 of 3 references have no probabilities: left out.",)


def test_a_table_of_cases_gives_patients(folders, tmp_path):
    (tmp_path / "cases.csv").write_text("case,patient\na,anna\nb,anna\nc,carl\n")
    files = ProbabilityFiles.open(*folders, facts=tmp_path / "cases.csv")
    assert [case.group for case in files.references.cases] == ["anna", "anna", "carl"]


def test_a_table_of_labels_gives_the_order_of_the_channels(folders, tmp_path):
    labels, p = folders
    (labels / "labels.json").unlink()
    write_json(tmp_path / "mine.json", {"background": 0, "organ": 1, "cyst": 2, "stone": 3})
    files = ProbabilityFiles.open(labels, p, labels=tmp_path / "mine.json")
    with pytest.raises(
        DataError, match=r"expected the probabilities of 4 outputs \(background, organ, cyst, st"
    ):
        calibrate(files.references.ids, files.load)


def test_nothing_to_read_is_refused(folders, tmp_path):
    labels, p = folders
    with pytest.raises(DataError, match="none: is no folder"):
        ProbabilityFiles.open(labels, tmp_path / "none")
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        DataError, match=r"empty: holds no probabilities\. Write them with:  delineate segment"
    ):
        ProbabilityFiles.open(labels, tmp_path / "empty")
    (p / "a.nii").write_bytes((p / "a.nii.gz").read_bytes())
    with pytest.raises(DataError, match=r"probabilities a.nii and a.nii.gz.*Keep one of them"):
        ProbabilityFiles.open(labels, p)


def test_names_that_never_meet_are_refused(folders):
    labels, p = folders
    for name in NAMES:
        (p / f"{name}.nii.gz").rename(p / f"pred_{name}.nii.gz")
    with pytest.raises(
        DataError, match=r"no probabilities belong to a reference[\s\S]*a, b, c[\s\S]*pred_a, pred_b"
    ):
        ProbabilityFiles.open(labels, p)
