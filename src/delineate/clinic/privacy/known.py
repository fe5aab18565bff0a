"""Known: what names a person or a place in the headers that were read, to be found again elsewhere.

The name in the patient's field is removed by the table. The same name in a series description, a private
text or a comment is found by this list: every name, number and address that stands in a field that the
table takes away is looked for in everything that stays.

Texts are compared as runs of letters and runs of digits, in lower case and without accents, whatever stands
between them: DOE^JANE, "Doe, Jane", doe_jane and DoeJane are one. What is too short or too common to be told
from ordinary words is not listed: see `LEAST`, and the vocabulary of the table.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from delineate.clinic.privacy.table import vocabulary

TOKEN = re.compile(r"[^\W\d_]+|\d+")
LEAST = 4  # letters and digits of an identifier: "123" is found in every header
LEAST_NAME = 3  # letters of a part of a name: Doe, but not Li or Ng unless the whole name is there
LEAST_RECORD = 6  # digits that are looked for without the letters before them
GAP = 3  # other signs between two parts of one identifier: ", " or "^"
CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")  # written without spaces between words
LEAST_CJK = 2

Tokens = tuple[str, ...]


@dataclass(frozen=True)
class Known:
    """Identifiers as sequences of tokens, and those of scripts without spaces as they are written."""

    sequences: frozenset[Tokens] = frozenset()
    written: frozenset[str] = frozenset()

    def __or__(self, other: Known) -> Known:
        return Known(self.sequences | other.sequences, self.written | other.written)

    @cached_property
    def starting(self) -> Mapping[str, tuple[Tokens, ...]]:
        """Sequences by their first token, the longest first."""
        groups: dict[str, list[Tokens]] = defaultdict(list)
        for sequence in sorted(self.sequences, key=lambda tokens: (-len(tokens), tokens)):
            groups[sequence[0]].append(sequence)
        return {first: tuple(group) for first, group in groups.items()}

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Where identifiers stand in a text, from left to right, not overlapping."""
        found = [*self._spelt(text), *self._glued(text)]
        end = 0
        for start, stop in sorted(found, key=lambda span: (span[0], -span[1])):
            if start >= end:
                yield start, stop
                end = stop

    def _spelt(self, text: str) -> Iterator[tuple[int, int]]:
        tokens = [(folded(match[0]), match.start(), match.end()) for match in TOKEN.finditer(text)]
        for place, (first, start, _) in enumerate(tokens):
            for sequence in self.starting.get(first, ()):
                there = tokens[place : place + len(sequence)]
                if tuple(token for token, _, _ in there) == sequence and _together(there):
                    yield start, there[-1][2]
                    break

    def _glued(self, text: str) -> Iterator[tuple[int, int]]:
        if CJK.search(text):
            for name in self.written:
                yield from ((match.start(), match.end()) for match in re.finditer(re.escape(name), text))


def _together(tokens: list[tuple[str, int, int]]) -> bool:
    return all(after[1] - before[2] <= GAP for before, after in pairwise(tokens))


def folded(text: str) -> str:
    """Lower case, without accents: how texts are compared."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def tokens_of(text: str) -> Tokens:
    """The runs of letters and of digits of a text."""
    return tuple(folded(match[0]) for match in TOKEN.finditer(text))


def of_names(names: Iterable[str]) -> Known:
    """What to look for when these people are named: the whole name in either order, and its parts."""
    sequences: set[Tokens] = set()
    written: set[str] = set()
    for name in names:
        for group in name.split("="):  # alphabetic, ideographic and phonetic writing: PS3.5 6.2.1
            sequences |= _of_name(tokens_of(group))
            written |= {part for part in re.split(r"[\s^=,]+", group) if _is_cjk(part)}
    return Known(frozenset(sequences), frozenset(written))


def _of_name(tokens: Tokens) -> set[Tokens]:
    if all(token in vocabulary() for token in tokens):
        return set()
    parts: set[Tokens] = {(token,) for token in tokens if _is_telling(token)}
    if len(tokens) < 2 or sum(map(len, tokens)) < LEAST:
        return parts
    joined = {("".join(order),) for order in (tokens[:2], tokens[1::-1])}
    return (
        parts | {tokens, tokens[::-1], tokens[:2], tokens[1::-1]} | {j for j in joined if len(j[0]) > LEAST}
    )


def _is_telling(token: str) -> bool:
    return len(token) >= LEAST_NAME and token not in vocabulary()


def _is_cjk(part: str) -> bool:
    return len(part) >= LEAST_CJK and CJK.search(part) is not None


def of_values(values: Iterable[str]) -> Known:
    """What to look for when these numbers, addresses and places are named: each as a whole."""
    found = set()
    for value in values:
        tokens = tokens_of(value)
        if sum(map(len, tokens)) >= LEAST and not all(token in vocabulary() for token in tokens):
            found.add(tokens)
        # MRN4711081 is also written 4711081.
        found |= {(token,) for token in tokens if token.isdigit() and len(token) >= LEAST_RECORD}
    return Known(frozenset(found), frozenset(value for value in values if _is_cjk(value)))
