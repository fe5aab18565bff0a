"""Cluster work: what a worker of a cluster does with one case. Plain arguments in, a plain answer out.

A worker keeps the last model, or the last run, that it opened. Files are written as ever: whole or not at
all, and the same ones whoever writes them, so a case may be begun anew, elsewhere, at any time.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, MutableMapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from delineate import __version__
from delineate.dataset import Case
from delineate.errors import Error, RunError
from delineate.io.disk import write_json
from delineate.pipeline.run_folder import Run, files_of
from delineate.pipeline.watch import Unwatched
from delineate.pipeline.wishes import SegmentWishes

if TYPE_CHECKING:
    from delineate.inference import Segmenter

T = TypeVar("T")

MADE = ".made"  # beside the labels: from what each was made
INDIFFERENT = ("cache", "memory_gb")  # wishes that change no label
HELD = "delineate"  # under this name a worker keeps what it opened
Held = MutableMapping[str, Any]


@dataclass(frozen=True)
class Answer:
    """What became of a case.

    failed  why it could not be done
    kept    whether it was there already, made from just this
    """

    case: str
    failed: str | None = None
    kept: bool = False
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScanJob:
    """A scan to be segmented. Paths are absolute, and the same on all machines."""

    case: str
    images: tuple[str | None, ...]
    labels: str
    model: str
    digest: str  # of the model
    how: SegmentWishes
    version: str = __version__


@dataclass(frozen=True)
class CaseJob:
    """A case of a run to be prepared; `token` tells one call of `prepare` from another."""

    case: str
    run: str
    token: str
    version: str = __version__


def segment_scan(job: ScanJob, held: Held | None = None) -> Answer:
    """Writes the labels of a scan, unless they are there.

    held  what this process keeps from one case to the next; by default the worker that it is
    """
    return _answered(job.case, job.version, job.model, lambda: _segment(job, _held(held)))


def prepare_one(job: CaseJob, held: Held | None = None) -> Answer:
    """Prepares a case of a run, unless it is there."""
    return _answered(job.case, job.version, job.run, lambda: _prepare(job, _held(held)))


def made_from(job: ScanJob) -> str:
    """Digest of all that the labels of a scan depend on: images by size and time, model, wishes, version."""
    stamps = [
        [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files_of(Path(image))]
        for image in job.images
        if image is not None
    ]
    how = {name: value for name, value in asdict(job.how).items() if name not in INDIFFERENT}
    facts = [job.images, stamps, job.digest, how, job.version]
    return hashlib.sha256(json.dumps(facts, default=str, sort_keys=True).encode()).hexdigest()


def made_file(labels: Path, case: str) -> Path:
    """Where it is kept from what the labels of a case were made."""
    return labels.parent / MADE / f"{case}.json"


class _Words(Unwatched):
    """Remembers what is said, for who asked."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


def _answered(case: str, version: str, path: str, work: Callable[[], Answer]) -> Answer:
    """What the work answers; what is wrong with a case is an answer too."""
    try:
        _check_worker(version, path)
        return work()
    except (Error, OSError) as error:
        return Answer(case, str(error))


def _check_worker(version: str, path: str) -> None:
    here = socket.gethostname()
    if version != __version__:
        raise RunError(
            f"the worker on {here} has delineate {__version__}, expected {version}: install the same."
        )
    if not Path(path).exists():
        raise RunError(
            f"the worker on {here} does not see {path}. Models, scans and results have to lie on a file "
            "system that all machines share, under the same path."
        )


def _segment(job: ScanJob, held: Held) -> Answer:
    from delineate.pipeline.scans import segment_cases

    labels = Path(job.labels)
    made, digest = made_file(labels, job.case), made_from(job)
    if labels.is_file() and made.is_file() and json.loads(made.read_text(encoding="utf-8")) == digest:
        return Answer(job.case, kept=True)
    segmenter = _kept(held, f"{job.digest} {job.how}", lambda: _opened(job))
    case = Case(job.case, tuple(None if image is None else Path(image) for image in job.images))
    words = _Words()
    failed = segment_cases(segmenter, [case], {case.id: labels}, job.how, words)
    if not failed:
        write_json(made, digest)
    return Answer(job.case, failed.get(case.id), said=tuple(words.said))


def _opened(job: ScanJob) -> Segmenter:
    import torch

    from delineate.pipeline.scans import opened
    from delineate.training import keep_memory

    keep_memory()
    own = "cuda" if torch.cuda.is_available() else "cpu"
    how = replace(job.how, device=own) if job.how.device == "auto" else job.how
    return opened(Path(job.model), Path(job.labels), how, Unwatched())


def _prepare(job: CaseJob, held: Held) -> Answer:
    from delineate.preparation.cases import prepare_case

    run = Run.open(Path(job.run))
    dataset, plan = _kept(held, f"{job.run} {job.token}", lambda: (run.dataset(), run.plan()))
    prepare_case(dataset, plan, run.prepared, job.case)
    return Answer(job.case)


def _held(given: Held | None) -> Held:
    if given is not None:
        return given
    from distributed import get_worker

    return vars(get_worker())


def _kept(held: Held, key: str, make: Callable[[], T]) -> T:
    """What was made for this key, kept until another is asked for."""
    before = held.get(HELD)
    if before is None or before[0] != key:
        held[HELD] = before = (key, make())
    made: T = before[1]
    return made
