"""Tiny cohorts, a tiny model, and the command line as another process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib import util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from delineate.io import write_labels, write_volume
from delineate.io.disk import is_partial, write_json
from delineate.pipeline import PlanWishes, Unwatched, run
from delineate.space.phantoms import balls

BALLS = {"background": 0, "large ball": 1, "small ball": 2}
QUICK = {
    "training.precision": "fp32",
    "training.validate_every": 2,
    "training.validation_batches": 2,
    "configurations.3d_fullres.network.features": [4, 8, 16],
}
PATIENCE_S = 300  # of a test for one command
LOOK_EVERY_S = 0.0005


def write_balls(folder: Path, cases: int, *, size: int = 16) -> Path:
    """A dataset in nnU-Net's layout: `cases` scans with two balls each."""
    for number in range(cases):
        scan, labels = balls(np.random.default_rng(number), size=size)
        write_volume(scan, folder / "imagesTr" / f"ball_{number:02d}_0000.nii.gz")
        write_labels(labels, folder / "labelsTr" / f"ball_{number:02d}.nii.gz")
    about = {"channel_names": {"0": "MR"}, "labels": BALLS, "numTraining": cases, "file_ending": ".nii.gz"}
    write_json(folder / "dataset.json", about)
    return folder


@pytest.fixture(scope="session")
def balls_in() -> Callable[..., Path]:
    """Writes cohorts of other sizes."""
    return write_balls


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten tiny scans with labels. Not to be changed."""
    return write_balls(tmp_path_factory.mktemp("data") / "Dataset001_Balls", 10)


@pytest.fixture(scope="session")
def quick() -> dict[str, object]:
    """Settings for a training of a few steps."""
    return QUICK


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, cohort: Path) -> Path:
    """A finished run on the cohort. Not to be changed."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    run(cohort, folder, PlanWishes(steps=2, by_hand=QUICK), Unwatched())
    return folder


class Terminal:
    """The command line, called in another process."""

    def run(self, *words: object) -> subprocess.CompletedProcess[str]:
        """A command that ran to its end."""
        return subprocess.run(
            _command(words), capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def ended(
        self, words: Sequence[object], how: signal.Signals, when: Callable[[float], bool]
    ) -> subprocess.CompletedProcess[str]:
        """A command whose whole process group got a signal once `when(seconds since the start)`.

        It may have come to its own end before: the return code tells.
        """
        with subprocess.Popen(
            _command(words),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        ) as process:
            start = time.monotonic()
            while process.poll() is None and not when(time.monotonic() - start):
                assert time.monotonic() - start < PATIENCE_S, "the moment never came"
                time.sleep(LOOK_EVERY_S)
            if process.poll() is None:
                os.killpg(process.pid, how)
            out, err = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(_command(words), process.returncode, out, err)


def _command(words: Sequence[object]) -> list[str]:
    return [sys.executable, "-m", "delineate", *map(str, words)]


@pytest.fixture(scope="session")
def terminal() -> Terminal:
    """Where commands are typed."""
    return Terminal()


@pytest.fixture(scope="session")
def leftovers() -> Callable[[Path], list[Path]]:
    """Names what was never finished below a folder."""
    return lambda folder: [path for path in folder.rglob("*") if is_partial(path)]


@pytest.fixture(scope="session")
def pacs() -> ModuleType:
    """A phantom study, and a real Orthanc to keep it (pacs.py)."""
    spec = util.spec_from_file_location("stories_pacs", Path(__file__).with_name("pacs.py"))
    assert spec is not None
    module = util.module_from_spec(spec)
    sys.modules[spec.name] = module
    assert spec.loader is not None
    spec.loader.exec_module(module)
    return module
