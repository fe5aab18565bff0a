"""Several sequences of a patient: phantoms with regions, real tumours, real lesions."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from delineate.dataset import Dataset
from delineate.io import read_label_values, read_volume, write_volume
from delineate.pipeline import Run
from delineate.planning import fingerprint, make_plan
from delineate.preparation import prepare_scan

pytestmark = pytest.mark.slow

REGIONS = ("whole tumour", "tumour core", "enhancing tumour")
SEQUENCES = ("t1", "t1ce", "t2", "flair")


@pytest.fixture(scope="module")
def heads(terminal, tmp_path_factory):
    """Six phantom heads."""
    folder = tmp_path_factory.mktemp("data") / "heads"
    done = terminal.run("phantoms", folder, "--cases", 6)
    assert done.returncode == 0, done.stderr
    return folder


def started(terminal, data, folder):
    """A run of three steps."""
    done = terminal.run("run", data, folder, "--steps", 3, "--device", "cpu", "--set", "precision=fp32")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def finished(terminal, heads, tmp_path_factory):
    """A run on the heads."""
    return started(terminal, heads, tmp_path_factory.mktemp("runs") / "run")


def test_regions_are_learnt_and_measured(finished):
    report = json.loads((finished / "evaluation" / "report.json").read_text())
    assert tuple(report["structures"]) == REGIONS
    labels = Run.open(finished).plan().labels
    assert labels.outputs == REGIONS


def test_heads_lie_in_many_ways_and_predictions_lie_on_them(finished, heads):
    dataset = Dataset.open(heads)
    found = Run.open(finished).fingerprint()
    assert len({case.orientation for case in found.cases}) > 1
    for file in (finished / "folds" / "3d_fullres" / "fold_0" / "predictions").glob("*.nii.gz"):
        scan = dataset.scan(dataset.case(file.name.removesuffix(".nii.gz")))
        assert read_label_values(file).geometry.same_place(scan.geometry)


def test_the_order_in_which_files_came_changes_nothing(finished, heads, terminal, tmp_path):
    copy = tmp_path / "heads"
    for path in np.random.default_rng(3).permutation(sorted(heads.rglob("*.nii.gz"))):
        place = copy / path.relative_to(heads)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, place)
    again = started(terminal, copy, tmp_path / "run")
    for name in ("fingerprint.json", "splits.json", "plan.json", "evaluation/scores.csv"):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name
    weights = "folds/3d_fullres/fold_0/weights.safetensors"
    assert (again / weights).read_bytes() == (finished / weights).read_bytes()


def test_channels_are_told_apart_by_their_names_or_asked_for(finished, heads, terminal, tmp_path):
    case = heads / "head_002"
    files = [case / f"head_002_{name}.nii.gz" for name in SEQUENCES]
    one, two = tmp_path / "files.nii.gz", tmp_path / "folder"
    done = terminal.run("segment", finished / "model", *files, "-o", one)
    assert done.returncode == 0, done.stderr
    done = terminal.run("segment", finished / "model", case, "-o", two)
    assert done.returncode == 0, done.stderr
    assert np.array_equal(read_label_values(one).array, read_label_values(two / "head_002.nii.gz").array)
    done = terminal.run("segment", finished / "model", *files[::-1], "-o", tmp_path / "wrong.nii.gz")
    assert done.returncode == 1
    assert "stands where the model reads T1, but its name says FLAIR" in done.stderr
    done = terminal.run("segment", finished / "model", *files[:3], "-o", tmp_path / "wrong.nii.gz")
    assert done.returncode == 1
    assert "4 channels (T1, T1c, T2, FLAIR), got 3 files" in done.stderr


def test_a_missing_channel_is_named_and_never_made_up(finished, heads, terminal, tmp_path):
    copy = tmp_path / "heads"
    shutil.copytree(heads, copy)
    (copy / "head_001" / "head_001_flair.nii.gz").unlink()
    done = terminal.run("check", copy)
    assert done.returncode == 1
    assert "head_001: FLAIR is missing" in done.stdout
    done = terminal.run("run", copy, tmp_path / "run", "--steps", 2)
    assert done.returncode == 1
    assert "head_001: FLAIR is missing" in done.stderr
    done = terminal.run("segment", finished / "model", copy / "head_001", "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "FLAIR" in done.stderr
    done = terminal.run("segment", finished / "model", copy, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert "1 of 6 cases could not be segmented" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 5


def test_a_sequence_that_moved_is_found_and_put_back(heads, terminal, tmp_path):
    copy = tmp_path / "heads"
    for name in ("head_000", "head_001", "head_002"):
        shutil.copytree(heads / name, copy / name)
    moved = copy / "head_001" / "head_001_flair.nii.gz"
    scan = read_volume(moved)
    write_volume(replace(scan, array=np.roll(scan.array, 4, axis=1)), moved)
    before = terminal.run("check", copy, "--alignment")
    assert before.returncode == 0, before.stderr
    assert "misaligned  (1)" in before.stdout
    assert "head_001: FLAIR lies up to" in before.stdout
    done = terminal.run("align", copy, tmp_path / "aligned")
    assert done.returncode == 0, done.stderr
    after = terminal.run("check", tmp_path / "aligned", "--alignment")
    assert after.returncode == 0, after.stdout
    assert "misaligned" not in after.stdout


def test_heads_without_flair_are_learnt_and_segmented_and_say_so(heads, terminal, tmp_path):
    copy, folder = tmp_path / "heads", tmp_path / "run"
    shutil.copytree(heads, copy)
    (copy / "head_001" / "head_001_flair.nii.gz").unlink()
    (copy / "channels.json").write_text('{"optional": ["FLAIR"]}')
    words = ("--steps", 3, "--device", "cpu", "--set", "precision=fp32")
    done = terminal.run("run", copy, folder, *words)
    assert done.returncode == 0, done.stderr
    assert "head_001: FLAIR is missing, which is declared optional" in done.stderr
    done = terminal.run("evaluate", folder, "--missing-channels")
    assert done.returncode == 0, done.stderr
    assert "| FLAIR | whole tumour |" in done.stdout
    assert terminal.run("pack", folder).returncode == 0
    out = tmp_path / "out"
    done = terminal.run("segment", folder / "model", copy / "head_001", "-o", out)
    assert done.returncode == 0, done.stderr
    assert "DEGRADED: made without FLAIR" in done.stderr
    mark = json.loads((out / "head_001_degraded.json").read_text())
    assert {loss["structure"] for loss in mark["losses"]} == set(REGIONS)
    (copy / "head_001" / "head_001_t2.nii.gz").unlink()
    done = terminal.run("segment", folder / "model", copy / "head_001", "-o", out)
    assert done.returncode == 1


def test_a_real_tumour_opens_as_brats_and_is_normalised_inside_the_brain(shared_data, tmp_path):
    source = shared_data / "brain_tumour_mri" / "TCGA-DU-7294" / "TCGA-DU-7294_brainles"
    folder = tmp_path / "brats" / "TCGA-DU-7294"
    folder.mkdir(parents=True)
    for path in (source / "raw_bet").iterdir():
        (folder / path.name.replace("_bet", "")).symlink_to(path)
    (folder / "TCGA-DU-7294_seg.nii.gz").symlink_to(source / "fusion" / "mav.nii.gz")
    dataset = Dataset.open(tmp_path / "brats")
    assert (dataset.layout, dataset.channels) == ("brats", ("T1", "T1c", "T2", "FLAIR"))
    _assert_masked(dataset, REGIONS)


def test_real_lesions_open_as_a_manifest_and_are_normalised_inside_the_brain(shared_data, tmp_path):
    source = shared_data / "ms_lesions" / "MNI" / "patient07"
    names = ("FLAIR", "T1", "T1POST", "T2")
    files = [next(source.glob(f"{name}_N4*.nii.gz")) for name in names]
    label = next(source.glob("GOLD_STANDARD*"))
    row = ",".join(map(str, ("patient07", *files, label)))
    (tmp_path / "dataset.csv").write_text(f"case,{','.join(names)},label\n{row}\n")
    (tmp_path / "labels.json").write_text('{"background": 0, "lesion": 1}')
    dataset = Dataset.open(tmp_path)
    assert dataset.channels == names
    _assert_masked(dataset, ("lesion",))


def _assert_masked(dataset, structures):
    """The brain fills so little of the scan that each sequence is normalised inside it, and only there."""
    plan = make_plan(fingerprint(dataset), device="cpu", steps=10)
    assert tuple(plan.labels.structures) == structures
    assert all(c.normalization.rule == "zscore" and c.normalization.masked for c in plan.channels)
    scan = dataset.scan(dataset.cases[0])
    there = prepare_scan(scan, plan, plan.configuration(plan.first))
    outside = (there.array == 0).all(axis=0)
    assert 0.2 < outside.mean() < 0.8
    assert np.allclose(there.array[:, ~outside].mean(axis=1), 0, atol=0.05)
