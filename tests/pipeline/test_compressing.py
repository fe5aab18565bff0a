"""From a trained model to one in int8, and back where it loses."""

from dataclasses import replace

import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.dataset import Dataset
from delineate.errors import DataError, ModelError
from delineate.io.disk import write_json
from delineate.networks import Model
from delineate.pipeline import CompressWishes, Unwatched, compress, compressing
from delineate.pipeline.compression import Change, Compression

cli = CliRunner()


@pytest.fixture(scope="module")
def small(finished, balls_folder, tmp_path_factory):
    """The model of the run in int8, made as a person would, and what was printed."""
    out = tmp_path_factory.mktemp("int8") / "model"
    words = ["compress", str(finished / "model"), str(out), "--on", str(balls_folder), "--accept-loss"]
    done = cli.invoke(app, [*words, "--calibration", str(finished), "--patches", "8"])
    assert done.exit_code == 0, done.output
    return out, done


def test_a_table_is_printed_and_kept_in_the_model(small):
    out, done = small
    assert "mean Dice" in done.stdout
    assert "95 % interval" in done.stdout
    model = Model.open(out)
    assert model.is_quantised
    table = Compression.load(out / "compression.json")
    assert table.how == "Convolutions in int8, fitted to 8 windows of 10 scans of the run finished."
    assert {variant.name for variant in table.variants} >= {"float32", "int8"}
    assert min(variant.milliseconds for variant in table.variants) > 0
    assert table.mean_dice("int8").cases > 0
    assert "## Compression" in model.card
    assert any("windows; 20 to 50 are usual" in note for note in table.notes)


def test_the_model_in_int8_segments(small, balls_folder, tmp_path):
    out, _ = small
    scan = balls_folder / "imagesTr" / "ball_00_0000.nii.gz"
    done = cli.invoke(app, ["segment", str(out), str(scan), "-o", str(tmp_path / "labels.nii.gz")])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "labels.nii.gz").is_file()


def test_a_loss_leaves_nothing(finished, balls_folder, tmp_path, monkeypatch):
    def lossy(table, variant):
        return tuple(change for change in table.changes if change.structure and change.metric == "dice")

    monkeypatch.setattr(Compression, "lost", lossy)
    monkeypatch.setattr(compressing, "weighed", lambda *_: ((), (_change(),)))
    with pytest.raises(ModelError, match=r"large ball \(-0\.1000\)\. Nothing was written\."):
        compress(finished / "model", tmp_path / "out", CompressWishes(on=balls_folder), Unwatched())
    assert not list(tmp_path.iterdir())


def _change():
    numbers = {"before": 0.8, "after": 0.7, "change": -0.1, "low": -0.2, "high": 0.0}
    return Change(variant="int8", structure="large ball", metric="dice", cases=3, lacking=0, **numbers)


def test_what_cannot_be_compressed_is_refused(small, finished, balls_folder, tmp_path):
    out, _ = small
    wishes = CompressWishes(on=balls_folder)
    with pytest.raises(ModelError, match="its networks are int8 already"):
        compress(out, tmp_path / "again", wishes, Unwatched())
    with pytest.raises(DataError, match="is there already"):
        compress(finished / "model", out, wishes, Unwatched())


def test_it_is_measured_on_cases_with_the_labels_of_the_model(finished, balls_folder, tmp_path):
    other = tmp_path / "Dataset002_Other"
    for folder in ("imagesTr", "labelsTr"):
        (other / folder).mkdir(parents=True)
        for file in sorted((balls_folder / folder).iterdir())[:2]:
            (other / folder / file.name).write_bytes(file.read_bytes())
    about = {"channel_names": {"0": "MR"}, "numTraining": 2, "file_ending": ".nii.gz"}
    write_json(other / "dataset.json", about | {"labels": {"background": 0, "kidney": 1, "stone": 2}})
    expected = "is labelled with kidney, stone, but the model finds large ball, small ball"
    with pytest.raises(DataError, match=expected):
        compress(finished / "model", tmp_path / "out", CompressWishes(on=other), Unwatched())


def test_cases_without_labels_say_nothing(finished, balls_folder, tmp_path, monkeypatch):
    nobody = replace(Dataset.open(balls_folder), cases=())
    monkeypatch.setattr(Dataset, "open", lambda where: nobody)
    with pytest.raises(DataError, match="has no labelled cases to measure on"):
        compress(finished / "model", tmp_path / "out", CompressWishes(on=balls_folder), Unwatched())


def test_scans_of_any_folder_calibrate(finished, balls_folder):
    model = Model.open(finished / "model")
    wishes = CompressWishes(on=balls_folder, calibration=balls_folder / "imagesTr", patches=20)
    scans = compressing._scans(model, None, wishes)
    assert scans.told == "10 scans of imagesTr"
    assert scans.each == 2
    assert next(iter(scans)).channels == ("MR",)
