"""Receiver: takes in what others send by C-STORE, and answers C-ECHO (SCP). Source: PS3.4 B, PS3.7 9.1.1.

It listens on this machine alone unless told otherwise, and lets in only callers whose AE title is listed. A
file is acknowledged when it is safe on the disk; what cannot be kept is refused with a status, so that the
sender knows and sends again.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from weakref import WeakKeyDictionary

from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.association import Association
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made when it is imported

from delineate.clinic.archive.access import ANYBODY, Receive, Title, tls
from delineate.clinic.archive.wire import AT_ONCE
from delineate.errors import DataError

SUCCESS, OUT_OF_RESOURCES, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xC000  # PS3.4 B.2.3
MOST_CALLERS = 10  # associations at once
SILENCE_S = 60.0
GIGABYTE = 1_000_000_000
FAR = 1 << 60
Keep = Callable[[bytes, Title], object]  # what does with a file what must be done, and who sent it


@contextmanager
def receiver(
    where: Receive, keep: Keep, *, refused: Callable[[str, Title], object] = lambda why, caller: None
) -> Iterator[int]:
    """Takes in files while the context lasts; yields the port.

    keep     raises a DataError for what is no DICOM that can be used, and an OSError where there is no room
    refused  is told why a file was refused, in words that name nobody
    """

    def store(event: evt.Event) -> int:
        caller = str(event.assoc.requestor.ae_title).strip()
        try:
            keep(event.encoded_dataset(), caller)
        except OSError as error:
            refused(f"no room or no permission on the disk ({error.strerror})", caller)
            return OUT_OF_RESOURCES
        except DataError as error:
            refused(str(error), caller)
            return NOT_UNDERSTOOD
        return SUCCESS

    counted: WeakKeyDictionary[Association, int] = WeakKeyDictionary()  # bytes of the file at hand

    def count(event: evt.Event) -> None:
        if not isinstance(event.pdu, P_DATA_TF):
            return
        counted[event.assoc] = counted.get(event.assoc, 0) + len(event.pdu)
        if counted[event.assoc] > where.largest_gb * GIGABYTE and not event.assoc.is_aborted:
            caller = str(event.assoc.requestor.ae_title).strip()
            counted[event.assoc] = -FAR  # said once
            refused(f"it is larger than {where.largest_gb:g} GB", caller)
            threading.Thread(target=event.assoc.abort, daemon=True).start()  # this one reads what comes

    def begin(event: evt.Event) -> None:
        counted[event.assoc] = 0

    ours = AE(ae_title=where.title)
    for context in AllStoragePresentationContexts:
        ours.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
    ours.add_supported_context(Verification)
    ours.require_called_aet = True
    ours.require_calling_aet = [] if ANYBODY in where.callers else list(where.callers)
    ours.maximum_associations = MOST_CALLERS
    ours.network_timeout = SILENCE_S
    certified = where.certificate is not None
    encrypted = tls(ssl.Purpose.CLIENT_AUTH, where.authority, where.certificate) if certified else None
    try:
        server = ours.start_server(
            (where.host, where.port),
            block=False,
            evt_handlers=[
                (evt.EVT_C_STORE, store),
                (evt.EVT_PDU_RECV, count),
                (evt.EVT_DIMSE_RECV, begin),
                AT_ONCE,
            ],
            ssl_context=encrypted,
        )
    except OSError as error:
        raise DataError(
            f"{where.host}:{where.port}: nothing can be received there: {error.strerror}.\n"
            f"  Choose another port, or end the program that listens on it."
        ) from None
    assert server is not None  # it does not block
    try:
        yield int(server.server_address[1])
    finally:
        ours.shutdown()
