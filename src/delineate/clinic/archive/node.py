"""Node: an archive or scanner that speaks DIMSE, as its client (SCU). Source: PS3.4 B, C; PS3.7 9; PS3.8.

C-ECHO, C-STORE, C-FIND and C-MOVE. What a node answers for a moment (no association, out of resources) is
asked again; what it refuses for good (our AE title is unknown, the class is not taken) is said at once.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TypeVar

from pydicom.dataset import Dataset
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.presentation import PresentationContext, build_context
from pynetdicom.sop_class import (  # type: ignore[attr-defined]  # made when it is imported
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelMove,
    Verification,
)

from delineate.clinic.archive.access import Access
from delineate.clinic.archive.found import Level, described, fields_of
from delineate.clinic.archive.patience import Busy, Sleep, patiently
from delineate.clinic.archive.wire import AT_ONCE
from delineate.errors import ArchiveError
from delineate.io.foreign import quiet

SUCCESS = 0x0000
PENDING = (0xFF00, 0xFF01)
WARNINGS = (0xB000, 0xB006, 0xB007)  # C-STORE: stored, with something to say. PS3.4 B.2.3
FOR_NOW = range(0xA700, 0xA800)  # out of resources
MOST_CONTEXTS = 128  # of an association. PS3.8 9.3.2.2
PERMANENT = 1  # rejected for good. PS3.8 9.3.4
T = TypeVar("T")


class NodeArchive:
    """An archive that speaks DIMSE."""

    def __init__(self, access: Access, *, sleep: Sleep = time.sleep) -> None:
        self.access = access
        self._sleep = sleep

    def check(self) -> None:
        """Raises an ArchiveError where the node does not answer a C-ECHO."""
        self._asked([build_context(Verification)], lambda link: self._judged(link.send_c_echo(), "C-ECHO"))

    def find(self, level: Level, filters: Mapping[str, str]) -> tuple[Dataset, ...]:
        """What the node has at a level, by filters such as {"PatientID": "7", "StudyDate": "20260101-"}."""
        wanted = Dataset()
        wanted.QueryRetrieveLevel = level
        for name in fields_of(level):
            setattr(wanted, name, "")
        for name, value in filters.items():
            setattr(wanted, name, value)
        model = StudyRootQueryRetrieveInformationModelFind

        def found(link: Association) -> tuple[Dataset, ...]:
            items = []
            for status, item in link.send_c_find(wanted, model):
                if status and status.Status in PENDING:
                    items.append(item)
                else:
                    self._judged(status, "C-FIND")
            return tuple(item for item in items if item is not None)

        return self._asked([build_context(model)], found)

    def move(self, study: str, series: str | None, to: str) -> int:
        """Has the node send a study or a series to an AE title that it knows; how many files it sent."""
        wanted = Dataset()
        wanted.QueryRetrieveLevel = "SERIES" if series else "STUDY"
        wanted.StudyInstanceUID = study
        if series:
            wanted.SeriesInstanceUID = series
        model = StudyRootQueryRetrieveInformationModelMove

        def moved(link: Association) -> int:
            sent = 0
            for status, _ in link.send_c_move(wanted, to, model):
                sent = int(status.get("NumberOfCompletedSuboperations", sent) or 0) if status else sent
                if not status or status.Status not in PENDING:
                    self._judged(status, f"C-MOVE to {to}")
            return sent

        return self._asked([build_context(model)], moved)

    def send(self, files: Sequence[Path]) -> None:
        """Stores files; returns when the node has said of each that it is stored.

        Where the node falls silent it is tried again, with those that it has not said it of.
        """
        kinds = [(file, *described(file)) for file in files]
        wanted = sorted({(sop_class, syntax) for _, sop_class, _, syntax in kinds})
        for start in range(0, len(wanted), MOST_CONTEXTS):
            part = wanted[start : start + MOST_CONTEXTS]
            left = deque(file for file, sop_class, _, syntax in kinds if (sop_class, syntax) in part)
            self._asked([build_context(*pair) for pair in part], partial(self._stored, left=left))

    def _stored(self, link: Association, *, left: deque[Path]) -> None:
        """Takes away from `left` what is stored."""
        accepted = {
            (context.abstract_syntax, context.transfer_syntax[0]) for context in link.accepted_contexts
        }
        while left:
            file = left[0]
            sop_class, _, syntax = described(file)
            if (sop_class, syntax) not in accepted:
                raise ArchiveError(
                    f"{self.access.address}: takes no objects of the class {sop_class} in {syntax}."
                )
            with quiet("pydicom"):
                self._judged(link.send_c_store(file), "C-STORE")
            left.popleft()

    def _judged(self, status: Dataset | None, what: str) -> None:
        """Refuses what is no success; an empty status says that the other side fell silent."""
        code = int(status.Status) if status else None
        if code == SUCCESS or (what == "C-STORE" and code in WARNINGS):
            return
        if code is None or code in FOR_NOW:
            said = "fell silent" if code is None else f"is out of resources ({code:04X}H)"
            raise Busy(f"{self.access.address}: {said} during {what}")
        raise ArchiveError(f"{self.access.address}: refuses {what} ({code:04X}H).")

    def _asked(self, contexts: Sequence[PresentationContext], ask: Callable[[Association], T]) -> T:
        """What is got through an association, which is tried again where it fails for now."""

        def once() -> T:
            with self._associated(contexts) as link:
                return ask(link)

        access = self.access
        return patiently(once, tries=access.tries, wait_s=access.wait_s, sleep=self._sleep)

    @contextmanager
    def _associated(self, contexts: Sequence[PresentationContext]) -> Iterator[Association]:
        title, host, port = self.access.node
        ours = AE(ae_title=self.access.called)
        ours.connection_timeout = ours.acse_timeout = self.access.timeout_s
        ours.dimse_timeout = ours.network_timeout = self.access.timeout_s
        context = self.access.tls_context
        link = ours.associate(
            host,
            port,
            contexts=list(contexts),
            ae_title=title,
            evt_handlers=[AT_ONCE],
            tls_args=None if context is None else (context, host),
        )
        if not link.is_established:
            self._explain(link)
        try:
            yield link
        finally:
            if link.is_established:
                link.release()

    def _explain(self, link: Association) -> None:
        """Why there is no association."""
        address, answer = self.access.address, link.acceptor.primitive
        if link.is_rejected and answer is not None and answer.result == PERMANENT:
            raise ArchiveError(
                f"{address}: does not let us in as {self.access.called}: {answer.reason_str}.\n"
                f"  Have this AE title entered there."
            )
        raise Busy(f"{address}: {'is busy' if link.is_rejected else 'cannot be reached'}")
