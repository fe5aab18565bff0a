"""Cohort: phantom heads on disk, a folder per case as BraTS has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io import write_labels, write_volume
from delineate.io.disk import replacing, sweep_beside
from delineate.progress import Progress, silent
from delineate.space import Volume
from delineate.space.phantoms import head

ENDINGS = {"T1": "t1", "T1c": "t1ce", "T2": "t2", "FLAIR": "flair"}


def phantoms(folder: Path, *, cases: int, seed: int, progress: Progress = silent) -> None:
    """Writes a cohort of synthetic heads with tumours; the same seed writes the same heads.

    Raises:
        DataError: there is something in the folder already.
    """
    if folder.exists() and any(folder.iterdir()):
        raise DataError(f"{folder}: is not empty. Name a new folder for the phantoms.")
    with replacing(folder) as cohort:  # half a cohort would look like a whole one
        for number in range(cases):
            name = f"head_{number:03d}"
            progress(number, cases, name)
            _write_head(np.random.default_rng((seed, number)), cohort / name)
    sweep_beside(folder)
    progress(cases, cases, "")


def _write_head(rng: np.random.Generator, folder: Path) -> None:
    scan, labels = head(rng)
    for channel, values in zip(scan.channels, scan.array, strict=True):
        one = Volume(np.round(values[None]).astype(np.int16), scan.geometry, (channel,))
        write_volume(one, folder / f"{folder.name}_{ENDINGS[channel]}.nii.gz")
    write_labels(labels, folder / f"{folder.name}_seg.nii.gz")
