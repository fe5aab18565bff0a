"""Sequences that lie on each other are left alone, and those that do not are found out."""

import numpy as np
import pytest
from scipy import ndimage

from delineate.dataset import Dataset, check
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space import Geometry, LabelMap, LabelSchema, Volume

SHAPE = (32, 36, 30)


def put_case(folder, name, shift, *, flat=False):
    """Two sequences of one head, the second `shift` voxels away along i; the grids say nothing of it."""
    rng = np.random.default_rng(3)
    wide = (SHAPE[0] + 8, *SHAPE[1:])
    field = ndimage.gaussian_filter(rng.standard_normal(wide), 3)
    away = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in wide], indexing="ij"))
    tissue = np.where((away**2).sum(0) < 0.7, 1 + np.digitize(field / field.std(), [-0.8, 0, 0.8]), 0)
    grid = Geometry(SHAPE, np.diag([2.0, 2.0, 2.0, 1.0]))
    for channel, (signal, by) in enumerate((([0, 10, 40, 70, 100], 0), ([0, 90, 20, 60, 35], shift))):
        values = ndimage.gaussian_filter(np.array(signal, float)[tissue], 0.7)[4 + by : 4 + by + SHAPE[0]]
        values = np.full(SHAPE, 5.0) if flat and channel else values + rng.normal(0, 1, SHAPE)
        scan = Volume(values[None].astype(np.float32), grid)
        write_volume(scan, folder / "imagesTr" / f"{name}_{channel:04d}.nii.gz")
    labels = LabelMap((tissue[4 : 4 + SHAPE[0]] > 3).astype(np.uint8), grid, LabelSchema.of("tissue"))
    write_labels(labels, folder / "labelsTr" / f"{name}.nii.gz")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One case that lies right, one whose FLAIR lies three voxels away, one that shows nothing."""
    folder = tmp_path_factory.mktemp("moved")
    put_case(folder, "right", 0)
    put_case(folder, "moved", 3)
    put_case(folder, "empty", 0, flat=True)
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "tissue": 1}}
    write_json(folder / "dataset.json", about | {"numTraining": 3, "file_ending": ".nii.gz"})
    return folder


def test_a_channel_that_lies_elsewhere_is_named_with_how_far(folder):
    said = []
    report = check(Dataset.open(folder), alignment=True, progress=lambda *step: said.append(step[2]))
    (problem,) = [p for p in report.problems if p.kind == "misaligned"]
    assert (problem.case, problem.severity) == ("moved", "warning")
    assert problem.message.startswith("moved: FLAIR lies up to 6.")
    assert "(3." in problem.message
    assert "delineate align DATASET OUT" in problem.remedy
    (unknown,) = [p for p in report.problems if p.kind == "alignment-unknown"]
    assert unknown.case == "empty"
    assert "shows nothing" in unknown.message
    assert "moved, alignment" in said


def test_nothing_is_registered_unless_it_is_asked_for(folder):
    kinds = {problem.kind for problem in check(Dataset.open(folder)).problems}
    assert not kinds & {"misaligned", "alignment-unknown"}


def test_channels_that_cannot_be_read_together_are_named_once(folder, tmp_path):
    put_case(tmp_path, "a", 0)
    (tmp_path / "imagesTr" / "a_0001.nii.gz").write_bytes(b"nothing")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "tissue": 1}}
    write_json(tmp_path / "dataset.json", about | {"numTraining": 1, "file_ending": ".nii.gz"})
    kinds = [p.kind for p in check(Dataset.open(tmp_path), alignment=True).problems if p.severity == "error"]
    assert kinds == ["unreadable"]


@pytest.mark.slow
@pytest.mark.parametrize("shift", [0, 4])
def test_real_sequences_lie_on_each_other_and_shifted_ones_are_found_out(shared_data, tmp_path, shift):
    from delineate.io import read_volume

    source = shared_data / "ms_lesions" / "MNI" / "patient07"
    names = ("T1", "FLAIR")
    for name in names:
        scan = read_volume(next(source.glob(f"{name}_N4*.nii.gz")))
        array = np.roll(scan.array, shift if name == "FLAIR" else 0, axis=2)
        write_volume(Volume(array, scan.geometry), tmp_path / f"{name}.nii.gz")
    label = next(source.glob("GOLD_STANDARD*"))
    (tmp_path / "dataset.csv").write_text(f"case,T1,FLAIR,label\na,T1.nii.gz,FLAIR.nii.gz,{label}\n")
    (tmp_path / "labels.json").write_text('{"background": 0, "lesion": 1}')
    found = [p for p in check(Dataset.open(tmp_path), alignment=True).problems if p.kind == "misaligned"]
    assert len(found) == (1 if shift else 0)
    if shift:
        assert "FLAIR lies up to" in found[0].message
