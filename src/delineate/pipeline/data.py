"""Data: what can be done with a dataset before anything is learnt from it."""

from __future__ import annotations

from pathlib import Path

from delineate.dataset import CheckReport, Dataset, Splits, check, write_nnunet
from delineate.progress import Progress, silent


def check_folder(
    path: Path,
    *,
    layout: str | None = None,
    splits: Path | None = None,
    workers: int | None = None,
    alignment: bool = False,
    progress: Progress = silent,
) -> CheckReport:
    """Every problem of a dataset on disk; with `splits`, also what leaks between their sides.

    alignment  also whether the channels of each case lie on each other
    """
    dataset = Dataset.open(path, layout=layout)
    return check(
        dataset,
        splits=None if splits is None else Splits.read(splits, dataset),
        workers=workers,
        alignment=alignment,
        progress=progress,
    )


def convert(path: Path, out: Path, *, layout: str | None = None, progress: Progress = silent) -> None:
    """Writes a dataset of any layout as nnU-Net raw."""
    write_nnunet(Dataset.open(path, layout=layout), out, progress=progress)
