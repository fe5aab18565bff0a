import shutil

import numpy as np
import pytest

from delineate.errors import DataError, ModelError
from delineate.evaluation import CalibrationRules
from delineate.io import read_label_values, read_volume, write_volume
from delineate.io.disk import write_json
from delineate.networks import Model
from delineate.pipeline import (
    CalibrateWishes,
    MeasureWishes,
    SegmentWishes,
    Unwatched,
    calibrate_folders,
    evaluate_folders,
    segment,
)
from delineate.pipeline.scans import probabilities_file
from delineate.space import Volume

HOW = SegmentWishes(probabilities=True, cleanup=False)


class Told(Unwatched):
    """Remembers what was said."""

    def __init__(self):
        self.said = []

    def say(self, text):
        self.said.append(text)


@pytest.fixture(scope="module")
def predicted(finished, balls_folder, tmp_path_factory):
    """Labels and probabilities of a model, as `segment` writes them."""
    out = tmp_path_factory.mktemp("predicted")
    scans = sorted((balls_folder / "imagesTr").iterdir())[:4]
    segment(finished / "model", scans, out, HOW, Unwatched())
    for file in out.iterdir():
        file.rename(out / file.name.replace("_0000", ""))
    return out


@pytest.fixture
def model(finished, tmp_path):
    """A copy of the model that may be changed."""
    return shutil.copytree(finished / "model", tmp_path / "model")


def test_what_segment_wrote_is_measured_against_the_dataset(predicted, balls_folder, tmp_path):
    wishes = CalibrateWishes(CalibrationRules(bins=10))
    report = calibrate_folders(balls_folder, predicted, tmp_path, wishes, Unwatched())
    assert len(report.cases) == 4
    assert report.names[0] == "top label"
    assert report.pooled("top label", "everywhere").voxels > 0
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        f"calibration.{s}" for s in ("html", "json", "md")
    ]


def test_a_model_carries_what_was_found_and_its_labels_stay(predicted, balls_folder, model, tmp_path):
    (sure, labels) = overconfident(predicted, balls_folder, tmp_path)
    report = calibrate_folders(labels, sure, None, CalibrateWishes(into=model), Unwatched())
    opened = Model.open(model)
    assert opened.calibration.temperature == pytest.approx(report.temperature.value)
    assert opened.calibration.cases == 4
    scan = min((balls_folder / "imagesTr").iterdir())
    watch = Told()
    (warm,) = segment(model, [scan], tmp_path / "warm.nii.gz", HOW, watch)
    assert watch.said == [
        f"probabilities are at the temperature of the model, {report.temperature.value:.3f}"
    ]
    name = scan.name.replace("_0000", "")
    assert np.array_equal(read_label_values(warm).array, read_label_values(predicted / name).array)
    before = read_volume(probabilities_file(predicted / name)).array
    after = read_volume(probabilities_file(warm)).array
    assert after.max(axis=0).mean() != pytest.approx(before.max(axis=0).mean(), abs=1e-3)
    with pytest.raises(ModelError, match="carries a temperature already"):
        calibrate_folders(labels, sure, None, CalibrateWishes(into=model), Unwatched())


def test_a_temperature_goes_only_into_the_model_whose_probabilities_were_measured(
    predicted, balls_folder, model, tmp_path
):
    names = {"background": 0, "kidney": 1, "stone": 2}
    write_json(tmp_path / "labels.json", names)
    wishes = CalibrateWishes(labels=tmp_path / "labels.json", into=model)
    with pytest.raises(
        DataError, match=r"gives the probabilities of background.* measured are of background, kid"
    ):
        calibrate_folders(balls_folder / "labelsTr", predicted, None, wishes, Unwatched())


def overconfident(predicted, balls_folder, folder):
    """Probabilities that are surer than those of a hardly trained model, and right often enough."""
    rng = np.random.default_rng(0)
    for file in predicted.glob("*_probabilities.nii.gz"):
        found = read_volume(file)
        name = file.name.replace("_probabilities", "")
        truth = read_label_values(balls_folder / "labelsTr" / name).array
        flipped = np.where(rng.random(truth.shape) < 0.2, (truth + 1) % len(found.channels), truth)
        p = np.full(found.array.shape, 0.01, np.float32)
        np.put_along_axis(p, flipped[None].astype(int), 1 - 0.01 * (len(p) - 1), axis=0)
        write_volume(Volume(p, found.geometry, found.channels), folder / "sure" / name)
    return folder / "sure", balls_folder / "labelsTr"


def test_a_temperature_that_makes_nothing_better_goes_nowhere(balls_folder, predicted, model, tmp_path):
    """A model that is never wrong has no temperature."""
    for file in predicted.glob("*_probabilities.nii.gz"):
        found = read_volume(file)
        name = file.name.replace("_probabilities", "")
        truth = read_label_values(balls_folder / "labelsTr" / name).array
        p = np.stack([truth == n for n in range(len(found.channels))]).astype(np.float32)
        write_volume(Volume(p * 0.94 + 0.02, found.geometry, found.channels), tmp_path / "right" / name)
    with pytest.raises(
        DataError, match=r"carries no temperature: no temperature down to 0.05.*Nothing was changed"
    ):
        calibrate_folders(
            balls_folder / "labelsTr", tmp_path / "right", None, CalibrateWishes(into=model), Unwatched()
        )
    assert Model.open(model).calibration is None


def test_probabilities_may_be_part_of_a_report(predicted, balls_folder, tmp_path):
    wishes = MeasureWishes(probabilities=predicted, without="skip")
    measured = evaluate_folders(balls_folder, predicted, tmp_path / "out", wishes, Unwatched())
    assert measured.calibration.pooled("top label", "everywhere").voxels > 0
    assert (tmp_path / "out" / "calibration.json").is_file()
    assert "<h2>How sure, and how right</h2>" in (tmp_path / "out" / "report.html").read_text()
