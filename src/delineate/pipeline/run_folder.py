"""Run: the folder in which a dataset becomes a model, and where each stage finds the work of the last.

    RUN/
      run.json           which dataset, how it was opened, what it looked like then
      check.json         every problem found
      fingerprint.json   what the data tell us
      splits.json        which cases train and which are measured
      plan.json          what was decided and why; may be edited
      asked.json         for which memory and preset it was made
      start.json         which model or pretrained encoder it begins with, if any
      prepared/          CONFIGURATION/CASE/...: network-ready arrays; may be deleted when done
      folds/             CONFIGURATION/fold_N/: weights, history.jsonl, curves.png, predictions/
      evaluation/        report.json, scores.csv, summary.md, choice.json
      report.html        everything a person wants to see
      model/             the folder to give away

Every file is written whole; a stage that is killed is taken up again where it was.
"""

from __future__ import annotations

import fcntl
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from delineate.dataset import Dataset, Splits
from delineate.errors import RunError
from delineate.io.disk import is_partial, sweep, write_text
from delineate.planning import Fingerprint, Plan
from delineate.record import Record


class RunRecord(Record):
    """What a run was started on."""

    version: Literal[1] = 1
    dataset: str  # absolute path
    layout: str
    cases: dict[str, str]  # case id -> signature of its files (sizes and times)


@dataclass(frozen=True)
class Run:
    """A run folder: names of its parts, and reading and writing of its records."""

    folder: Path

    @classmethod
    def start(cls, folder: Path, dataset: Dataset) -> Run:
        """The run in `folder`, begun now or earlier on the same dataset.

        Raises:
            RunError: the folder holds a run on other data, or something that is no run.
        """
        run = cls(folder)
        record = RunRecord(
            dataset=str(dataset.root.resolve()), layout=dataset.layout, cases=signatures(dataset)
        )
        if not run.record_file.exists():
            if folder.exists() and not all(is_partial(path) for path in folder.iterdir()):
                raise RunError(
                    f"{folder}: is not empty and holds no run (no run.json). Name an empty or new folder."
                )
            write_text(run.record_file, record.to_json())
            return run
        before = run.record()
        if before.dataset != record.dataset:
            raise RunError(
                f"{folder}: this run was started on {before.dataset}, not on {record.dataset}. "
                "Name another folder for the other dataset."
            )
        run.refuse_changed(before, record)
        return run

    @classmethod
    def open(cls, folder: Path) -> Run:
        """The run in a folder that `delineate plan` or `delineate run` has made."""
        run = cls(folder)
        if not run.record_file.is_file():
            raise RunError(
                f"{folder}: holds no run (no run.json). Start one with:  delineate plan DATASET {folder}"
            )
        return run

    def refuse_changed(self, before: RunRecord, now: RunRecord) -> None:
        """Raises where files of the dataset changed, came or went since the run was started."""
        changed = sorted(
            name
            for name in before.cases.keys() | now.cases.keys()
            if before.cases.get(name) != now.cases.get(name)
        )
        if changed:
            some = ", ".join(changed[:5]) + (", ..." if len(changed) > 5 else "")
            raise RunError(
                f"{self.folder}: {len(changed)} cases changed since this run was started ({some}). "
                "What was measured on the old files would not hold: start a new run folder."
            )

    def dataset(self) -> Dataset:
        """The dataset that the run was started on, refused where it has changed since."""
        record = self.record()
        dataset = Dataset.open(Path(record.dataset), layout=record.layout)
        now = RunRecord(dataset=record.dataset, layout=record.layout, cases=signatures(dataset))
        self.refuse_changed(record, now)
        return dataset

    @property
    def record_file(self) -> Path:
        """run.json."""
        return self.folder / "run.json"

    @property
    def plan_file(self) -> Path:
        """plan.json."""
        return self.folder / "plan.json"

    @property
    def prepared(self) -> Path:
        """Where the network-ready arrays lie."""
        return self.folder / "prepared"

    @property
    def evaluation(self) -> Path:
        """Where the measured figures lie."""
        return self.folder / "evaluation"

    @property
    def model(self) -> Path:
        """The folder to give away."""
        return self.folder / "model"

    @property
    def report(self) -> Path:
        """The page to look at."""
        return self.folder / "report.html"

    def fold(self, name: str, fold: int) -> Path:
        """Where one fold of one configuration is trained."""
        return self.folder / "folds" / name / f"fold_{fold}"

    def record(self) -> RunRecord:
        """What the run was started on."""
        return RunRecord.load(self.record_file)

    def plan(self) -> Plan:
        """The plan; RunError where none was made yet."""
        self._needs(self.plan_file, "plan", f"delineate plan DATASET {self.folder}")
        return Plan.load(self.plan_file)

    def fingerprint(self) -> Fingerprint:
        """The fingerprint; RunError where none was made yet."""
        file = self.folder / "fingerprint.json"
        self._needs(file, "fingerprint", f"delineate plan DATASET {self.folder}")
        return Fingerprint.load(file)

    def splits(self) -> Splits:
        """The splits; RunError where none were made yet."""
        file = self.folder / "splits.json"
        self._needs(file, "splits", f"delineate plan DATASET {self.folder}")
        return Splits.load(file)

    def has(self, name: str) -> bool:
        """Whether a file of the run exists."""
        return (self.folder / name).exists()

    def save(self, name: str, record: Record) -> None:
        """Writes a record as `name` in the run folder."""
        write_text(self.folder / name, record.to_json())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else works in this folder meanwhile; a killed process frees it by dying."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    f"{self.folder}: another process works on this run. Wait for it or end it."
                ) from None
            sweep(self.folder)  # a process that was killed here left half a file, maybe
            yield

    def _needs(self, file: Path, what: str, command: str) -> None:
        if not file.is_file():
            raise RunError(f"{self.folder}: has no {what} yet. Make it with:  {command}")


def signatures(dataset: Dataset) -> dict[str, str]:
    """Per labelled case a short hash of the sizes and times of its files; reads no voxels."""
    result = {}
    for case in dataset.cases:
        digest = hashlib.sha256()
        for path in (*case.images, case.labels, *case.raters.values()):
            for file in files_of(path):
                stat = file.stat()
                digest.update(f"{file.name} {stat.st_size} {stat.st_mtime_ns}\n".encode())
        result[case.id] = digest.hexdigest()[:16]
    return result


def files_of(path: Path | None) -> tuple[Path, ...]:
    """The file, the files of a DICOM folder, or nothing where a channel is missing."""
    if path is None:
        return ()
    return tuple(sorted(f for f in path.iterdir() if f.is_file())) if path.is_dir() else (path,)
