"""Access: where an archive is, how it is spoken to, and who we are there.

An address is a web address (DICOMweb, PS3.18) or AETITLE@host:port (DIMSE, PS3.7 and PS3.8). What proves who
we are lies in a file that only its owner may read; it is never printed, logged or kept in a record.
"""

from __future__ import annotations

import base64
import ipaddress
import re
import ssl
from functools import cached_property
from pathlib import Path
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator

from delineate.clinic.privacy.keys import OTHERS
from delineate.errors import DataError
from delineate.record import Record

NODE = re.compile(r"(?P<title>[^\s\\@]{1,16})@(?P<host>[^@:\s]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})")
OUR_TITLE = "DELINEATE"
ANYBODY = "*"
Title = str  # an AE title: 1 to 16 letters without backslash, PS3.5 6.2


class Access(Record):
    """An archive, and what is needed to reach it.

    address      https://host/dicom-web or AETITLE@host:port
    credentials  a file with one line, "Basic USER:PASSWORD" or "Bearer TOKEN" (DICOMweb)
    tls          DIMSE: speak through TLS; a web address says so itself
    authority    PEM: who signed the archive's certificate; default: those that this machine trusts
    certificate  PEM: our certificate and its key, where the archive asks who we are
    called       our AE title (DIMSE)
    timeout_s    how long it may be silent
    tries        how often something is asked that fails for now; waits double from `wait_s`
    """

    address: str
    credentials: Path | None = None
    tls: bool = False
    authority: Path | None = None
    certificate: Path | None = None
    called: Title = Field(default=OUR_TITLE, pattern=r"^[^\s\\]{1,16}$")
    timeout_s: float = Field(default=30.0, gt=0)
    tries: int = Field(default=3, ge=1)
    wait_s: float = Field(default=1.0, ge=0)

    @field_validator("address")
    @classmethod
    def _known(cls, address: str) -> str:
        kind_of(address)
        return address

    @property
    def kind(self) -> Literal["web", "node"]:
        """Whether it is spoken to by DICOMweb or by DIMSE."""
        return kind_of(self.address)

    @property
    def url(self) -> SplitResult:
        """The web address in its parts."""
        return urlsplit(self.address.rstrip("/"))

    @property
    def node(self) -> tuple[Title, str, int]:
        """AE title, host and port of a DIMSE address."""
        found = NODE.fullmatch(self.address)
        assert found is not None
        return found["title"], found["host"].strip("[]"), int(found["port"])

    @cached_property
    def tls_context(self) -> ssl.SSLContext | None:
        """How certificates are checked; None where nothing is encrypted."""
        if not (self.tls or self.address.startswith("https://")):
            return None
        return tls(ssl.Purpose.SERVER_AUTH, self.authority, self.certificate)

    def authorization(self) -> str | None:
        """What the header Authorization says; read anew each time, so that it can be renewed."""
        if self.credentials is None:
            return None
        if not self.address.startswith("https://") and not _is_here(self.url.hostname or ""):
            raise DataError(
                f"{self.address}: credentials would travel readable by all to another machine.\n"
                f"  Use an https:// address, or leave the credentials out."
            )
        kind, secret = read_credentials(self.credentials)
        return f"{kind} {base64.b64encode(secret.encode()).decode() if kind == 'Basic' else secret}"

    def beside(self, folder: Path) -> Access:
        """The same with its files named from `folder`."""
        files = {name: getattr(self, name) for name in ("credentials", "authority", "certificate")}
        return self.but(**{name: folder / file for name, file in files.items() if file is not None})


class Receive(Record):
    """Where files are taken in, and from whom.

    host         127.0.0.1: programs of this machine only; 0.0.0.0: all who reach it
    callers      AE titles that are let in; "*" lets in anybody
    largest_gb   a larger file is not taken in: who sends it is cut off
    certificate  PEM with our certificate and key: only TLS is spoken then
    authority    PEM: callers must show a certificate that it signed
    """

    port: int = Field(default=11112, ge=0, le=65535)
    host: str = "127.0.0.1"
    title: Title = Field(default=OUR_TITLE, pattern=r"^[^\s\\]{1,16}$")
    callers: tuple[Title, ...] = Field(min_length=1)
    largest_gb: float = Field(default=2.0, gt=0)
    certificate: Path | None = None
    authority: Path | None = None

    def beside(self, folder: Path) -> Receive:
        """The same with its files named from `folder`."""
        files = {name: getattr(self, name) for name in ("certificate", "authority")}
        return self.but(**{name: folder / file for name, file in files.items() if file is not None})


def kind_of(address: str) -> Literal["web", "node"]:
    """Whether an address is one of DICOMweb or of DIMSE; others are refused."""
    parts = urlsplit(address) if address.startswith(("http://", "https://")) else None
    if parts is not None and parts.hostname and not parts.username:
        return "web"
    if parts is None and (found := NODE.fullmatch(address)) and 0 < int(found["port"]) < 65536:
        return "node"
    shown = re.sub(r"//[^/]*@", "//...@", address)  # a password may stand there
    raise ValueError(
        f"{shown}: is no address of an archive. Expected https://host/dicom-web or AETITLE@host:port "
        f"(names and passwords go into a file: credentials)"
    )


def tls(purpose: ssl.Purpose, authority: Path | None, certificate: Path | None) -> ssl.SSLContext:
    """How certificates are checked and which one is shown; where `authority` is named, one must be shown."""
    try:
        context = ssl.create_default_context(purpose, cafile=authority)
        if certificate is not None:
            context.load_cert_chain(certificate)
    except OSError as error:  # ssl.SSLError is one
        files = " or ".join(str(file) for file in (authority, certificate) if file)
        raise DataError(f"{files}: is no certificate in PEM form that can be used: {error}.") from None
    if authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def read_credentials(path: Path) -> tuple[str, str]:
    """Kind and secret in a file that only its owner may read. No error quotes what it holds."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8").strip()
    except UnicodeDecodeError:
        mode, text = 0, ""
    except OSError as error:
        raise DataError(f"{path}: the credentials cannot be read: {error.strerror}.") from None
    if mode & OTHERS:
        raise DataError(
            f"{path}: others than you may read these credentials (permissions {mode & 0o777:o}).\n"
            f"  Close it:  chmod 600 {path}"
        )
    kind, _, secret = text.partition(" ")
    if (
        kind not in ("Basic", "Bearer")
        or not secret
        or "\n" in secret
        or (kind == "Basic" and ":" not in secret)
    ):
        raise DataError(
            f"{path}: holds no credentials; expected one line, Basic USER:PASSWORD or Bearer TOKEN."
        )
    return kind, secret.strip()


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
