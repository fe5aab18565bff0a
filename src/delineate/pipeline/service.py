"""Service: what `delineate listen` is told to do: where studies come from, go to, and which model they meet.

A readable file, TOML or JSON; files named in it lie beside it unless their path is absolute. Everything is
checked before the first study is taken in, and all that is wrong is said at once.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from delineate.clinic import Codes, Rule
from delineate.clinic.archive import Access, Receive
from delineate.errors import Error, RecordError
from delineate.record import Record

GIGABYTE = 1_000_000_000


class Poll(Record):
    """An archive that is asked for new studies from time to time.

    archive    one of `archives`
    query      conditions of the search, such as {ModalitiesInStudy = "CT"}
    days       studies of today and so many days before
    every_s    between two searches
    """

    archive: str
    query: dict[str, str] = Field(default_factory=dict)
    days: int = Field(default=1, ge=0)
    every_s: float = Field(default=60.0, gt=0)


class Complete(Record):
    """When a study is taken for complete.

    quiet_s  when so long no file came
    images   at once when it has so many files; None: only silence tells
    """

    quiet_s: float = Field(default=30.0, ge=0)
    images: int | None = Field(default=None, ge=1)


class Retry(Record):
    """How often something is tried that fails; waits double from `wait_s` to `longest_s`.

    failures       work that fails for a reason that may pass; what is wrong with the data fails at once
    interruptions  ends of the program while it worked on the same study: a study may bring it down
    unsent         sending of a result
    """

    failures: int = Field(default=3, ge=1)
    interruptions: int = Field(default=5, ge=1)
    unsent: int = Field(default=100, ge=1)
    wait_s: float = Field(default=60.0, ge=0)
    longest_s: float = Field(default=3600.0, gt=0)

    def wait(self, times: int) -> float:
        """Seconds until the next try, after so many."""
        return float(min(self.longest_s, self.wait_s * 2.0 ** min(times - 1, 30)))


class Service(Record):
    """The whole configuration.

    queue      folder of the queue; everything that is received lies there until it is done
    receive    takes in what is sent by C-STORE
    poll       archives that are asked for new studies
    archives   by name: who may be asked, and where results go
    send_to    names of archives that get the results
    keep_days  how long images and results stay in done/
    free_gb    disk that is left free: files that would take it are refused
    audit      the audit log; audit.jsonl in the queue if not said
    """

    queue: Path
    receive: Receive | None = None
    poll: tuple[Poll, ...] = ()
    archives: dict[str, Access] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = Field(min_length=1)
    send_to: tuple[str, ...] = ()
    complete: Complete = Complete()
    retry: Retry = Retry()
    device: Literal["cpu", "cuda"] = "cpu"
    keep_days: float = Field(default=7.0, ge=0)
    free_gb: float = Field(default=1.0, ge=0)
    audit: Path | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        named = {*self.send_to, *(poll.archive for poll in self.poll)}
        named |= {name for rule in self.rules for name in rule.send_to or ()}
        if unknown := sorted(named - set(self.archives)):
            raise ValueError(
                f"archives has no {', '.join(unknown)}; it has {', '.join(self.archives) or 'none'}"
            )
        if self.receive is None and not self.poll:
            raise ValueError("nothing comes in; say receive, poll or both")
        if nowhere := [rule.name for rule in self.rules if not self.goals(rule)]:
            raise ValueError(f"results of {', '.join(nowhere)} go nowhere; say send_to")
        names = [rule.name for rule in self.rules]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"several rules are called {', '.join(twice)}")
        for poll in self.poll:
            if self.archives[poll.archive].kind == "node" and self.receive is None:
                raise ValueError(f"{poll.archive} sends what it is asked for (C-MOVE): say receive too")
        return self

    def goals(self, rule: Rule) -> tuple[str, ...]:
        """Names of the archives that get the results of a rule."""
        return self.send_to if rule.send_to is None else rule.send_to

    @property
    def audit_log(self) -> Path:
        """Where events are written."""
        return self.audit or self.queue / "audit.jsonl"

    def beside(self, folder: Path) -> Service:
        """The same with its files named from `folder`."""
        return self.but(
            queue=folder / self.queue,
            audit=None if self.audit is None else folder / self.audit,
            receive=None if self.receive is None else self.receive.beside(folder),
            archives={name: access.beside(folder) for name, access in self.archives.items()},
            rules=tuple(rule.beside(folder) for rule in self.rules),
        )


def read_service(path: Path) -> Service:
    """The configuration in a TOML or JSON file."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "it is no text"
        raise RecordError(f"{path}: cannot be read: {said}.") from None
    if path.suffix.lower() != ".json":
        try:
            text = json.dumps(tomllib.loads(text), default=str)
        except tomllib.TOMLDecodeError as error:
            raise RecordError(f"{path}: is no TOML: {error}.") from None
    return Service.from_json(text, where=str(path)).beside(path.resolve().parent)


def check_service(service: Service) -> None:
    """Opens every model and looks at its channels and codes; all problems are said together."""
    problems = []
    for rule in service.rules:
        try:
            _check_rule(rule)
        except (Error, OSError) as error:
            problems.append(f"rule {rule.name}: {error}")
    if problems:
        raise RecordError("\n".join(problems))


def _check_rule(rule: Rule) -> None:
    from delineate.networks import Model

    plan = Model.open(rule.model).plan
    wanted, named = [channel.name for channel in plan.channels], list(rule.channels)
    if len(wanted) > 1 and wanted != named:
        raise RecordError(
            f"the model reads {', '.join(wanted)}, the rule names {', '.join(named) or 'no channels'}.\n"
            f"  Say for each channel, in this order, what its series is: [rules.channels.{wanted[0]}]"
        )
    if len(wanted) == 1 and len(named) > 1:
        raise RecordError(f"the model reads one channel, the rule names {', '.join(named)}.")
    codes = Codes.shipped() if rule.codes is None else Codes.shipped().extended(rule.codes)
    for label in plan.labels.labels:
        codes.named(label)
