"""`delineate pretrain`, and the options that begin with what it makes."""

import numpy as np
import pytest
from typer.testing import CliRunner

from delineate.cli import app
from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import Run
from delineate.space.phantoms import balls


@pytest.fixture
def data(tmp_path):
    """Four tiny scans with labels."""
    for number in range(4):
        scan, labels = balls(np.random.default_rng(number), size=16)
        write_volume(scan, tmp_path / "data" / "imagesTr" / f"b{number}_0000.nii.gz")
        write_labels(labels, tmp_path / "data" / "labelsTr" / f"b{number}.nii.gz")
    write_json(
        tmp_path / "data" / "dataset.json",
        {
            "channel_names": {"0": "MR"},
            "labels": {"background": 0, "large ball": 1, "small ball": 2},
            "numTraining": 4,
            "file_ending": ".nii.gz",
        },
    )
    return tmp_path / "data"


def delineate(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_an_encoder_is_made_and_a_plan_begins_with_it(data, tmp_path):
    encoder, run = tmp_path / "encoder", tmp_path / "run"
    done = delineate("pretrain", data, encoder, "--steps", 1, "--device", "cpu", "--hidden", "50%")
    assert done.exit_code == 0, done.output
    assert "mean squared error" in done.output
    assert f"delineate run DATASET RUN --from {encoder}" in done.output
    words = ("--from", encoder, "--freeze", "encoder", "--thaw-after", "20%", "--encoder-rate", 0.1)
    planned = delineate("plan", data, run, "--steps", 1, "--device", "cpu", *words)
    assert planned.exit_code == 0, planned.output
    training = Run(run).plan().training
    assert (training.freeze, training.thaw_after, training.encoder_rate) == ("encoder", 0.2, 0.1)
    assert "that measure it (b" in planned.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("pretrain", "x", "y", "--hidden", "120%"), "expected a share like 20%"),
        (("pretrain", "x", "y", "--hidden", "much"), "is no number"),
        (("pretrain", "x", "y", "--use", "2d,3d_fullres"), "one configuration is pretrained"),
        (("pretrain", "x", "y", "--network", "seed_unet3d"), "has a fixed layout"),
        (("plan", "x", "y", "--thaw-after", "20%"), "--freeze encoder"),
    ],
)
def test_what_makes_no_sense_is_wrong_usage(words, said):
    done = delineate(*words)
    assert done.exit_code == 2
    assert said in " ".join(done.output.replace("│", " ").split())
