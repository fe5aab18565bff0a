"""A cohort small enough to train on in seconds, and a run that was finished on it."""

from pathlib import Path

import numpy as np
import pytest

from delineate.io import write_labels, write_volume
from delineate.io.disk import write_json
from delineate.pipeline import PlanWishes, Unwatched, run
from delineate.space.phantoms import balls

SMALL = {"configurations.3d_fullres.network.features": [4, 8]}


def write_balls(folder: Path, cases: int, *, size: int = 16) -> Path:
    """A dataset in nnU-Net's layout: `cases` scans with two balls each."""
    for number in range(cases):
        scan, labels = balls(np.random.default_rng(number), size=size)
        write_volume(scan, folder / "imagesTr" / f"ball_{number:02d}_0000.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"ball_{number:02d}.nii.gz")
    write_json(
        folder / "dataset.json",
        {
            "channel_names": {"0": "MR"},
            "labels": {"background": 0, "large ball": 1, "small ball": 2},
            "numTraining": cases,
            "file_ending": ".nii.gz",
        },
    )
    return folder


@pytest.fixture(scope="session")
def balls_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten tiny scans with labels."""
    return write_balls(tmp_path_factory.mktemp("data") / "Dataset001_Balls", 10)


@pytest.fixture(scope="session")
def wishes() -> PlanWishes:
    """A training of a few steps."""
    return PlanWishes(steps=6, by_hand={"training.precision": "fp32", "training.validate_every": 3})


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, balls_folder: Path, wishes: PlanWishes) -> Path:
    """The folder of a run that went through every stage. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    run(balls_folder, folder, wishes, Unwatched())
    return folder
