"""A run on two sequences, of which a scan may lack any."""

import json
import shutil

import numpy as np
import pytest

from delineate.errors import DataError, RunError
from delineate.evaluation import Report
from delineate.io import read_label_values, write_labels, write_volume
from delineate.io.disk import write_json
from delineate.networks import Degraded, Model
from delineate.pipeline import PlanWishes, Run, SegmentWishes, Unwatched, evaluate_missing, pack, run, segment
from delineate.pipeline.judge import CHOICE, Choice
from delineate.pipeline.missing import MISSING, without
from delineate.pipeline.scans import degraded_file
from delineate.space import Volume
from delineate.space.phantoms import balls

QUICK = {"training.precision": "fp32", "training.validate_every": 3}


@pytest.fixture(scope="module")
def sequences(tmp_path_factory):
    """Eight cases of a T1 that shows little, and a FLAIR that shows the balls."""
    folder = tmp_path_factory.mktemp("data") / "sequences"
    for n in range(8):
        scan, labels = balls(np.random.default_rng(n), size=16)
        for channel, weight in enumerate((0.1, 1.0)):
            array = (100 + weight * scan.array).astype(np.float32)
            file = folder / "imagesTr" / f"ball_{n}_{channel:04d}.nii.gz"
            write_volume(Volume(array, scan.geometry), file)
        write_labels(labels, folder / "labelsTr" / f"ball_{n}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "large": 1, "small": 2}}
    write_json(folder / "dataset.json", about | {"numTraining": 8, "file_ending": ".nii.gz"})
    return folder


@pytest.fixture(scope="module")
def undemanding(sequences, tmp_path_factory):
    """A finished run with channel dropout. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    run(sequences, folder, PlanWishes(steps=6, by_hand=QUICK, channel_dropout=0.3), Unwatched())
    evaluate_missing(folder, Unwatched())
    pack(folder)
    return folder


def test_what_each_channel_is_worth_is_measured_and_packed(undemanding):
    measured = Degraded.load(undemanding / MISSING)
    assert [(loss.missing, loss.structure) for loss in measured.losses] == [
        (("T1",), "large"),
        (("T1",), "small"),
        (("FLAIR",), "large"),
        (("FLAIR",), "small"),
    ]
    assert measured.cases == len(Run.open(undemanding).splits().folds[0].validation)
    report = Report.load(undemanding / "evaluation" / "report.json")
    for loss in measured.losses:
        assert loss.loss == pytest.approx(loss.whole - loss.without)
        assert loss.whole == pytest.approx(report.summary(loss.structure, "dice").mean)
    model = Model.open(undemanding / "model")
    assert model.degraded == measured
    assert "## Without a channel" in model.card
    assert measured.to_markdown() in model.card


def test_a_scan_without_a_channel_gives_labels_that_say_so(undemanding, sequences, tmp_path):
    scan = sequences / "imagesTr" / "ball_0_0001.nii.gz"
    flair = tmp_path / "ball_0_FLAIR.nii.gz"
    shutil.copy(scan, flair)
    said = []
    watch = Unwatched()
    watch.say = said.append
    (file,) = segment(undemanding / "model", [flair], tmp_path / "out", SegmentWishes(), watch)
    assert any(note.startswith("DEGRADED: made without T1") for note in read_label_values(file).notes)
    assert any("DEGRADED" in text for text in said)
    mark = json.loads(degraded_file(file).read_text())
    assert (mark["missing"], mark["labels"]) == (["T1"], file.name)
    assert [loss["structure"] for loss in mark["losses"]] == ["large", "small"]
    whole = [sequences / "imagesTr" / f"ball_0_000{n}.nii.gz" for n in range(2)]
    (again,) = segment(undemanding / "model", whole, file, SegmentWishes(), watch)
    assert not degraded_file(again).exists()
    assert not read_label_values(again).notes


def test_figures_of_other_networks_are_not_packed(undemanding, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(undemanding, folder)
    record = Degraded.load(folder / MISSING)
    (folder / MISSING).write_text(record.but(made_from="others").to_json())
    with pytest.raises(RunError, match=r"measured on other networks.*--missing-channels"):
        pack(folder)


def test_a_model_that_needs_every_channel_refuses_and_is_not_measured(finished, tmp_path):
    with pytest.raises(RunError, match=r"did not learn to do without any channel.*--channel-dropout"):
        evaluate_missing(finished, Unwatched())
    bare = tmp_path / "run"
    shutil.copytree(finished, bare)
    (bare / "evaluation" / "choice.json").unlink()
    with pytest.raises(RunError, match="was not evaluated yet"):
        evaluate_missing(bare, Unwatched())


def test_where_every_case_lacks_something_nothing_can_be_taken_away(undemanding, sequences, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(sequences, data)
    for path in (data / "imagesTr").glob("*_0000.nii.gz"):
        path.unlink()
    write_json(data / "channels.json", {"optional": ["T1"]})
    run(data, folder, PlanWishes(steps=2, by_hand=QUICK), Unwatched())
    with pytest.raises(RunError, match="no measured case has all channels"):
        evaluate_missing(folder, Unwatched())
    assert Choice.load(folder / CHOICE).baselines == {}  # classical methods need every channel


def test_a_case_that_lacks_a_channel_is_judged_beside_whole_ones(sequences, tmp_path):
    data, folder = tmp_path / "data", tmp_path / "run"
    shutil.copytree(sequences, data)
    for number in (1, 4):
        (data / "imagesTr" / f"ball_{number}_0001.nii.gz").unlink()
    write_json(data / "channels.json", {"optional": ["FLAIR"]})
    report = run(data, folder, PlanWishes(steps=2, by_hand=QUICK), Unwatched())
    assert len(report.cases) == 2
    assert set(Choice.load(folder / CHOICE).baselines) == {"threshold", "otsu", "region growing", "watershed"}


def test_a_channel_is_taken_away_and_nothing_else_changes(sequences):
    scan = Volume(
        np.arange(16.0).reshape(2, 2, 2, 2), balls(np.random.default_rng(0), size=2)[0].geometry, ("a", "b")
    )
    left = without(scan, "a")
    assert left.channels == ("b",)
    assert (left.array[0] == scan.array[1]).all()


def test_two_channels_of_unknown_names_are_refused(undemanding, sequences, tmp_path):
    with pytest.raises(DataError, match="expected 2 channels"):
        segment(
            undemanding / "model",
            [sequences / "imagesTr" / "ball_0_0001.nii.gz"],
            tmp_path / "out",
            SegmentWishes(),
            Unwatched(),
        )
