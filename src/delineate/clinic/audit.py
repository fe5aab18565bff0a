"""Audit: who did what, when, to which scan; a log to which lines are added and from which none can be taken.

Each line is a JSON object with the hash of the line before it, so that a line changed, removed, put in or
moved breaks the chain there. The last line has no follower: a small file beside the log (`LOG.head`) holds
its number and hash, and who keeps that hash elsewhere can prove later that the log is still what it was.
Someone who rewrites the log and its head to the end is found only by such a copy.

There is no patient in it: events name patients and objects by references that were computed with a key
(`clinic.privacy.Key.reference`), and names of files and people never stand in it but that of the user.

A process that is killed while it writes leaves a torn last line. It is kept, the next event says that it was
torn, and `verify` says where. Source: hash chains as in RFC 6962 (without its tree); FHIR R4 AuditEvent.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Literal

from pydantic import Field, ValidationError

from delineate import __version__
from delineate.errors import DataError, RecordError
from delineate.io.disk import write_json
from delineate.record import Record

FIRST = "0" * 64  # what the first line has in place of the hash of a line before it
TORN = "torn-line"
HASHED = 64  # letters of a hash

Action = Literal["create", "read", "update", "delete", "execute"]
Outcome = Literal["success", "minor failure", "serious failure", "major failure"]


class Event(Record):
    """Something that happened.

    kind      what, as a slug: "deidentify", "segment", "approve", "export"
    agent     who: the account or program, not the patient
    patients  references of patients, computed with a key
    objects   references of what was worked on: digests of files, models, folders
    details   numbers and words that name nobody
    """

    kind: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    action: Action = "execute"
    outcome: Outcome = "success"
    agent: str = "delineate"
    patients: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    details: dict[str, str | int | float | bool] = Field(default_factory=dict)


class Entry(Record):
    """A line of the log: an event with its number, its time and the hash of the line before it."""

    number: int
    time: str
    event: Event
    previous: str
    hash: str

    @classmethod
    def after(cls, last: Head, event: Event, time: datetime) -> Entry:
        """The line that follows the last one."""
        fields: dict[str, Any] = {
            "number": last.number + 1,
            "time": time.astimezone(UTC).isoformat(timespec="milliseconds"),
            "event": event,
            "previous": last.hash,
        }
        return cls(**fields, hash=_hash(fields | {"event": event.model_dump(mode="json")}))

    @property
    def is_sound(self) -> bool:
        """Whether its hash is that of what it holds."""
        return self.hash == _hash(self.model_dump(mode="json", exclude={"hash"}))


class Head(Record):
    """The number and the hash of a line: keep it elsewhere, and the log up to it can be proven later."""

    number: int = 0
    hash: str = FIRST

    @classmethod
    def parse(cls, text: str) -> Head:
        """A head as `verify` prints it: 42:9f86d0..."""
        number, _, digest = text.partition(":")
        if not number.isdigit() or len(digest) != HASHED:
            raise DataError(f"{text}: is no head of a log; expected NUMBER:HASH as `audit verify` prints it.")
        return cls(number=int(number), hash=digest)

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


class Verdict(Record):
    """What looking through a log gave.

    problems  what cannot be if nobody touched it
    notes     what can, and is worth knowing: torn lines
    """

    entries: int
    head: Head
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the chain holds."""
        return not self.problems

    def lines(self) -> list[str]:
        """For people."""
        said = "the chain holds" if self.ok else f"{len(self.problems)} problem(s)"
        return [
            f"{self.entries} entries: {said}",
            *(f"problem: {problem}" for problem in self.problems),
            *(f"note: {note}" for note in self.notes),
            f"head: {self.head}",
        ]


def append(log: Path, event: Event, *, time: datetime | None = None) -> Entry:
    """Adds an event to a log, which is made if need be, and returns its line; it is on the disk then.

    Any number of processes may do so at once. A log whose end is not what its head says is refused.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    now = time or datetime.now(UTC)
    with _locked(log) as file:
        content = file.read()
        last = _last(log, content)
        torn = content[content.rfind(b"\n") + 1 :]
        if torn:
            file.write(b"\n")
            last = _added(file, last, _torn(torn), now)
        entry = Entry.after(last, event, now)
        _added(file, last, event, now)
        os.fsync(file.fileno())
        write_json(_head_file(log), {"number": entry.number, "hash": entry.hash})
    return entry


@contextmanager
def _locked(log: Path) -> Iterator[IO[bytes]]:
    """The log, open for appending, with nobody else in it."""
    with log.open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _added(file: IO[bytes], last: Head, event: Event, time: datetime) -> Head:
    entry = Entry.after(last, event, time)
    file.write(_line(entry.model_dump(mode="json")) + b"\n")
    file.flush()
    return Head(number=entry.number, hash=entry.hash)


def _last(log: Path, content: bytes) -> Head:
    """The last whole line, which the head must know."""
    whole = content[: content.rfind(b"\n") + 1].splitlines()
    last = Head()
    for line in reversed(whole):
        entry = _entry(line)
        if entry is not None:
            last = Head(number=entry.number, hash=entry.hash)
            break
    else:
        if whole:
            raise DataError(
                f"{log}: is no audit log. Name a new file, or look at it:  delineate audit verify {log}"
            )
    known = _known_head(log)
    if known is not None and known.number > last.number:
        raise DataError(
            f"{log}: ends with entry {last.number}, but entry {known.number} once followed.\n"
            f"  Look at it:  delineate audit verify {log}"
        )
    return last


def _torn(rest: bytes) -> Event:
    details: dict[str, str | int | float | bool] = {
        "bytes": len(rest),
        "sha256": hashlib.sha256(rest).hexdigest(),
    }
    return Event(kind=TORN, outcome="minor failure", details=details)


def read(log: Path) -> tuple[Entry, ...]:
    """The entries of a log, torn and foreign lines left out; `verify` says whether to believe them."""
    return tuple(entry for entry in map(_entry, _content(log).splitlines()) if entry is not None)


def verify(log: Path, *, head: Head | None = None) -> Verdict:
    """Looks through a whole log: each line, the chain, its end, and a head that was kept elsewhere."""
    content = _content(log)
    problems: list[str] = []
    notes: list[str] = []
    last = Head()
    hashes = {0: FIRST}
    pending: tuple[int, bytes] | None = None  # a line that could be a torn one
    lines = content.split(b"\n")
    for number, line in enumerate(lines[:-1], 1):
        entry = _entry(line)
        if entry is None:
            if pending is not None:
                problems.append(f"line {pending[0]}: is no entry")
            pending = (number, line)
            continue
        if pending is not None:
            if entry.event.kind == TORN and entry.event == _torn(pending[1]):
                notes.append(f"line {pending[0]}: was torn when a process was stopped; line {number} says so")
            else:
                problems.append(f"line {pending[0]}: is no entry")
            pending = None
        problems += [f"line {number}: {problem}" for problem in _problems(line, entry, last)]
        last = Head(number=entry.number, hash=entry.hash)
        hashes[entry.number] = entry.hash
    if pending is not None:
        problems.append(f"line {pending[0]}: is no entry")
    if lines[-1]:
        notes.append(f"line {len(lines)}: is torn: a process was stopped while it wrote; it is kept")
    problems += _end_problems(_known_head(log), hashes, "its head file")
    if head is not None:
        problems += _end_problems(head, hashes, "the given head")
    return Verdict(entries=len(hashes) - 1, head=last, problems=tuple(problems), notes=tuple(notes))


def _problems(line: bytes, entry: Entry, last: Head) -> Iterator[str]:
    if not entry.is_sound or line != _line(entry.model_dump(mode="json")):
        yield "was changed: its hash is not that of what it holds"
    if entry.number != last.number + 1:
        yield f"is entry {entry.number}, expected {last.number + 1}: lines are missing or out of order"
    elif entry.previous != last.hash:
        yield "does not follow the line before it: one of the two was changed or put in"


def _end_problems(head: Head | None, hashes: Mapping[int, str], name: str) -> Iterator[str]:
    if head is None:
        yield f"{name} is missing: whether lines were taken from the end cannot be known"
    elif head.number not in hashes:
        yield f"entry {head.number} is missing, which {name} knows: lines were taken from the end"
    elif hashes[head.number] != head.hash:
        yield f"entry {head.number} is not the one that {name} knows: the log was written anew"


def _content(log: Path) -> bytes:
    try:
        return log.read_bytes()
    except OSError as error:
        raise DataError(f"{log}: the audit log cannot be read: {error.strerror}.") from None


def _entry(line: bytes) -> Entry | None:
    try:
        return Entry.model_validate_json(line)
    except ValidationError:
        return None


def _head_file(log: Path) -> Path:
    return log.with_name(f"{log.name}.head")


def _known_head(log: Path) -> Head | None:
    try:
        return Head.load(_head_file(log))
    except RecordError:
        return None


def _line(fields: Mapping[str, Any]) -> bytes:
    """The one way in which a line is written: what is hashed must be so to the byte."""
    return json.dumps(fields, sort_keys=True, ensure_ascii=True, separators=(",", ":")).encode()


def _hash(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(_line(fields)).hexdigest()


# FHIR R4 AuditEvent. Value sets: https://hl7.org/fhir/R4/auditevent.html

ACTIONS = {"create": "C", "read": "R", "update": "U", "delete": "D", "execute": "E"}
OUTCOMES = {"success": "0", "minor failure": "4", "serious failure": "8", "major failure": "12"}
TYPES = "http://terminology.hl7.org/CodeSystem/audit-event-type"
ROLES = "http://terminology.hl7.org/CodeSystem/object-role"
THINGS = "http://terminology.hl7.org/CodeSystem/audit-entity-type"
OURS = "urn:delineate"  # our own kinds and references


def to_fhir(log: Path) -> dict[str, Any]:
    """A log as a FHIR R4 Bundle of AuditEvents; a log that does not verify is refused."""
    verdict = verify(log)
    if not verdict.ok:
        raise DataError(
            f"{log}: does not verify, and so is not exported: {verdict.problems[0]}.\n"
            f"  See all of it:  delineate audit verify {log}"
        )
    entries = [{"resource": _audit_event(entry)} for entry in read(log)]
    return {"resourceType": "Bundle", "type": "collection", "entry": entries}


def _audit_event(entry: Entry) -> dict[str, Any]:
    event = entry.event
    things = [
        *(_entity(reference, "1", "1", "Patient") for reference in event.patients),
        *(_entity(reference, "2", "4", "Domain Resource") for reference in event.objects),
    ]
    details = [{"type": name, "valueString": str(value)} for name, value in sorted(event.details.items())]
    facts = [
        {"type": "number", "valueString": str(entry.number)},
        {"type": "hash", "valueString": entry.hash},
        *details,
    ]
    things.append({"type": _coding(THINGS, "4", "Other"), "name": event.kind, "detail": facts})
    return {
        "resourceType": "AuditEvent",
        "id": f"{entry.number}-{entry.hash[:16]}",
        "type": _coding(TYPES, "object", "Object"),
        "subtype": [_coding(f"{OURS}:event", event.kind, event.kind)],
        "action": ACTIONS[event.action],
        "recorded": entry.time,
        "outcome": OUTCOMES[event.outcome],
        "agent": [{"who": {"display": event.agent}, "requestor": True}],
        "source": {"observer": {"display": f"delineate {__version__}"}},
        "entity": things,
    }


def _entity(reference: str, kind: str, role: str, name: str) -> dict[str, Any]:
    return {
        "what": {"identifier": {"system": f"{OURS}:reference", "value": reference}},
        "type": _coding(THINGS, kind, "Person" if kind == "1" else "System Object"),
        "role": _coding(ROLES, role, name),
    }


def _coding(system: str, code: str, display: str) -> dict[str, str]:
    return {"system": system, "code": code, "display": display}
