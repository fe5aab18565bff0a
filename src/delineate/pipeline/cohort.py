"""Cohort: phantom heads on disk, a folder per case as BraTS has it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from delineate.errors import DataError
from delineate.io import write_labels, write_volume
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
    for number in range(cases):
        name = f"head_{number:03d}"
        progress(number, cases, name)
        scan, labels = head(np.random.default_rng((seed, number)))
        for channel, values in zip(scan.channels, scan.array, strict=True):
            one = Volume(np.round(values[None]).astype(np.int16), scan.geometry, (channel,))
            write_volume(one, folder / name / f"{name}_{ENDINGS[channel]}.nii.gz")
        write_labels(labels, folder / name / f"{name}_seg.nii.gz")
    progress(cases, cases, "")
