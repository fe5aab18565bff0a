"""Texts: free text without what names anybody, and otherwise as it was.

First what is known (module `known`), then what looks like an identifier by itself: dates, telephone and
social security numbers, mail addresses, names after a title, numbers after a word such as MRN. What is found
is cut out, never replaced by a longer text, so that a value stays within its length.

A name that stands nowhere else, without a title, cannot be found in this way; nor can it by a person who
reads quickly. Where that matters, leave the descriptors out: the basic profile alone removes them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from delineate.clinic.privacy.keys import DICOM_ROOT, Key
from delineate.clinic.privacy.known import Known

MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*"
UID = re.compile(r"(?<![\w.])[0-2](?:\.(?:0|[1-9]\d*)){4,}(?![\w.]*\w)")
# Each stands alone: a sequence number or a size in millimetres is none of them.
PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",  # mail
        r"(?<!\d)(?:19|20)\d{2}[-/. ]?(?:0[1-9]|1[0-2])[-/. ]?(?:0[1-9]|[12]\d|3[01])(?!\d)",  # 2019-03-21
        r"(?<!\d)(?:0?[1-9]|[12]\d|3[01])[-/.](?:0?[1-9]|[12]\d|3[01])[-/.](?:19|20)?\d{2}(?!\d)",  # 21/3/19
        rf"(?<!\d)\d{{1,2}}[-/. ]?{MONTH}[-/., ]*(?:19|20)?\d{{2}}(?!\d)",  # 21 March 2019
        rf"\b{MONTH} \d{{1,2}},? (?:19|20)\d{{2}}\b",  # March 21, 2019
        r"(?<!\d)\d{3}-\d{2}-\d{4}(?!\d)",  # social security
        r"(?:\+\d{1,3}[-. ]?)?\(\d{2,5}\)[-. ]?\d{3,4}[-. ]?\d{2,4}(?!\d)",  # telephone: (030) 123 4567
        r"(?<![\d.])\d{3}[-.]\d{3}[-.]\d{4}(?![\d.])",  # 555-123-4567
        r"\+\d{1,3}(?:[-. /]?\d{2,5}){2,4}(?!\d)",  # +49 30 123456
        r"(?<![\d.])0\d{2,4}[-/ ]\d{4,8}(?!\d)",  # 030/1234567
        r"(?<![\d.])\d{7,}(?![\d.])",  # numbers of records
        r"\b(?:mrn|pid|patient id|accession|acc|ssn|dob|nhs|kvnr)\b\s*(?:no|nr|number)?\.?\s*[:#=]?\s*"
        r"[\w-]*\d[\w-]*",
    )
) + tuple(
    re.compile(pattern)  # by their capitals
    for pattern in (
        r"\b(?:Dr|DR|Prof|Mr|Mrs|Ms|Herr|Frau|Mme)\b\.?\s+(?:[A-Z]\.?\s+)?[A-Z][\w'-]+(?:\s+[A-Z][\w'-]+)?",
        r"\b[Pp]atient(?:'s)? [Nn]ame\s*[:=]\s*[A-Z][\w'-]+(?:[\s,^]+[A-Z][\w'-]+)?",
    )
)
LEFT_OVER = re.compile(r"^[\s,;:^_=/-]+|[\s,;:^_=/-]+$")


@dataclass(frozen=True)
class Cleaner:
    """Cleans texts; the same text gives the same, and a clean text itself.

    key    maps UIDs that stand in texts, as it maps those in their own fields; None leaves them
    known  what to look for
    """

    key: Key | None
    known: Known

    def cleaned(self, text: str) -> str:
        """The text without identifiers, known and likely."""
        text, before = self._mapped(text), ""
        while text != before:  # what is cut out may leave an identifier where there was none
            before = text
            text = self.without_known(_without_likely(text))
        return text

    def without_known(self, text: str) -> str:
        """The text without what is known to name somebody."""
        parts, end = [], 0
        for start, stop in self.known.spans(text):
            parts.append(text[end:start])
            end = stop
        if not parts:
            return _tidied(text)
        return _tidied(" ".join([*parts, text[end:]]))

    def _mapped(self, text: str) -> str:
        if self.key is None:
            return text
        key = self.key
        return UID.sub(lambda match: key.uid(match[0]), text)


def _without_likely(text: str) -> str:
    for pattern in PATTERNS:
        text = pattern.sub(" ", text)
    return text


def uids_in(text: str) -> tuple[str, ...]:
    """UIDs that stand in a text, but those of the standard."""
    return tuple(match[0] for match in UID.finditer(text) if not match[0].startswith(DICOM_ROOT))


def _tidied(text: str) -> str:
    """No blanks or commas left where something was cut out."""
    lines = [re.sub(r"[ \t]{2,}", " ", line).strip() for line in text.splitlines()]
    kept = "\n".join(lines)
    return LEFT_OVER.sub("", kept) if kept != text else text
