"""Weighing: ways to compute a model side by side: their size, their time, and what they find."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import torch

from delineate.dataset import Dataset
from delineate.errors import DataError
from delineate.evaluation import Report, evaluate_dataset
from delineate.inference import Segmenter
from delineate.inference.engines import Runtime
from delineate.inference.engines.graph import windows
from delineate.networks import Model
from delineate.networks.build import inputs_of
from delineate.networks.model import WEIGHTS
from delineate.networks.precision import autocast_type
from delineate.pipeline.compression import RULES, Change, Variant, changes_of
from delineate.pipeline.watch import Watch

if TYPE_CHECKING:
    from delineate.inference.engine import Engine

ROUNDS = 20  # of which the median is taken
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Subject:
    """A model in one engine and precision.

    judged  whether what it finds is measured; else only its size and time
    """

    name: str
    model: Model
    runtime: Runtime
    judged: bool = True


def weighed(
    subjects: Sequence[Subject], dataset: Dataset, watch: Watch
) -> tuple[tuple[Variant, ...], tuple[Change, ...]]:
    """Size and time of every subject, and how those that are judged differ from the first of these."""
    judged = [subject for subject in subjects if subject.judged]
    changes = changes_of({subject.name: _report(subject, dataset, watch) for subject in judged})
    with watch.stage("time"):
        milliseconds = _milliseconds(subjects)
    variants = tuple(
        Variant(
            name=subject.name,
            engine=subject.runtime.engine,
            megabytes=megabytes(subject.model),
            milliseconds=its,
        )
        for subject, its in zip(subjects, milliseconds, strict=True)
    )
    return variants, changes


def megabytes(model: Model) -> float:
    """Of its networks on disk."""
    files = [model.folder / name for name in model.manifest.files if WEIGHTS.fullmatch(name)]
    return sum(file.stat().st_size for file in files) / 1e6


def has_bf16() -> bool:
    """Whether this machine multiplies bf16."""
    return autocast_type("auto", CPU) is torch.bfloat16


def labelled(where: Path, model: Model) -> Dataset:
    """The labelled cases of a dataset, whose structures are those of the model.

    Raises:
        DataError: there are none, or they are labelled otherwise.
    """
    dataset = Dataset.open(where)
    theirs, ours = dataset.schema.structures, model.plan.labels.structures
    if theirs != ours:
        raise DataError(
            f"{where}: is labelled with {', '.join(theirs)}, but the model finds {', '.join(ours)}. Name "
            "cases with the model's labels."
        )
    if not dataset.cases:
        raise DataError(f"{where}: has no labelled cases to measure on.")
    return dataset


def _report(subject: Subject, dataset: Dataset, watch: Watch) -> Report:
    runtime = subject.runtime
    segmenter = Segmenter.open(
        subject.model.folder,
        engine=runtime.engine,
        precision=runtime.precision,
        device=runtime.device,
        cache=runtime.cache,
    )
    with watch.stage(f"segment with {subject.name}") as progress:
        return evaluate_dataset(
            dataset, lambda scan: segmenter.segment(scan).labels, rules=RULES, progress=progress
        )


def _milliseconds(subjects: Sequence[Subject]) -> list[float]:
    """The median time of a window of the first configuration, in turns."""
    opened = [_Timed(subject) for subject in subjects]
    lasted: list[list[float]] = [[] for _ in opened]
    for _ in range(1 + ROUNDS):
        for timed, its in zip(opened, lasted, strict=True):
            its.append(timed.milliseconds())
    return [median(its[1:]) for its in lasted]


class _Timed:
    """One network of a subject, and windows of its own patch."""

    def __init__(self, subject: Subject) -> None:
        model, runtime = subject.model, subject.runtime
        name = model.plan.use[0]
        configuration = model.plan.configuration(name)
        self._engine: Engine = runtime.network(model, name, model.folds[name][0])
        of_torch = runtime.engine == "torch"
        self._autocast = autocast_type(runtime.precision, CPU) if of_torch else None
        # Two for torch in 3D in float32, as when scans are segmented: see `Predictor`.
        count = 2 if of_torch and self._autocast is None and configuration.slice_axis is None else 1
        self._windows = windows(configuration, inputs_of(model.plan, name), count)

    def milliseconds(self) -> float:
        """The time of one window, now."""
        start, lower = time.perf_counter(), self._autocast is not None
        with torch.inference_mode(), torch.autocast("cpu", self._autocast, enabled=lower):
            self._engine(self._windows)
        return 1000 * (time.perf_counter() - start) / len(self._windows)
