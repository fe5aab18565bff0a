"""Aligning: scans put onto each other before they are stacked, and every transform kept beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from delineate.dataset import Case, Dataset
from delineate.dataset.grids import same_grid
from delineate.dataset.incoming import stem_of
from delineate.errors import DataError, Error
from delineate.io import Manner, read_geometry, read_volume, write_labels, write_volume
from delineate.io.disk import write_text
from delineate.io.manner import PLAIN
from delineate.pipeline.manifest import write_manifest
from delineate.pipeline.watch import Watch
from delineate.record import Record
from delineate.space import Alignment, RegistrationRules, Source, Volume, register

STAYS = 0.5  # voxels: sequences on one grid that are no farther apart are left as they were, uninterpolated


class AlignedCase(Record):
    """What was done to one case of a dataset.

    onto    the channel that all others were registered to
    moved   channel -> what was found and applied
    stayed  channel -> what was found, too little to interpolate for
    """

    version: int = 1
    case: str
    onto: str
    moved: dict[str, Alignment]
    stayed: dict[str, Alignment]


@dataclass(frozen=True)
class AlignWishes:
    """How sequences are put onto each other.

    onto    the channel that all others are registered to; None: the first that a case has
    layout  how the dataset is read
    """

    rules: RegistrationRules = field(default_factory=RegistrationRules)
    onto: str | None = None
    layout: str | None = None


def register_scans(
    fixed: Path, moving: Sequence[Path], out: Path, rules: RegistrationRules, watch: Watch
) -> dict[str, Alignment]:
    """Writes each moving scan on the grid of the fixed one, OUT/NAME.nii.gz, and its transform beside it.

    Raises:
        DataError: scans have one name, one that is read would be overwritten, or what `register` refuses.
    """
    names = [stem_of(path) for path in moving]
    files = {name: out / f"{name}.nii.gz" for name in names}
    read = {path.resolve() for path in (fixed, *moving)}
    if len(files) != len(names) or any(file.resolve() in read for file in files.values()):
        raise DataError(
            f"{out}: {', '.join(sorted(names))} would overwrite each other or a scan that is read. Give the "
            "scans different names, and another folder with -o."
        )
    still, found = read_volume(fixed), {}
    with watch.stage("register") as progress:
        for number, (name, path) in enumerate(zip(names, moving, strict=True)):
            progress(number, len(names), name)
            scan = read_volume(path)
            found[name] = register(still, scan, rules)
            write_volume(found[name].applied(scan, still.geometry), files[name])
            write_text(out / f"{name}.json", found[name].to_json())
        progress(len(names), len(names), "")
    return found


def align(path: Path, out: Path, wishes: AlignWishes, watch: Watch) -> Dataset:
    """Writes a dataset whose sequences lie on each other, and opens it.

    OUT/dataset.csv lists the cases; OUT/CASE holds the channels that were moved, interpolated once, and
    aligned.json, which says what was found. Files that stay where they are are named, not copied. Labels are
    taken to be drawn on the channel that all others are registered to.

    Raises:
        DataError: OUT is not empty, the dataset has one file per case, or cases could not be aligned; all
            of these are named.
    """
    dataset = Dataset.open(path, layout=wishes.layout)
    _refuse(dataset, out, wishes)
    cases = (*dataset.cases, *dataset.unlabelled)
    done: list[Case] = []
    failed: dict[str, str] = {}
    with watch.stage("align") as progress:
        for number, case in enumerate(cases):
            progress(number, len(cases), case.id)
            try:
                done.append(_aligned(dataset, case, out, wishes))
            except Error as error:
                failed[case.id] = str(error)
        progress(len(cases), len(cases), "")
    if failed:
        lines = "\n".join(f"  {name}: {why}" for name, why in failed.items())
        raise DataError(f"{len(failed)} of {len(cases)} cases could not be aligned:\n{lines}")
    write_manifest(out, done, dataset.channels, dataset.schema, optional=dataset.optional)
    return Dataset.open(out)


def stacked(case: Case, names: tuple[str, ...], rules: RegistrationRules, manner: Manner = PLAIN) -> Volume:
    """The scan of a case whose channels are registered to the first one; its notes say what was found."""
    there = [(name, path) for name, path in zip(names, case.images, strict=True) if path is not None]
    parts = [read_volume(path, manner=manner) for _, path in there]
    still, notes, arrays = parts[0], [], [parts[0].array[:1]]
    for (name, _), part in zip(there[1:], parts[1:], strict=True):
        found = register(still, part, rules)
        arrays.append(found.applied(part, still.geometry).array[:1])
        notes.append(f"registered, as asked: {name} onto {there[0][0]}, {found.to_line()}")
    source = Source(
        files=tuple(file for part in parts for file in part.source.files),
        instance_uids=still.source.instance_uids,
        notes=(*(note for part in parts for note in part.source.notes), *notes),
    )
    return Volume(np.concatenate(arrays), still.geometry, tuple(name for name, _ in there), source)


def _refuse(dataset: Dataset, out: Path, wishes: AlignWishes) -> None:
    if out.exists() and any(out.iterdir()):
        raise DataError(f"{out}: is not empty. Name a new folder for the aligned dataset.")
    if wishes.onto is not None and wishes.onto not in dataset.channels:
        raise DataError(
            f"{dataset.name}: there is no channel {wishes.onto!r}; the channels are "
            f"{', '.join(dataset.channels)}."
        )
    cases = (*dataset.cases, *dataset.unlabelled)
    if len(dataset.channels) < 2 or any(len(case.images) != len(dataset.channels) for case in cases):
        raise DataError(
            f"{dataset.name}: its channels are not files of their own: nothing can be put onto each other. "
            "Aligning takes a file per sequence (BraTS, nnU-Net, or a manifest with a column per channel)."
        )


def _aligned(dataset: Dataset, case: Case, out: Path, wishes: AlignWishes) -> Case:
    there = [n for n, path in enumerate(case.images) if path is not None]
    names = [dataset.channels[n] for n in there]
    onto = wishes.onto or names[0]
    if onto not in names:
        raise DataError(f"{onto} is missing, onto which the others are to be put. Name another with --onto.")
    images = dict(zip(names, (case.images[n] for n in there), strict=True))
    still = read_volume(images[onto] or Path())
    moved, stayed = {}, {}
    for name in names:
        if name == onto:
            continue
        scan = read_volume(images[name] or Path())
        found = register(still, scan, wishes.rules)
        if same_grid(still.geometry, scan.geometry) and found.voxels <= STAYS:
            stayed[name] = found
            continue
        moved[name], images[name] = found, out / case.id / f"{case.id}_{name}.nii.gz"
        write_volume(found.applied(scan, still.geometry), images[name] or Path())
    record = AlignedCase(case=case.id, onto=onto, moved=moved, stayed=stayed)
    write_text(out / case.id / "aligned.json", record.to_json())
    every = tuple(images.get(name) for name in dataset.channels)
    return replace(case, images=every, labels=_labels(dataset, case, still, out))


def _labels(dataset: Dataset, case: Case, still: Volume, out: Path) -> Path | None:
    """Where the labels are, in values of the schema, on the grid of the fixed channel."""
    if case.labels is None:
        return None
    if not same_grid(read_geometry(case.labels), still.geometry):
        raise DataError(
            f"the labels do not lie on the grid of the channel that the others are put onto.\n  labels  "
            f"{case.labels}\n  Name the channel that they were drawn on with --onto."
        )
    if dataset.values is None:
        return case.labels
    file = out / case.id / f"{case.id}_labels.nii.gz"
    write_labels(dataset.labels(case), file)
    return file
