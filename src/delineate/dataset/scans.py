"""Scans: what there is to learn from without labels.

Any dataset, of which only the images are used, or a folder of scans as `delineate segment` takes it. So that
a plan can be made as ever, every scan gets one structure, "foreground": what is brighter than its mean. It
decides which values are measured and where half of the patches lie, and nothing is taught with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.foreground import FOREGROUND
from delineate.dataset.incoming import incoming
from delineate.errors import DataError


def open_scans(path: Path, *, layout: str | None = None, channels: Sequence[str] | None = None) -> Dataset:
    """Every scan at `path`, labelled or not, as a dataset without labels.

    channels  of the scans, in the order of their files; by default as the dataset names them

    Raises:
        DataError: there is no scan, or the cases have different numbers of channels.
    """
    try:
        found = Dataset.open(path, layout=layout)
    except DataError:
        if layout is not None or not path.is_dir():
            raise
        return _loose(path, tuple(channels or ()))
    if channels is not None and len(channels) != len(found.channels):
        raise DataError(
            f"{path}: its cases have {len(found.channels)} channels ({', '.join(found.channels)}), but "
            f"{len(channels)} are named ({', '.join(channels)})."
        )
    return without_labels(replace(found, channels=tuple(channels or found.channels)))


def without_labels(dataset: Dataset) -> Dataset:
    """All cases of a dataset, as if nobody had drawn a label; each channel is needed."""
    cases = tuple(replace(case, labels=None) for case in (*dataset.cases, *dataset.unlabelled))
    complete = tuple(case for case in cases if None not in case.images)
    left = len(cases) - len(complete)
    notes = (f"{left} cases that lack a channel are left out",) if left else ()
    return replace(
        dataset,
        schema=FOREGROUND,
        cases=complete,
        unlabelled=(),
        values=None,
        orphans=(),
        problems=(),
        notes=(*dataset.notes, *notes),
        is_blind=True,
    )


def _loose(path: Path, channels: tuple[str, ...]) -> Dataset:
    cases = incoming((path,), channels or ("image",))
    names = channels or _named(cases)
    strange = [case.id for case in cases if len(case.images) != len(names)]
    if strange:
        raise DataError(
            f"{path}: expected {len(names)} channels ({', '.join(names)}) of every scan, but "
            f"{', '.join(strange[:5])} has another number. Put them into another folder, or name the "
            "channels with  --channels"
        )
    dataset = Dataset(path.name, path, "scans", names, FOREGROUND, cases)
    return without_labels(dataset)


def _named(cases: Sequence[Case]) -> tuple[str, ...]:
    """Names for channels that only have numbers."""
    count = len(cases[0].images)
    return ("image",) if count == 1 else tuple(f"image_{n}" for n in range(count))
