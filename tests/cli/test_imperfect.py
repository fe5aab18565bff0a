"""Options for missing sequences and imperfect labels reach the plan; those that do nothing are refused."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.space import Volume
from delineate.space.phantoms import balls

runner = CliRunner()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three cases of two sequences, the first without FLAIR, as is declared."""
    folder = tmp_path_factory.mktemp("two")
    for n in range(3):
        scan, labels = balls(np.random.default_rng(n), size=16)
        for channel in range(1 if n == 0 else 2):
            file = folder / "imagesTr" / f"b{n}_{channel:04d}.nii.gz"
            write_volume(Volume(scan.array * (1 + channel), scan.geometry), file)
        write_labels(labels, folder / "labelsTr" / f"b{n}.nii.gz")
    about = {"channel_names": {"0": "T1", "1": "FLAIR"}, "labels": {"background": 0, "large": 1, "small": 2}}
    write_json(folder / "dataset.json", about | {"numTraining": 3, "file_ending": ".nii.gz"})
    write_json(folder / "channels.json", {"optional": ["FLAIR"]})
    return folder


def typed(*words):
    return runner.invoke(app, ["-q", *map(str, words)])


def test_wishes_reach_the_plan_with_their_reasons(data, tmp_path):
    words = ("--steps", 2, "--channel-dropout", 0.25, "--raters", "--pseudo-weight", 0.5, "--json")
    done = typed("plan", data, tmp_path / "run", *words)
    assert done.exit_code == 0, done.output
    made = json.loads(done.stdout)
    training = made["training"]
    assert (made["may_lack"], training["channel_dropout"]) == (["FLAIR"], 0.25)
    assert (training["targets"], training["loss"], training["pseudo_weight"]) == (
        "raters",
        "semimetric_ce",
        0.5,
    )
    for name in ("channel_dropout", "targets", "pseudo_weight"):
        assert made["reasons"][f"training.{name}"].startswith("asked for")
    again = typed("plan", data, tmp_path / "run", "--channel-dropout", 0.1, "--json")
    assert json.loads(again.stdout)["reasons"]["training.channel_dropout"] == "set by hand (was 0.25)"


def test_scribbles_without_an_ignore_label_are_refused(data, tmp_path):
    done = typed("plan", data, tmp_path / "run", "--steps", 2, "--scribbles")
    assert done.exit_code == 1
    assert '"ignore": 0' in str(done.exception)


def test_options_that_would_do_nothing_are_refused(data, tmp_path):
    done = typed("evaluate", data, data / "labelsTr", "-o", tmp_path / "out", "--missing-channels")
    assert (done.exit_code, "goes with a RUN alone" in done.output) == (2, True)
    done = typed("evaluate", tmp_path, "--count-model-labels")
    assert (done.exit_code, "goes with PREDICTIONS" in done.output) == (2, True)
