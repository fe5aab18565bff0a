"""DICOMweb: searching (QIDO), fetching (WADO) and storing (STOW) over HTTP. Source: PS3.18 10.

Plain HTTP of Python's own library: no proxy is taken from the environment, no redirection is followed (it
could carry credentials elsewhere), and nothing is believed to be stored that the answer does not list.
"""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset

from delineate.clinic.archive.access import Access
from delineate.clinic.archive.found import Level, described, fields_of
from delineate.clinic.archive.multipart import DICOM, packed, parts
from delineate.clinic.archive.patience import Busy, Sleep, patiently
from delineate.errors import ArchiveError
from delineate.io.foreign import quiet

PAGE = 200  # answers that are asked for at once
FOR_NOW = (408, 425, 429, 500, 502, 503, 504)  # states of a server that pass
JSON = "application/dicom+json"
PLAIN = "*,:"  # lawful in a query (RFC 3986 3.4), and Orthanc's DICOMweb 1.7 does not decode %2A
STORED, FAILED, REASON = "00081199", "00081198", "00081197"  # of the answer to STOW, PS3.18 I.2
REFERENCED = "00081155"
Take = Callable[[bytes], object]
T = TypeVar("T")


class WebArchive:
    """An archive that speaks DICOMweb."""

    def __init__(self, access: Access, *, sleep: Sleep = time.sleep) -> None:
        self.access = access
        self._sleep = sleep

    def check(self) -> None:
        """Raises an ArchiveError where the archive does not answer."""
        self._asked("GET", f"/studies?{urlencode({'limit': 1})}", _all)

    def find(self, level: Level, filters: Mapping[str, str]) -> tuple[Dataset, ...]:
        """What the archive has at a level, by filters such as {"PatientID": "7"}."""
        found: list[Dataset] = []
        path, query = _search(level, dict(filters))
        while True:
            page = {"limit": str(PAGE), "offset": str(len(found))}
            asked = urlencode([*query, *page.items()], safe=PLAIN, quote_via=quote)
            text = self._asked("GET", f"{path}?{asked}", _all, accept=JSON)
            batch = _datasets(text, self.access.address)
            known = {_identity(item, level) for item in found}
            new = [item for item in batch if _identity(item, level) not in known]
            found += new
            if len(batch) < PAGE or not new:  # a server that knows no pages gives the same again
                return tuple(found)

    def fetch(self, study: str, series: str | None, take: Take) -> int:
        """Gives the files of a study or of one of its series to `take`, one by one, and returns how many."""
        path = f"/studies/{quote(study)}" + (f"/series/{quote(series)}" if series else "")
        accept = f'multipart/related; type="{DICOM}"; transfer-syntax=*'

        def taken(answer: HTTPResponse) -> int:
            headers = {name.lower(): value for name, value in answer.getheaders()}
            count = 0
            for part in parts(answer, headers, self.access.address):
                take(part)
                count += 1
            return count

        return self._asked("GET", path, taken, accept=accept)

    def send(self, files: Sequence[Path]) -> None:
        """Stores files; returns when the archive has said of each that it is stored."""
        for file in files:
            uid, (kind, body) = described(file)[1], packed(file.read_bytes())
            text = self._asked("POST", "/studies", _all, accept=JSON, body=body, kind=kind)
            _check_stored(text, uid, self.access.address)

    def _asked(
        self,
        method: str,
        path: str,
        read: Callable[[HTTPResponse], T],
        *,
        accept: str = JSON,
        body: bytes | None = None,
        kind: str | None = None,
    ) -> T:
        """What `read` makes of the answer to a request, which is made again where it fails for now."""
        headers = {"Accept": accept}
        if (authorization := self.access.authorization()) is not None:
            headers["Authorization"] = authorization
        if kind is not None:
            headers["Content-Type"] = kind

        def once() -> T:
            with self._connected() as connection:
                connection.request(method, self.access.url.path + path, body=body, headers=headers)
                with connection.getresponse() as answer:
                    _check_status(answer, self.access.address)
                    return read(answer)

        access = self.access
        return patiently(once, tries=access.tries, wait_s=access.wait_s, sleep=self._sleep)

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        url, context = self.access.url, self.access.tls_context
        host, timeout = url.hostname or "", self.access.timeout_s
        connection = (
            HTTPConnection(host, url.port, timeout=timeout)
            if context is None
            else HTTPSConnection(host, url.port, timeout=timeout, context=context)
        )
        try:
            yield connection
        except ssl.SSLCertVerificationError as error:
            raise ArchiveError(
                f"{self.access.address}: shows a certificate that we do not trust ({error.verify_message}).\n"
                f"  Name a PEM file with who signed it: authority."
            ) from None
        except (HTTPException, ConnectionError, TimeoutError) as error:
            raise Busy(f"{self.access.address}: does not answer ({_words(error)})") from None
        except OSError as error:
            if error.filename is not None or error.errno is None:  # ours: a disk; or a certificate
                raise
            raise Busy(f"{self.access.address}: cannot be reached ({_words(error)})") from None
        finally:
            connection.close()


def _all(answer: HTTPResponse) -> bytes:
    return answer.read()


def _words(error: Exception) -> str:
    said = error.strerror if isinstance(error, OSError) else None
    return said or type(error).__name__


def _check_status(answer: HTTPResponse, where: str) -> None:
    """Refuses what is no success; the words of the server are left out: they may quote a patient."""
    status = answer.status
    if status in FOR_NOW:
        raise Busy(f"{where}: answers {status} {answer.reason}")
    if status in (401, 403):
        raise ArchiveError(f"{where}: does not let us in ({status}). Look at the file of the credentials.")
    if 300 <= status < 400:
        raise ArchiveError(
            f"{where}: sends us elsewhere ({status}), which is not followed. Name the address it means."
        )
    if not 200 <= status < 300:
        raise ArchiveError(f"{where}: refuses ({status} {answer.reason}).")


def _search(level: Level, filters: dict[str, str]) -> tuple[str, list[tuple[str, str]]]:
    """The resource that is searched, and the query."""
    path = ""
    if level in ("SERIES", "IMAGE") and (study := filters.pop("StudyInstanceUID", "")):
        path = f"/studies/{quote(study)}"
        if level == "IMAGE" and (series := filters.pop("SeriesInstanceUID", "")):
            path += f"/series/{quote(series)}"
    path += {"STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}[level]
    included = [("includefield", name) for name in fields_of(level)]
    return path, [*filters.items(), *included]


def _datasets(text: bytes, where: str) -> list[Dataset]:
    """The answer to a search."""
    if not text.strip():
        return []  # 204: nothing found
    try:
        items = json.loads(text)
        with quiet("pydicom"):
            return [Dataset.from_json(_sound(item)) for item in items]
    except (ValueError, TypeError, AttributeError, KeyError):
        raise ArchiveError(f"{where}: answered a search with something else than DICOM JSON.") from None


def _sound(item: dict[str, Any]) -> dict[str, Any]:
    """What DICOM JSON must have and some servers leave out: the VR of what is empty."""
    for name in fields_of("IMAGE"):
        tag = f"{tag_for_keyword(name):08X}"
        if tag in item and "vr" not in item[tag]:
            item[tag]["vr"] = dictionary_VR(name)
    return item


def _identity(item: Dataset, level: Level) -> str:
    return str(item.get(fields_of(level)[0], ""))


def _check_stored(text: bytes, uid: str, where: str) -> None:
    """Refuses an answer that does not list the object: servers say 200 and store nothing."""
    try:
        answer = json.loads(text) if text.strip() else {}
        answer = answer[0] if isinstance(answer, list) else answer
        stored = {_value(item, REFERENCED) for item in answer.get(STORED, {}).get("Value", [])}
        failed = [_value(item, REASON) for item in answer.get(FAILED, {}).get("Value", [])]
    except (ValueError, AttributeError, IndexError, TypeError):
        raise ArchiveError(f"{where}: answered a store with something else than DICOM JSON.") from None
    if uid not in stored:
        why = f"failure {int(failed[0]):04X}H" if failed and failed[0] else "it does not list the object"
        raise ArchiveError(f"{where}: did not store an object ({why}).")


def _value(item: Mapping[str, Any], tag: str) -> Any:
    return (item.get(tag, {}).get("Value") or [None])[0]
