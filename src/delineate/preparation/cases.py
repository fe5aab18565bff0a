"""Cases: a whole dataset prepared for training, several cases at a time, in bounded memory.

What is there already, from the same files and by the same rules, is kept: a run that was killed goes on
where it was, and a plan that changed prepares again.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Condition
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from delineate.dataset import Case, Dataset
from delineate.dataset.provenance import provenance_of
from delineate.errors import DataError, Error, PlanError
from delineate.io import read_geometry
from delineate.io.disk import is_partial
from delineate.planning.plan import Configuration, Plan, Sampling
from delineate.preparation.align import indices, labels_on, turned_grid
from delineate.preparation.locations import Indices, locate, targets
from delineate.preparation.prepared import (
    Upright,
    interpolation,
    respaced,
    respaced_ids,
    respaced_labels,
    upright,
)
from delineate.preparation.store import Prepared, Store, load_record, write_case
from delineate.progress import Progress, silent
from delineate.space import LabelSchema
from delineate.space.labels import Values

METHOD = 1  # raised when the same scan and plan give other arrays: every case is then prepared again
DETACHED = (".mhd", ".nhdr", ".hdr")  # headers whose voxels are in a file of the same stem


def prepare(
    dataset: Dataset,
    plan: Plan,
    folder: Path | str,
    *,
    names: Sequence[str] | None = None,
    workers: int | None = None,
    memory_gb: float = 4.0,
    progress: Progress = silent,
) -> dict[str, Store]:
    """A store per configuration, with every labelled case of the dataset, in folders below `folder`.

    names      of configurations; by default those that the plan uses and the cascade stages before them
    workers    cases prepared at a time; by default one per core
    memory_gb  cases wait for each other rather than need more; one that needs more by itself goes alone

    Where cases fail the others are prepared all the same, and DataError says of each failed case why.
    """
    stores = swept(dataset, plan, folder, names)
    work = _Work(dataset, plan, {store.name: store for store in stores.values()}, _Room(memory_gb))
    with threadpool_limits(1, user_api="blas"):  # the cases are the parallelism
        failed = _done(work, workers or os.cpu_count() or 1, progress)
    refuse_failed(failed, len(dataset.cases), folder)
    return {name: Store.open(store) for name, store in stores.items()}


def prepare_case(
    dataset: Dataset, plan: Plan, folder: Path | str, case: str, *, names: Sequence[str] | None = None
) -> None:
    """Prepares one case as `prepare` does all of them, for who divides the cases himself (`swept` before).

    What is there already is kept; two that prepare the same case at once write the same.
    """
    stores = {store.name: store for store in _stores(plan, folder, names).values()}
    with threadpool_limits(1, user_api="blas"):
        _prepare_case(_Work(dataset, plan, stores, _Room(math.inf)), dataset.case(case))


def swept(
    dataset: Dataset, plan: Plan, folder: Path | str, names: Sequence[str] | None = None
) -> dict[str, Path]:
    """The folder of each configuration, made and without what killed processes left; nobody writes there."""
    _check_fit(dataset, plan)
    _check_raters(dataset, plan)
    stores = _stores(plan, folder, names)
    for store in set(stores.values()):
        _sweep(store)
    return stores


def _stores(plan: Plan, folder: Path | str, names: Sequence[str] | None) -> dict[str, Path]:
    chosen = _with_previous(plan) if names is None else tuple(names)
    return {name: Path(folder) / store_name(plan, name) for name in chosen}


def refuse_failed(failed: Mapping[str, str], count: int, folder: Path | str) -> None:
    """Raises where cases could not be prepared, and says of each why."""
    if failed:
        lines = "\n".join(f"  {case}: {why}" for case, why in sorted(failed.items()))
        raise DataError(
            f"{len(failed)} of {count} cases could not be prepared:\n{lines}\n"
            f"  Mend them or take them out of the dataset, and run again: the others are kept in {folder}."
        )


def store_name(plan: Plan, name: str) -> str:
    """The configuration in whose folder the prepared cases of `name` are.

    Configurations that see the same arrays share them: `3d_cascade_fullres` reads those of `3d_fullres`.
    """
    mine = plan.configuration(name)
    for other, configuration in plan.configurations.items():
        if _grid_of(configuration) == _grid_of(mine):
            return other
    return name


def _grid_of(configuration: Configuration) -> tuple[object, ...]:
    return configuration.spacing, configuration.slice_axis, configuration.sampling


def made_from(dataset: Dataset, case: Case, plan: Plan, configuration: Configuration) -> str:
    """Digest of everything that decides what a prepared case holds: rules, and files by size and time."""
    table = dataset.values
    facts = {
        "method": METHOD,
        "channels": [channel.model_dump(mode="json") for channel in plan.channels],
        "orientation": plan.orientation,
        "crop_to_nonzero": plan.crop_to_nonzero,
        "labels": _meaning(plan.labels),
        "spacing": configuration.spacing,
        "slice_axis": configuration.slice_axis,
        "values": None if table is None else [sorted(table.pairs.items()), table.nonzero, table.packed],
        "images": [None if path is None else _stamps(path) for path in case.images],
        "label_map": None if case.labels is None else _stamps(case.labels),
    }
    if case.raters:
        facts["raters"] = {name: _stamps(path) for name, path in case.raters.items()}
    if plan.training.targets != "reference":
        facts["targets"] = plan.training.targets
    if plan.training.patches != "foreground":
        facts["patches"] = plan.training.patches
    if not provenance_of(case).is_evidence:
        facts["is_pseudo"] = True
    if table is not None and table.per_kind is not None:
        facts["ids_per_kind"] = table.per_kind
    if configuration.network.finds_objects:
        facts["objects"] = True
    if plan.normalized != "scanned":
        facts["normalized"] = plan.normalized
    if configuration.sampling != Sampling():
        facts["sampling"] = configuration.sampling.model_dump(mode="json")
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True)
class _Work:
    """What is done to each case, into which folder per configuration, and the memory to do it in."""

    dataset: Dataset
    plan: Plan
    stores: dict[str, Path]
    room: _Room


def _done(work: _Work, workers: int, progress: Progress) -> dict[str, str]:
    """Prepares every case; gives back why cases failed, by id."""
    failed: dict[str, str] = {}
    total = len(work.dataset.cases)
    pool = ThreadPoolExecutor(workers)
    try:
        ids = {pool.submit(_prepare_case, work, case): case.id for case in work.dataset.cases}
        for done, future in enumerate(as_completed(ids), 1):
            try:
                future.result()
            except (Error, OSError) as error:
                failed[ids[future]] = str(error)
            progress(done, total, ids[future])
    finally:
        pool.shutdown(cancel_futures=True)
    return failed


def _prepare_case(work: _Work, case: Case) -> None:
    """Reads a case once and writes it to every store that lacks it."""
    dataset, plan = work.dataset, work.plan
    wanted = {name: made_from(dataset, case, plan, plan.configuration(name)) for name in work.stores}
    missing = [name for name, digest in wanted.items() if not _is_there(work.stores[name] / case.id, digest)]
    if not missing:
        return
    with work.room.lent(_bytes_needed(dataset, case, plan, missing)):
        scan, labels = dataset.pair(case)
        ready = upright(scan, plan)
        numbers = indices(labels_on(labels.array, scan.geometry, ready.cropped), plan.labels)
        drawn = {
            name: indices(labels_on(one.array, scan.geometry, ready.cropped), plan.labels)
            for name, one in (dataset.drawn(case) if plan.training.targets == "raters" else {}).items()
        }
        ids = None
        if any(plan.configuration(name).network.finds_objects for name in missing):
            ids = labels_on(dataset.objects(case), scan.geometry, ready.cropped)
        del scan, labels  # large
        for name in missing:
            configuration = plan.configuration(name)
            finds = configuration.network.finds_objects
            prepared = _prepared(case, ready, numbers, plan, configuration, ids if finds else None)
            prepared = replace(
                prepared,
                drawn={
                    rater: respaced_labels(one, ready.cropped, configuration) for rater, one in drawn.items()
                },
                is_pseudo=not provenance_of(case).is_evidence,
            )
            write_case(
                work.stores[name], case.id, prepared, patch=configuration.patch, made_from=wanted[name]
            )


def _prepared(
    case: Case,
    scan: Upright,
    numbers: Indices,
    plan: Plan,
    configuration: Configuration,
    ids: Values | None,
) -> Prepared:
    there = respaced(scan, configuration)
    objects = None if ids is None else respaced_ids(ids, scan.cropped, configuration)
    if ids is None or objects is None:
        labels = respaced_labels(numbers, scan.cropped, configuration)
    else:
        labels = _kinds(ids, numbers)[objects]
    wanted = targets(plan.labels, background=plan.training.patches == "classes")
    # A case's own generator: whatever else is in the dataset, the same voxels are drawn.
    rng = np.random.default_rng(list(case.id.encode()))
    return Prepared(
        there.array,
        labels,
        there.geometry,
        there.cropped,
        tuple(channel.name for channel in plan.channels),
        wanted,
        locate(labels, wanted, rng),
        missing=tuple(plan.channels[n].name for n in scan.missing),
        objects=objects,
    )


def _kinds(ids: Values, numbers: Indices) -> Indices:
    """(id,) the label index of each object, from maps of ids and of label indices."""
    kinds = np.zeros(int(ids.max()) + 1, numbers.dtype)
    kinds[ids] = numbers
    kinds[0] = 0
    return kinds


def _is_there(folder: Path, digest: str) -> bool:
    """Whether a case is complete and made from just this."""
    try:
        return folder.is_dir() and load_record(folder).made_from == digest
    except DataError:  # damaged: it will be replaced
        return False


def _sweep(store: Path) -> None:
    """Removes what a killed run left half done."""
    store.mkdir(parents=True, exist_ok=True)
    for path in store.iterdir():
        if is_partial(path):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _with_previous(plan: Plan) -> tuple[str, ...]:
    """The configurations that the plan uses, each after the cascade stage that it builds on."""
    names: list[str] = []
    for name in plan.use:
        before = plan.configuration(name).previous
        names += [n for n in (before, name) if n is not None and n not in names]
    return tuple(names)


def _check_fit(dataset: Dataset, plan: Plan) -> None:
    if _meaning(dataset.schema) != _meaning(plan.labels):
        raise PlanError(
            f"the plan was made for other labels: {_meaning(plan.labels)}; the dataset {dataset.name} has "
            f"{_meaning(dataset.schema)}. Make a new plan for this dataset."
        )


def _check_raters(dataset: Dataset, plan: Plan) -> None:
    if plan.training.targets == "raters" and not any(case.raters for case in dataset.cases):
        raise PlanError(
            f"the plan learns the shares of several raters, but no case of {dataset.name} has any. Name "
            "their label maps in columns label:NAME of a manifest, or set training.targets to reference."
        )


def _meaning(schema: LabelSchema) -> dict[str, Any]:
    """What label values mean to the network; names and colours may change."""
    return {
        "values": [label.value for label in schema.labels],
        "regions": [list(region.values) for region in schema.regions],
        "ignore": schema.ignore,
    }


def _stamps(path: Path) -> list[tuple[str, int, int]]:
    """Name, size and time of change of the files of an image; a missing file has none."""
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.is_file())
    elif path.suffix.lower() in DETACHED:
        files = sorted(path.parent.glob(f"{path.stem}.*"))
    else:
        files = [path] if path.is_file() else []
    return [(file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]


def _bytes_needed(dataset: Dataset, case: Case, plan: Plan, names: Sequence[str]) -> int:
    """The working memory of a case by its header: measured peaks, rounded up."""
    path = next(path for path in (*case.images, case.labels) if path is not None)
    grid = turned_grid(read_geometry(path), plan.orientation)
    channels = len(plan.channels)
    most = 0
    for name in names:
        there, _ = interpolation(grid, plan.configuration(name), order=3)
        per_voxel = channels * 4 + 4 if there.shape == grid.shape else channels * 16 + 24
        most = max(most, math.prod(there.shape) * per_voxel)
    return math.prod(grid.shape) * (channels * 12 + 4) + most


class _Room:
    """Memory lent to the cases at work; who asks for more than is left waits."""

    def __init__(self, memory_gb: float) -> None:
        self._total = memory_gb * 1e9  # bytes
        self._lent = 0.0
        self._changed = Condition()

    @contextmanager
    def lent(self, amount: float) -> Iterator[None]:
        """Holds `amount` bytes; more than there is in all is lent to one that is alone."""
        with self._changed:
            self._changed.wait_for(lambda: not self._lent or self._lent + amount <= self._total)
            self._lent += amount
        try:
            yield
        finally:
            with self._changed:
                self._lent -= amount
                self._changed.notify_all()
