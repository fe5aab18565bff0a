"""Keys: one secret per project, from which every substitute is computed.

The same key and the same original give the same substitute, today and next year, in a CT and in the SEG that
refers to it; without the key nothing leads back, and another key gives other substitutes. No table of
originals has to be kept. Source: RFC 2104 (HMAC), with SHA-256; PS3.5 B.2 (UIDs under 2.25).
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from delineate.errors import DataError

BYTES = 32  # of a key: as many as SHA-256 gives
MOST_DAYS = 3650  # dates move to the past by 1 to so many days: ten years hide the calendar
DICOM_ROOT = "1.2.840.10008."  # what the standard itself defines names nobody
OTHERS = 0o077  # permissions of everybody but the owner
Random = Callable[[int], bytes]


@dataclass(frozen=True, repr=False)
class Key:
    """The secret of a project. Never printed, never written but to its own file."""

    secret: bytes

    def __post_init__(self) -> None:
        if len(self.secret) < BYTES:
            raise DataError(f"a key has {BYTES} bytes or more, got {len(self.secret)}. Have one made.")

    def uid(self, original: str) -> str:
        """The UID that stands for `original`; the standard's own UIDs and empty ones stay."""
        original = original.strip(" \0")
        if not original or original.startswith(DICOM_ROOT):
            return original
        return f"2.25.{UUID(bytes=self._digest('uid', original)[:16], version=4).int}"

    def pseudonym(self, patient: str) -> str:
        """The name and ID that stand for a patient."""
        return "P-" + base64.b32encode(self._digest("patient", patient)).decode()[:12]

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient move: always to the past, the same for all of them."""
        return -1 - int.from_bytes(self._digest("days", patient)[:8], "big") % MOST_DAYS

    def reference(self, thing: str) -> str:
        """What stands for anything else in reports and logs: a file, a folder, a key."""
        return self._digest("reference", thing).hex()[:16]

    def _digest(self, purpose: str, text: str) -> bytes:
        return hmac.digest(self.secret, f"{purpose}\0{text}".encode(), hashlib.sha256)

    def __repr__(self) -> str:
        return "Key(...)"


def read_key(path: Path) -> Key:
    """The key in a file of hexadecimal digits, which only its owner may read."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="ascii").strip()
    except UnicodeDecodeError:
        text, mode = "", 0
    except OSError as error:
        raise DataError(f"{path}: the key cannot be read: {error.strerror}.") from None
    if mode & OTHERS:
        raise DataError(
            f"{path}: others than you may read this key (permissions {mode & 0o777:o}).\n"
            f"  Who has the key can find patients again:  chmod 600 {path}"
        )
    if not re.fullmatch(rf"([0-9a-fA-F]{{2}}){{{BYTES},}}", text):
        raise DataError(
            f"{path}: is no key: expected {2 * BYTES} hexadecimal digits or more on one line.\n"
            f"  Name a file that is not there yet, and a key is made for you."
        )
    return Key(bytes.fromhex(text))


def make_key(path: Path, random: Random = secrets.token_bytes) -> Key:
    """A new key, written to a file that only its owner may read."""
    key = Key(random(BYTES))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Not by way of a temporary file: it would be readable by others for a moment.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(key.secret.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key
