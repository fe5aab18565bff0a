"""Queue: studies that were received, each a folder that moves from state to state by one rename.

    QUEUE/
      key                       the secret from which all names below are computed: nothing names a patient
      spool/                    files that are being written
      incoming/STUDY/SERIES/IMAGE.dcm
      ready/VISIT/              complete; waits for its turn
      working/VISIT/            one at a time
      done/VISIT/
      dead/VISIT/reason.json    given up; move it back to ready/ and it is tried again
      made/IDENTITY             the visit in which a result was made that must not be made twice

A visit is one time that a study came, STUDY.1, then STUDY.2 if more of it came later; what came before is in
the later visit too (as hard links, where it is still kept). What was done so far stands in its `study.json`,
which is written before every move: killed at any moment, the next start finds each study in one place and
goes on from there. One process has a queue at a time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Literal

import pydicom
from pydantic import Field

from delineate.clinic.privacy.keys import Key, make_key, read_key
from delineate.errors import DataError, RunError
from delineate.io.bombs import check_inflates
from delineate.io.disk import sweep, write_text
from delineate.io.foreign import quiet, reading
from delineate.record import Record

State = Literal["incoming", "ready", "working", "done", "dead"]
STATES: tuple[State, ...] = ("incoming", "ready", "working", "done", "dead")
SPOOL, MADE, KEY, LOCK = "spool", "made", "key", "lock"
STUDY, REASON = "study.json", "reason.json"
IMAGES = "*/*.dcm"
NEEDED = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
DAY_S = 86_400.0
MOST_INFLATED = 1 << 30  # bytes of an image that was packed


class Job(Record):
    """A model for the series of a study, and how far it is.

    rule      name of the rule that asked for it
    series    folders of the series, in the order of the model's channels
    drawn_on  the one that the result refers to
    identity  of images, model and outputs: what has the same was done already
    state     waiting -> delivered (written, not yet sent everywhere) -> sent; or repeated: done before
    sent      names of the archives that have the result
    """

    rule: str
    series: tuple[str, ...]
    drawn_on: str
    identity: str
    state: Literal["waiting", "delivered", "sent", "repeated"] = "waiting"
    sent: tuple[str, ...] = ()


class Visit(Record):
    """A study in the queue, by reference; names no patient.

    failures       how often work on it failed
    interruptions  how often the program ended while working on it
    unsent         how often a result could not be sent
    not_before     seconds since 1970: when it is tried again
    outcome        in words, when it is done
    """

    study: str
    number: int
    patient: str = ""
    received: str = ""
    images: int = 0
    failures: int = 0
    interruptions: int = 0
    unsent: int = 0
    not_before: float = 0.0
    routed: bool = False
    jobs: tuple[Job, ...] = ()
    notes: tuple[str, ...] = ()
    outcome: str = ""

    @property
    def name(self) -> str:
        """Of its folder."""
        return f"{self.study}.{self.number}"


class Reason(Record):
    """Why a study was given up."""

    kind: str
    message: str
    remedy: str = Field(default="Move this folder to ready/ when the cause is gone: it is tried again.")


@dataclass(frozen=True)
class Arrival:
    """A file that was received: its references."""

    study: str
    series: str
    image: str


class Queue:
    """The folder of a queue, open in this process. Made by `open_queue`."""

    def __init__(self, folder: Path, key: Key, *, free: Callable[[Path], int], reserve: int) -> None:
        self.folder = folder
        self.key = key
        self._free = free
        self._reserve = reserve
        self._moving = threading.Lock()  # nothing is put into a study while the study moves

    # Taking in

    def receive(self, content: bytes) -> Arrival:
        """Keeps a DICOM file; when this returns, it is on the disk. A repeated file replaces its equal."""
        arrival = self._arrival(content)
        if self._free(self.folder) < self._reserve + len(content):
            raise OSError(28, "No space left beside what is reserved", str(self.folder))
        spooled = self.folder / SPOOL / uuid.uuid4().hex
        try:
            with spooled.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            with self._moving:
                study = self.folder / "incoming" / arrival.study
                series = study / arrival.series
                series.mkdir(parents=True, exist_ok=True)
                spooled.replace(series / f"{arrival.image}.dcm")
                os.utime(study)  # when the last file came
                for folder in (series, study, study.parent):
                    _settle(folder)
        finally:
            spooled.unlink(missing_ok=True)
        return arrival

    def _arrival(self, content: bytes) -> Arrival:
        with reading(Path("a file that was received"), "DICOM", private=True), quiet("pydicom"):
            check_inflates(BytesIO(content), "a file that was received", MOST_INFLATED)
            header = pydicom.dcmread(BytesIO(content), stop_before_pixels=True, specific_tags=list(NEEDED))
            uids = [str(header.get(name) or "") for name in NEEDED]
        if missing := [name for name, uid in zip(NEEDED, uids, strict=True) if not uid]:
            raise DataError(f"a file that was received: has no {' and no '.join(missing)}.")
        study, series, image = (self.key.reference(uid) for uid in uids)
        return Arrival(study, series, image)

    def incoming(self) -> dict[str, tuple[int, float]]:
        """Studies that are coming in: how many files each has, and when the last came."""
        return {
            folder.name: (sum(1 for _ in folder.glob(IMAGES)), folder.stat().st_mtime)
            for folder in self._folders("incoming")
        }

    def complete(self, study: str, now: float) -> Visit:
        """Takes a study for complete: from incoming to ready, as a new visit."""
        with self._moving:
            folder = self.folder / "incoming" / study
            earlier = self._visits(study)
            number = 1 + max((int(path.suffix[1:]) for path in earlier), default=0)
            for path in sorted(earlier, key=lambda path: int(path.suffix[1:]), reverse=True):
                _link(path, folder)
            visit = Visit(
                study=study,
                number=number,
                received=datetime.fromtimestamp(now, UTC).isoformat(timespec="seconds"),
                images=sum(1 for _ in folder.glob(IMAGES)),
            )
            self.write(folder, visit)
            self._move(folder, "ready", visit.name)
        return visit

    def _visits(self, study: str) -> list[Path]:
        return [path for state in STATES[1:] for path in self._folders(state) if path.stem == study]

    # Working

    def take(self, now: float) -> Path | None:
        """The folder of the next study that is ready, now in working/; None where nothing is due."""
        due = [
            (visit.not_before, visit.received, path)
            for path in self._folders("ready")
            if (visit := self.visit(path)).not_before <= now
        ]
        if not due:
            return None
        path = min(due)[2]
        return self._move(path, "working", path.name)

    def superseded(self, visit: Visit) -> bool:
        """Whether more of the study waits its turn, with all of this visit, and nothing was made yet."""
        if any(job.state != "waiting" for job in visit.jobs):
            return False
        return any(
            path.stem == visit.study and int(path.suffix[1:]) > visit.number
            for path in self._folders("ready")
        )

    def visit(self, folder: Path) -> Visit:
        """What is known of a study; one that was moved back from dead/ by hand begins anew."""
        visit = Visit.load(folder / STUDY)
        if folder.parent.name == "ready" and (folder / REASON).exists():
            visit = visit.but(failures=0, interruptions=0, unsent=0, not_before=0.0)
            self.write(folder, visit)
            (folder / REASON).unlink()
        return visit

    def write(self, folder: Path, visit: Visit) -> None:
        """Keeps how far a study is."""
        write_text(folder / STUDY, visit.to_json())

    def again(self, folder: Path, visit: Visit) -> None:
        """Back to ready, for a later try."""
        self.write(folder, visit)
        self._move(folder, "ready", folder.name)

    def finish(self, folder: Path, visit: Visit) -> None:
        """To done."""
        self.write(folder, visit)
        self._move(folder, "done", folder.name)

    def bury(self, folder: Path, visit: Visit, reason: Reason) -> None:
        """To dead, with the reason."""
        self.write(folder, visit)
        write_text(folder / REASON, reason.to_json())
        self._move(folder, "dead", folder.name)

    # Knowing

    def made_in(self, identity: str) -> str | None:
        """The visit in which a result with this identity was made, if that visit is still known."""
        marker = self.folder / MADE / identity
        name = marker.read_text(encoding="ascii").strip() if marker.exists() else ""
        known = any((self.folder / state / name).is_dir() for state in STATES[1:]) if name else False
        return name if known else None

    def claim(self, identity: str, visit: Visit) -> None:
        """Remembers that a result was made in this visit; it is never made anew."""
        write_text(self.folder / MADE / identity, visit.name)

    def counts(self) -> dict[str, int]:
        """How many studies are in each state."""
        return {state: len(self._folders(state)) for state in STATES}

    def dead(self) -> dict[str, Reason]:
        """Studies that were given up."""
        return {path.name: Reason.load(path / REASON) for path in self._folders("dead")}

    def tidy(self, now: float, keep_days: float) -> int:
        """Removes images and results of what was done so long ago; returns of how many studies.

        `study.json` stays: it names nobody, and knows what was done already.
        """
        old = [
            path
            for path in self._folders("done")
            if now - (path / STUDY).stat().st_mtime >= keep_days * DAY_S and any(path.glob("*/"))
        ]
        for path in old:
            for part in path.iterdir():
                if part.is_dir():
                    shutil.rmtree(part)
        return len(old)

    def recover(self) -> tuple[Visit, ...]:
        """Puts back what an ended process left: studies from working to ready, unfinished files away."""
        for left in (self.folder / SPOOL).iterdir():
            left.unlink()
        sweep(self.folder)
        visits = []
        for folder in self._folders("working"):
            visit = self.visit(folder)
            visit = visit.but(interruptions=visit.interruptions + 1)
            self.again(folder, visit)
            visits.append(visit)
        return tuple(visits)

    def _folders(self, state: State) -> list[Path]:
        folders = (path for path in (self.folder / state).iterdir() if path.is_dir())
        return sorted(path for path in folders if not path.name.startswith("."))

    def _move(self, folder: Path, state: State, name: str) -> Path:
        to = self.folder / state / name
        folder.rename(to)
        _settle(to.parent)
        _settle(folder.parent)
        return to


def free_bytes(folder: Path) -> int:
    """Room on the disk of a folder."""
    return shutil.disk_usage(folder).free


@contextmanager
def open_queue(
    folder: Path, *, reserve: int = 0, free: Callable[[Path], int] = free_bytes
) -> Iterator[Queue]:
    """The queue in a folder, which is made if need be; this process alone has it while the context lasts.

    reserve  bytes that are left free on the disk: files that would take them are refused
    """
    for name in (SPOOL, MADE, *STATES):
        (folder / name).mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    key = folder / KEY
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RunError(
                f"{folder}: another process works on this queue. End it first, or name another queue."
            ) from None
        yield Queue(folder, read_key(key) if key.exists() else make_key(key), free=free, reserve=reserve)


def look(folder: Path) -> Queue:
    """The queue in a folder, to be looked at and not to be changed."""
    if not (folder / KEY).exists():
        raise DataError(f"{folder}: is no queue. It is made when listening begins:  delineate listen CONFIG")
    return Queue(folder, read_key(folder / KEY), free=free_bytes, reserve=0)


def _link(earlier: Path, folder: Path) -> None:
    """Puts the images of an earlier visit beside those that came now."""
    for image in earlier.glob(IMAGES):
        there = folder / image.relative_to(earlier)
        if not there.exists():
            there.parent.mkdir(exist_ok=True)
            os.link(image, there)


def _settle(folder: Path) -> None:
    """What was renamed in a folder stays so even if the power fails."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
