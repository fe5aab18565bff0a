"""The spine on real scans: check, run, report, model, new scans, DICOM."""

import json

import numpy as np
import pytest

from delineate.evaluation import Report
from delineate.io import read_geometry, read_label_values
from delineate.networks import Model
from delineate.pipeline import Run

pytestmark = pytest.mark.slow

CASES = 24
STEPS = 200  # of a network that is small enough for a minute: what it learns does not depend on the machine
FAULTS = {
    "imagesTr/hippocampus_118.nii.gz": "image_hippocampus_118.nii.gz",
    "labelsTr/hippocampus_010.nii.gz": "label_hippocampus_010.nii.gz",
    "labelsTr/hippocampus_281.nii.gz": "label_hippocampus_281_CT512x512x94.nii.gz",
}


@pytest.fixture(scope="module")
def subset(shared_data, tmp_path_factory):
    """A manifest of some of the real cases."""
    source, folder = shared_data / "hippocampus", tmp_path_factory.mktemp("data") / "hippocampus"
    folder.mkdir()
    names = sorted(path.name for path in (source / "imagesTr").iterdir())[:: 220 // CASES][:CASES]
    rows = [f"{n.split('.')[0]},{source / 'imagesTr' / n},{source / 'labelsTr' / n}" for n in names]
    (folder / "dataset.csv").write_text("\n".join(["case,image,label", *rows]))
    (folder / "labels.json").write_text(json.dumps({"background": 0, "anterior": 1, "posterior": 2}))
    return folder


@pytest.fixture(scope="module")
def finished(subset, terminal, tmp_path_factory):
    """A run on it, planned for a minute and trained for as many steps as a quick machine makes in one."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    done = terminal.run("plan", subset, folder, "--minutes", 1, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    done = terminal.run("run", subset, folder, "--steps", STEPS, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    return folder


def test_each_planted_fault_is_named(shared_data, tmp_path, terminal):
    source = shared_data / "hippocampus"
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
        for path in sorted((source / part).iterdir())[:40]:
            (tmp_path / part / path.name).symlink_to(path)
    for place, broken in FAULTS.items():
        (tmp_path / place).symlink_to(source / "broken" / broken)
    done = terminal.run("check", tmp_path, "--layout", "pairs")
    assert done.returncode == 1
    assert "3 errors" in done.stdout
    assert all(place.split("/")[1].removesuffix(".nii.gz") in done.stdout for place in FAULTS)
    assert "they seem to belong to another" in done.stdout
    refused = terminal.run("run", tmp_path, tmp_path / "run", "--layout", "pairs", "--steps", 2)
    assert refused.returncode == 1
    assert "hippocampus_281" in refused.stderr
    assert not (tmp_path / "run" / "plan.json").exists()


def test_a_minute_of_training_finds_most_of_the_hippocampus(finished):
    report = Report.load(finished / "evaluation" / "report.json")
    assert report.structures == ("anterior", "posterior")
    assert report.mean() > 0.6
    page = (finished / "report.html").read_text()
    assert "anterior" in page
    assert page.count("data:image/png;base64,") >= 5
    model = Model.open(finished / "model")
    assert model.manifest.facts.cases == CASES


def test_a_network_is_better_than_what_needs_no_network(finished):
    choice = json.loads((finished / "evaluation" / "choice.json").read_text())
    best = max(score or 0 for score in choice["baselines"].values())
    assert choice["scores"]["3d_fullres"] > best


def test_the_model_gives_a_case_the_labels_that_were_measured(finished, subset, terminal, tmp_path):
    dataset = Run.open(finished).dataset()
    kept = next((finished / "folds" / "3d_fullres" / "fold_0" / "predictions").glob("*.nii.gz"))
    case = dataset.case(kept.name.removesuffix(".nii.gz"))
    out = tmp_path / "labels.nii.gz"
    done = terminal.run("segment", finished / "model", case.images[0], "-o", out, "--no-cleanup")
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_label_values(out).array, read_label_values(kept).array)


def test_a_dicom_series_ends_in_labels_on_its_own_grid(finished, shared_data, terminal, tmp_path):
    series = shared_data / "dicom_mr_hippocrop" / "Study1" / "13_HCropVolume"
    out = tmp_path / "labels.nii.gz"
    done = terminal.run("segment", finished / "model", series, "-o", out)
    assert done.returncode == 0, done.stderr
    labels = read_label_values(out)
    assert labels.geometry.same_place(read_geometry(series), tolerance_mm=1e-3)
    millilitres = {v: float((labels.array == v).sum()) * labels.geometry.voxel_ml for v in (1, 2)}
    assert all(0.2 < volume < 5 for volume in millilitres.values()), millilitres  # a hippocampus has about 3


def test_a_folder_of_patients_is_segmented_one_file_each(finished, shared_data, terminal, tmp_path):
    done = terminal.run(
        "segment", finished / "model", shared_data / "dicom_mr_hippocrop" / "Study2", "-o", tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["14_HCropVolume.nii.gz"]
