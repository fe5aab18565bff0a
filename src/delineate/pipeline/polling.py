"""Polling: asking archives for new studies from time to time.

A study is fetched when two searches in a row found the same images of it, and again when more came. Results
(segmentations, contours, reports) are neither counted nor fetched, so that our own do not come back to us.
What was fetched is remembered in the queue, by references.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from delineate.clinic.archive import (
    Access,
    Archive,
    Queue,
    WebArchive,
    image_series,
    open_archive,
    studies_of,
)
from delineate.errors import ArchiveError, DataError
from delineate.io.disk import write_json
from delineate.pipeline.service import Poll, Service

POLLED = "polled"
Say = Callable[[str], None]


@dataclass
class Poller:
    """Asks the archives of a service when it is time."""

    service: Service
    queue: Queue
    say: Say
    archive: Callable[[Access], Archive] = open_archive
    _next: dict[int, float] = field(default_factory=dict)
    _seen: dict[str, str] = field(default_factory=dict)  # what the last search found, by study

    def ask(self, now: float, *, at_once: bool = False) -> None:
        """Asks those whose turn it is; `at_once` waits for no second search."""
        for number, poll in enumerate(self.service.poll):
            if now < self._next.get(number, 0.0):
                continue
            self._next[number] = now + poll.every_s
            try:
                self._poll(poll, now, at_once)
            except (ArchiveError, OSError) as error:
                self.say(f"{poll.archive}: {error}")

    def _poll(self, poll: Poll, now: float, at_once: bool) -> None:
        access = self.service.archives[poll.archive]
        archive = self.archive(access)
        today = datetime.fromtimestamp(now, UTC).astimezone()
        for uid in studies_of(archive, poll.query, today - timedelta(days=poll.days), today):
            name = self.queue.key.reference(uid)
            series = image_series(archive, uid)
            found = _digest(series)
            stable = at_once or self._seen.get(name) == found
            self._seen[name] = found
            if series and stable and self._fetched(poll, name) != found:
                count = sum(self._fetch(archive, uid, each) for each in series)
                self.say(f"{poll.archive}: study {name}: {count} files fetched")
                self._remember(poll, name, found)

    def _fetch(self, archive: Archive, study: str, series: str) -> int:
        """Has the files of a series put into the queue."""
        if isinstance(archive, WebArchive):
            return archive.fetch(study, series, self._take)
        from delineate.clinic.archive import NodeArchive  # DIMSE needs a package that may not be there

        assert isinstance(archive, NodeArchive)
        assert self.service.receive is not None
        return archive.move(study, series, self.service.receive.title)

    def _take(self, content: bytes) -> None:
        try:
            self.queue.receive(content)
        except DataError as error:
            self.say(f"a file of an archive was left out: {error}")

    def _fetched(self, poll: Poll, study: str) -> str | None:
        file = self.queue.folder / POLLED / f"{study}.json"
        known = json.loads(file.read_text(encoding="ascii")) if file.exists() else {}
        return known.get(poll.archive) if isinstance(known, dict) else None

    def _remember(self, poll: Poll, study: str, found: str) -> None:
        write_json(self.queue.folder / POLLED / f"{study}.json", {poll.archive: found})


def _digest(series: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(series.items())).encode()).hexdigest()
