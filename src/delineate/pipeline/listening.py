"""Listening: studies come in, meet their models, and their results go back.

What is kept where and why nothing is lost stands in `clinic.archive.queue`. A result is written and claimed
before it is sent, and what was sent where is written down at once; so whenever the program ends, the next
start sends the same objects with the same UIDs, never others for the same images.

What is told (`say`) and what the audit log holds names studies by references that are computed with the
queue's key. Messages that may quote a file or a header stay beside the data, in `dead/VISIT/reason.json`.
"""

from __future__ import annotations

import hashlib
import json
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from delineate.clinic import Route, Rule, SeriesFacts, audit, routed, study_series
from delineate.clinic.archive import (
    Archive,
    Job,
    Queue,
    Reason,
    Visit,
    open_archive,
    open_queue,
    receiver,
)
from delineate.clinic.delivery import FILE
from delineate.errors import ArchiveError, DataError, Error, GeometryError
from delineate.io.disk import file_digest
from delineate.io.manner import Manner
from delineate.pipeline.delivery import DeliveryWishes, SegKind, deliver
from delineate.pipeline.polling import Poller
from delineate.pipeline.scans import segment
from delineate.pipeline.service import GIGABYTE, Service
from delineate.pipeline.watch import Unwatched
from delineate.pipeline.wishes import SegmentWishes

Say = Callable[[str], None]
Open = Callable[..., Archive]

TURN_S = 1.0  # between two looks at the queue
TIDY_S = 3600.0
FROM_DATA = (DataError, GeometryError)  # trying again changes nothing
RESULTS = "results"
SEG_KINDS: dict[str, SegKind | None] = {"binary": "BINARY", "labelmap": "LABELMAP", "none": None}
FOREVER = 1e18


@dataclass
class Desk:
    """Where the work is done: a service, its queue, and the world around it.

    say    is told what happens, in words that name nobody
    clock  seconds since 1970
    """

    service: Service
    queue: Queue
    say: Say
    clock: Callable[[], float] = time.time
    archive: Open = open_archive
    _tidied: float = field(default=-FOREVER)

    # Complete studies

    def look(self, *, at_once: bool = False) -> None:
        """Takes studies for complete that have been quiet, or that have all their images."""
        complete, now = self.service.complete, self.clock()
        for study, (images, last) in self.queue.incoming().items():
            enough = complete.images is not None and images >= complete.images
            if at_once or enough or now - last >= complete.quiet_s:
                visit = self.queue.complete(study, now)
                self.say(f"{visit.name}: complete, {visit.images} files")
                self._audit("study-received", visit, "create", images=visit.images)
        if now - self._tidied >= TIDY_S:
            self._tidied = now
            self.queue.tidy(now, self.service.keep_days)

    # Work

    def work(self) -> bool:
        """Does what is due next; whether there was something."""
        folder = self.queue.take(self.clock())
        if folder is None:
            return False
        visit = self.queue.visit(folder)
        try:
            self._work(folder, visit)
        except ArchiveError as error:
            self._later(folder, error, "unsent")
        except FROM_DATA as error:
            self._bury(folder, error)
        except (Error, OSError, RuntimeError, MemoryError) as error:  # RuntimeError: torch, out of memory
            self._later(folder, error, "failures")
        except Exception as error:  # noqa: BLE001 - a fault of ours must not stop the studies that follow
            self._bury(folder, error)
        return True

    def _work(self, folder: Path, visit: Visit) -> None:
        if visit.interruptions >= self.service.retry.interruptions:
            raise DataError(
                f"the program ended {visit.interruptions} times while it worked on this study: "
                f"the study may be the cause."
            )
        if self.queue.superseded(visit):
            self._finish(folder, visit, "more of the study came: done with all of it")
            return
        if not visit.routed:
            visit = self._route(folder, visit)
        for number in range(len(visit.jobs)):
            visit = self._make(folder, visit, number)
        for number in range(len(visit.jobs)):
            visit = self._send(folder, visit, number)
        made = sum(job.state == "sent" for job in visit.jobs)
        repeated = len(visit.jobs) - made
        words = [f"{made} result(s) sent"] if made else []
        words += [f"{repeated} made before"] if repeated else []
        self._finish(folder, visit, ", ".join(words) or "no rule fits")

    def _route(self, folder: Path, visit: Visit) -> Visit:
        """Finds the models of a study and keeps what was found."""
        series = study_series(folder)
        routing = routed(self.service.rules, series, lambda each: each.folder.name)
        patients = {self.queue.key.reference(each.patient) for each in series}
        visit = visit.but(
            routed=True,
            patient=" ".join(sorted(patients)),
            jobs=tuple(_job(route) for route in routing.routes),
            notes=tuple(f"{rule}: series {name}: {why}" for rule, name, why in routing.refusals),
        )
        self.queue.write(folder, visit)
        return visit

    def _make(self, folder: Path, visit: Visit, number: int) -> Visit:
        """Segments a series and writes the objects, unless that was done before."""
        job = visit.jobs[number]
        if job.state != "waiting":
            return visit
        out, before = folder / RESULTS / f"{number}", self.queue.made_in(job.identity)
        if before not in (None, visit.name):
            self.say(f"{visit.name}: {job.rule}: the same images had a result before, in {before}")
            return self._kept(folder, visit, number, job.but(state="repeated"))
        if not (out / FILE).exists():
            start = time.monotonic()
            self._segment(folder, job, out)
            self.say(f"{visit.name}: {job.rule}: segmented in {time.monotonic() - start:.1f} s")
        self._audit("segment", visit, "execute", rule=job.rule, model=_digest(self._rule(job).model))
        self.queue.claim(job.identity, visit)
        return self._kept(folder, visit, number, job.but(state="delivered"))

    def _segment(self, folder: Path, job: Job, out: Path) -> None:
        rule = self._rule(job)
        labels = out.with_name(f"{out.name}.nii.gz")
        scans = [folder / series for series in job.series]
        reading = Manner(straighten=rule.straighten, pet=rule.pet)
        how_read = SegmentWishes(device=self.service.device, reading=reading)
        segment(rule.model, scans, labels, how_read, Unwatched())
        how = DeliveryWishes(
            seg=SEG_KINDS[rule.seg],
            rtstruct=None if rule.rtstruct == "none" else rule.rtstruct,
            sr=rule.sr,
            regions=rule.regions,
            model=rule.model,
            codes=rule.codes,
        )
        when = datetime.fromtimestamp(self.clock(), UTC).astimezone()
        deliver(labels, folder / job.drawn_on, out, how, Unwatched(), when)

    def _rule(self, job: Job) -> Rule:
        for rule in self.service.rules:
            if rule.name == job.rule:
                return rule
        raise DataError(f"there is no rule {job.rule} any more; enter it again, or remove this study.")

    # Sending

    def _send(self, folder: Path, visit: Visit, number: int) -> Visit:
        """Sends a result to all who want it; each is written down when it has it."""
        job = visit.jobs[number]
        if job.state != "delivered":
            return visit
        files = sorted((folder / RESULTS / f"{number}").glob("*.dcm"))
        for name in self.service.goals(self._rule(job)):
            if name not in job.sent:
                self.archive(self.service.archives[name]).send(files)
                self.say(f"{visit.name}: {job.rule}: {len(files)} objects sent to {name}")
                self._audit("send", visit, "create", *map(file_digest, files), to=name, rule=job.rule)
                job = job.but(sent=(*job.sent, name))
                visit = self._kept(folder, visit, number, job)
        return self._kept(folder, visit, number, job.but(state="sent"))

    def _kept(self, folder: Path, visit: Visit, number: int, job: Job) -> Visit:
        jobs = (*visit.jobs[:number], job, *visit.jobs[number + 1 :])
        visit = visit.but(jobs=jobs)
        self.queue.write(folder, visit)
        return visit

    # Ends

    def _finish(self, folder: Path, visit: Visit, outcome: str) -> None:
        self.queue.finish(folder, visit.but(outcome=outcome))
        self.say(f"{visit.name}: done: {outcome}")

    def _later(self, folder: Path, error: Exception, count: str) -> None:
        """Tries again after a while, or gives up."""
        visit = self.queue.visit(folder)
        times = getattr(visit, count) + 1
        visit = visit.but(**{count: times}, not_before=self.clock() + self.service.retry.wait(times))
        if times >= getattr(self.service.retry, count):
            self.queue.write(folder, visit)
            self._bury(folder, error)
            return
        self.queue.again(folder, visit)
        wait = self.service.retry.wait(times)
        what = str(error) if count == "unsent" else type(error).__name__
        self.say(f"{visit.name}: {what}; tried again in {wait:.0f} s")

    def _bury(self, folder: Path, error: Exception) -> None:
        visit, kind = self.queue.visit(folder), type(error).__name__
        self.queue.bury(folder, visit, Reason(kind=kind, message=str(error)))
        self.say(f"{visit.name}: given up ({kind}): see dead/{visit.name}/reason.json")
        self._audit("dead-letter", visit, "execute", reason=kind, failed=True)

    def _audit(
        self,
        kind: str,
        visit: Visit,
        action: audit.Action,
        *objects: str,
        failed: bool = False,
        **details: str | int,
    ) -> None:
        audit.append(
            self.service.audit_log,
            audit.Event(
                kind=kind,
                action=action,
                outcome="serious failure" if failed else "success",
                agent="delineate listen",
                patients=tuple(visit.patient.split()),
                objects=(visit.name, *objects),
                details=dict(details),
            ),
        )


def listen(service: Service, say: Say, stop: Event, *, once: bool = False) -> None:
    """Takes in studies, segments them and sends the results, until `stop` is set.

    once  asks the archives once, takes what is there for complete, works until nothing is due, and ends
    """
    with ExitStack() as stack:
        stack.enter_context(_without_words())
        queue = stack.enter_context(open_queue(service.queue, reserve=int(service.free_gb * GIGABYTE)))
        desk = Desk(service, queue, say)
        for visit in queue.recover():
            say(f"{visit.name}: was interrupted, goes on")
        poller = Poller(service, queue, say)
        moved = any(service.archives[poll.archive].kind == "node" for poll in service.poll)
        if service.receive is not None and (moved or not once):  # what is asked for by C-MOVE comes in there
            port = stack.enter_context(_received(service, queue, say))
            say(f"listening as {service.receive.title} on {service.receive.host}:{port}")
        if once:
            poller.ask(desk.clock(), at_once=True)
            desk.look(at_once=True)
            while not stop.is_set() and desk.work():
                pass
            return
        while not stop.is_set():
            poller.ask(desk.clock())
            desk.look()
            if not desk.work():
                stop.wait(TURN_S)


@contextmanager
def _received(service: Service, queue: Queue, say: Say) -> Iterator[int]:
    assert service.receive is not None
    with receiver(
        service.receive,
        lambda content, caller: queue.receive(content),
        refused=lambda why, caller: say(f"a file of {caller} was refused: {why}"),
    ) as port:
        yield port


@contextmanager
def _without_words() -> Iterator[None]:
    """Hides what other packages warn of: they quote headers. Whoever reads those checks for himself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def tried(service: Service, folder: Path) -> tuple[tuple[str, str, str], ...]:
    """What would happen to the study in a folder: (rule, series, "goes to ..." or why not)."""
    series = study_series(folder)
    routing = routed(service.rules, series, _described)
    goes = [
        (route.rule.name, ", ".join(map(_described, route.series)), f"goes to {route.rule.model.name}")
        for route in routing.routes
    ]
    return (*goes, *routing.refusals)


def _described(series: SeriesFacts) -> str:
    modality, text = series.texts["modality"][0], series.texts["series"][0]
    return f"{modality} {text or series.folder.name}, {series.images} images"


def _job(route: Route) -> Job:
    rule = route.rule
    return Job(
        rule=rule.name,
        series=tuple(each.folder.name for each in route.series),
        drawn_on=route.drawn_on.folder.name,
        identity=_identity(route),
    )


def _identity(route: Route) -> str:
    """Digest of all that a result depends on: images, model and what is written."""
    rule = route.rule
    facts: dict[str, object] = {
        "images": [each.content for each in route.series],
        "model": _digest(rule.model),
        "written": [rule.name, rule.seg, rule.rtstruct, rule.sr, rule.regions],
    }
    if rule.straighten or rule.pet != "suv":
        facts["read"] = [rule.straighten, rule.pet]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _digest(model: Path) -> str:
    from delineate.networks import Model

    return Model.open(model).manifest.digest()
