"""Convert: a dataset in any layout becomes nnU-Net raw."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from delineate.dataset.case import Case
from delineate.dataset.dataset import Dataset
from delineate.dataset.layouts.recognition import CHANNELS, OPTIONAL
from delineate.dataset.values import NAMES, ORDER
from delineate.errors import DataError
from delineate.io import suffix_of, write_labels, write_volume
from delineate.io.disk import replacing, write_json
from delineate.progress import Progress, silent
from delineate.space import Geometry, LabelSchema, Volume

VOLUMES, PICTURES = ".nii.gz", ".png"


def write_nnunet(
    dataset: Dataset,
    folder: Path | str,
    *,
    name: str | None = None,
    number: int | None = None,
    progress: Progress = silent,
) -> Path:
    """Writes the dataset as nnU-Net raw and returns the new folder: opened again it is the same dataset.

    The folder is `folder` itself or, where a number is given, `folder/Dataset042_Name`. Volumes become
    .nii.gz with a file per channel, pictures .png; a file that already is what is wanted is copied.

    Raises:
        DataError: the folder exists, or a case cannot be read.
    """
    name, folder = name or dataset.name, Path(folder)
    target = folder if number is None else folder / f"Dataset{number:03d}_{name}"
    if target.exists():
        raise DataError(f"{target}: exists already. Name a new folder; nothing is overwritten.")
    if not dataset.cases:
        raise DataError(f"{dataset.name}: has no labelled case to write.")
    ending = PICTURES if _are_pictures(dataset) else VOLUMES
    every = (*dataset.cases, *dataset.unlabelled)
    with replacing(target) as temporary:
        for done, case in enumerate(every, 1):
            images = temporary / ("imagesTs" if case.labels is None else "imagesTr")
            _write_images(dataset, case, images, ending)
            if case.labels is not None:
                write_labels(dataset.labels(case), temporary / "labelsTr" / f"{case.id}{ending}")
            progress(done, len(every), case.id)
        write_json(temporary / "dataset.json", description(dataset, name, ending))
        if dataset.optional:
            write_json(temporary / CHANNELS, {OPTIONAL: list(dataset.optional)})
    return target


def description(dataset: Dataset, name: str, ending: str) -> dict[str, Any]:
    """The `dataset.json` of a dataset."""
    return {
        "name": name,
        **dataset.about,
        "channel_names": {str(n): channel for n, channel in enumerate(dataset.channels)},
        **label_entries(dataset.schema),
        "numTraining": len(dataset.cases),
        "file_ending": ending,
    }


def label_entries(schema: LabelSchema) -> Mapping[str, Any]:
    """The labels of a schema as `dataset.json` says them: background 0, then values, or regions of values.

    Where regions are learnt the names of the single values are kept under `label_names`, which nnU-Net
    passes over.
    """
    ignore = {} if schema.ignore is None else {"ignore": schema.ignore}
    if not schema.regions:
        return {"labels": {"background": 0, **{label.name: label.value for label in schema.labels}, **ignore}}
    regions = {r.name: list(r.values) if len(r.values) > 1 else r.values[0] for r in schema.regions}
    return {
        "labels": {"background": 0, **regions, **ignore},
        ORDER: [region.paints for region in schema.regions],
        NAMES: {str(label.value): label.name for label in schema.labels},
    }


def _write_images(dataset: Dataset, case: Case, folder: Path, ending: str) -> None:
    """One file per channel, as numbered files; pictures keep their colours in one."""
    single = len(case.images) == len(dataset.channels) and all(
        path is not None and path.is_file() and suffix_of(path) == ending for path in case.images
    )
    if single:
        folder.mkdir(parents=True, exist_ok=True)
        for n, path in enumerate(case.images):
            shutil.copyfile(path or "", folder / f"{case.id}_{n:04d}{ending}")
        return
    scan = dataset.scan(case)
    if ending == PICTURES:
        write_volume(scan, folder / f"{case.id}_0000{ending}")
        return
    for at, name in enumerate(scan.channels):
        n = dataset.channels.index(name)
        channel = Volume(scan.array[at : at + 1], scan.geometry, (name,), scan.source)
        write_volume(channel, folder / f"{case.id}_{n:04d}{ending}")


def _are_pictures(dataset: Dataset) -> bool:
    """Whether the first scan can be a PNG with nothing lost: flat, grey or RGB, whole numbers, no size."""
    scan = dataset.scan(dataset.cases[0])
    grid = scan.geometry
    kinds = (np.uint8,) if len(dataset.channels) == 3 else (np.uint8, np.uint16)
    plain = grid.is_flat and grid.same_place(Geometry.of_image((grid.shape[0], grid.shape[1])))
    return plain and len(dataset.channels) in (1, 3) and scan.array.dtype.type in kinds
