"""The sarcoma patient: CT, PET and MR with contours, from a download to a training set, beside others."""

import json
import shutil
import subprocess

import numpy as np
import pytest
from matplotlib.path import Path as Outline
from typer.testing import CliRunner

from delineate.cli import app
from delineate.clinic import look, open_series, read_rtstruct
from delineate.dataset import Case, Dataset
from delineate.errors import DataError
from delineate.io import Manner, read_label_values, read_volume
from delineate.io.frames import dataset
from delineate.space import LabelMap, LabelSchema

MODALITIES = ("CT", "PET", "MR_T1")


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return float(2 * (a & b).sum() / (a.sum() + b.sum()))


@pytest.fixture(scope="module")
def patient(shared_data):
    return shared_data / "sts_sarcoma_dicom"


def ours(patient, modality: str):
    """The tumour as we read it, and its series."""
    case = patient / "STS_001" / modality
    series = open_series(case / "image")
    found = read_rtstruct(case / "mask" / "RS.dcm", series)
    return found.mask(found.structures[0].name), series


def by_points(patient, modality: str, series) -> np.ndarray:
    """The tumour by asking of each pixel centre whether it is in the outline: by matplotlib."""
    content = dataset(patient / "STS_001" / modality / "mask" / "RS.dcm")
    i, j = np.meshgrid(*(np.arange(n) for n in series.shape), indexing="ij")
    mask = np.zeros(series.grid_shape, bool)
    for contour in content.ROIContourSequence[0].ContourSequence:
        points = np.array([float(x) for x in contour.ContourData]).reshape(-1, 3)
        k = int(np.abs(series.along - points[0] @ series.normal).argmin())
        pixels = (points - series.positions[k]) @ series.axes.T / np.array(series.spacing)
        inside = Outline(pixels).contains_points(np.column_stack([i.ravel(), j.ravel()]))
        mask[:, :, k] ^= inside.reshape(series.shape)
    return mask


def test_the_download_says_what_it_is(patient):
    found = look(patient)
    assert [(s.modality, s.segment.use, s.train.use, s.remarks) for s in found.series] == [
        ("CT", "yes", "yes", ()), ("MR", "yes", "yes", ()), ("PT", "yes", "yes", ()),
    ]  # fmt: skip
    assert len(found.patients) == 1


def test_it_becomes_a_training_set_with_units(patient, tmp_path):
    done = CliRunner().invoke(
        app, ["-q", "import-dicom", str(patient), str(tmp_path / "set"), "--rename", "GTV*=GTV", "--json"]
    )
    assert done.exit_code == 0, done.output
    cases = json.loads(done.stdout)["cases"]
    assert [(case["modality"], case["unit"], case["structures"]["GTV"]) for case in cases] == [
        ("CT", "HU", 117145), ("MR", "", 117145), ("PT", "SUVbw (g/ml)", 5095),
    ]  # fmt: skip
    found = Dataset.open(tmp_path / "set")
    pet = found.scan(found.case(cases[2]["case"]))
    tumour = found.labels(found.case(cases[2]["case"])).array == 1
    assert pet.array[0][tumour].mean() > 2 * pet.array[0][~tumour].mean()  # it takes up sugar
    assert 20 < pet.array.max() < 30
    assert pet.array[0][tumour].max() > 5  # SUV of a sarcoma


def test_the_tumour_is_at_one_place_in_all_three(patient):
    """Centres of the contours in the frame of reference that CT and PET share."""
    centres = {}
    for modality in ("CT", "PET"):
        mask, series = ours(patient, modality)
        i, j, k = np.nonzero(mask)
        centres[modality] = series.to_patient(i.astype(float), j.astype(float), k).mean(axis=0)
    assert np.linalg.norm(centres["CT"] - centres["PET"]) < 2.0  # mm, of PET pixels of 4.7 mm


def test_ct_and_pet_become_one_scan_of_two_channels_when_asked(patient):
    """They share coordinates and no grid; the tumour drawn on the CT takes up sugar."""
    folders = tuple(patient / "STS_001" / name / "image" for name in ("CT", "PET"))
    case = Case(id="STS_001", images=folders)
    incoming = Dataset("sts", patient, "incoming", ("CT", "PET"), LabelSchema.of("GTV"), (), (case,))
    with pytest.raises(DataError, match="channels are on different grids"):
        incoming.scan(case)
    scan = incoming.scan(case, Manner(straighten=True))
    assert scan.array.shape == (2, 198, 202, 59)
    assert any("PET: put onto the slices of CT" in note for note in scan.source.notes)
    tumour, _ = ours(patient, "CT")
    assert scan.array[1][tumour].mean() > 2 * scan.array[1][~tumour].mean()
    hot = np.argwhere((scan.array[1] > 5) & tumour).mean(axis=0)
    assert np.linalg.norm((hot - np.argwhere(tumour).mean(axis=0)) * scan.geometry.spacing) < 25


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_contours_are_filled_as_matplotlib_fills_them(patient, modality, record_property):
    """Measured: Dice 1.0000 (CT), 1.0000 (PET), 1.0000 (MR)."""
    mask, series = ours(patient, modality)
    theirs = by_points(patient, modality, series)
    record_property(modality, (int(mask.sum()), int(theirs.sum()), round(dice(mask, theirs), 5)))
    assert dice(mask, theirs) > 0.999


@pytest.mark.parametrize("modality", MODALITIES)
def test_the_contours_are_filled_as_plastimatch_fills_them(patient, modality, tmp_path):
    program = shutil.which("plastimatch")
    if program is None:
        pytest.skip("plastimatch is not here: apt-get install plastimatch")
    case = patient / "STS_001" / modality
    command = [program, "convert", "--input", case / "mask" / "RS.dcm", "--referenced-ct", case / "image"]
    out = ["--output-prefix", tmp_path / "out", "--prefix-format", "nrrd"]
    subprocess.run([*command, *out], check=True, capture_output=True)
    file = read_label_values(next((tmp_path / "out").glob("*.nrrd")))
    theirs = LabelMap((file.array > 0).astype(np.uint8), file.geometry, LabelSchema.of("in"))
    mask, _ = ours(patient, modality)
    on_ours = theirs.resampled(read_volume(case / "image").geometry, order=0).array > 0
    assert dice(mask, on_ours) > 0.999
