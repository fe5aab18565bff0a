"""Picking: which series of a download are taken, by rules, and why each was picked or passed over.

What a series must be is said as for routing (`Match`); beside that its orientation, and whether contrast was
given. Of those that fit, a rule may take one per study: the newest, the one with the thinnest slices, or with
the most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, TypeVar, get_args

from delineate.clinic.routing import TEXTS, Match, SeriesFacts
from delineate.clinic.studies import Download, Entry, Orientation
from delineate.errors import DataError
from delineate.record import Record

T = TypeVar("T")
Preference = Literal["newest", "thinnest", "most-slices"]

PATTERNS = ("modality", "body_part", "series", "study", "protocol", "image_type", "manufacturer", "station")
PAIRS = {"thickness": "thickness_mm", "images": "images"}
YES_NO = {"yes": True, "no": False}
UNBOUND = 1e9
KEYS = (*PATTERNS, "without", *PAIRS, "orientation", "contrast", "prefer")


class Picking(Record):
    """What is picked.

    orientation  one of these; empty for any
    contrast     with (True) or without a contrast agent in the header; None for both
    prefer       which one of a study, if several fit; None takes all
    """

    match: Match = Match()
    orientation: tuple[Orientation, ...] = ()
    contrast: bool | None = None
    prefer: Preference | None = None

    @classmethod
    def of(cls, texts: Iterable[str]) -> Picking:
        """From "KEY=VALUE" texts: modality=CT series=*portal* thickness=0.5-3 contrast=yes prefer=thinnest.

        A pattern that is given twice may fit either way.
        """
        match: dict[str, object] = {}
        own: dict[str, object] = {}
        for text in texts:
            key, _, value = (part.strip() for part in text.partition("="))
            if not value or key not in KEYS:
                raise DataError(
                    f"--pick {text}: expected KEY=VALUE with a key of {', '.join(KEYS)}, such as modality=CT."
                )
            if key in PAIRS:
                match[PAIRS[key]] = _pair(text, value, whole=key == "images")
            elif key == "contrast":
                own[key] = _one_of(text, value, YES_NO)
            elif key == "prefer":
                own[key] = _one_of(text, value, {name: name for name in _PREFERENCES})
            elif key == "orientation":
                fitting = _one_of(text, value, {name: name for name in get_args(Orientation)})
                own[key] = (*own.get(key, ()), fitting)  # type: ignore[misc]
            else:
                match[key] = (*match.get(key, ()), value)  # type: ignore[misc]
        return cls(match=Match(**match), **own)  # type: ignore[arg-type]

    def refusal(self, entry: Entry) -> str | None:
        """Why a series does not fit; None where it does."""
        if (why := self.match.refusal(facts(entry))) is not None:
            return why
        if self.orientation and entry.orientation not in self.orientation:
            return f"is {entry.orientation}, not {' or '.join(self.orientation)}"
        if self.contrast is not None and entry.has_contrast != self.contrast:
            return "names a contrast agent" if entry.has_contrast else "names no contrast agent"
        return None


class Picked(Record):
    """Whether a series was taken, and why."""

    number: int
    uid: str
    taken: bool
    why: str


def pick(download: Download, rule: Picking) -> tuple[Picked, ...]:
    """What a rule says of every series of a download."""
    verdicts: list[Picked] = []
    for studies in download.patients.values():
        for entries in studies.values():
            verdicts += _in_study(entries, rule)
    return tuple(sorted(verdicts, key=lambda verdict: verdict.number))


def _in_study(entries: Sequence[Entry], rule: Picking) -> list[Picked]:
    refused = {entry.number: rule.refusal(entry) for entry in entries}
    fitting = [entry for entry in entries if refused[entry.number] is None]
    best = _best(fitting, rule.prefer)
    said = []
    for entry in entries:
        why = refused[entry.number]
        if why is None and best is not None and entry is not best:
            why = f"series {best.number} of the same study is {_PREFERENCES[rule.prefer or 'newest'][1]}"
        taken = why is None
        if taken:
            also = f"; {_PREFERENCES[rule.prefer][1]} of {len(fitting)} in its study" if rule.prefer else ""
            why = f"fits{also if len(fitting) > 1 else ''}"
        said.append(Picked(number=entry.number, uid=entry.images.uid, taken=taken, why=why or ""))
    return said


def _best(fitting: Sequence[Entry], prefer: Preference | None) -> Entry | None:
    """The one that is preferred; of equals the first."""
    if prefer is None or not fitting:
        return None
    return max(fitting, key=_PREFERENCES[prefer][0])


def _thin(entry: Entry) -> tuple[bool, float]:
    return entry.thickness_mm is not None, -(entry.thickness_mm or 0.0)


_PREFERENCES: dict[Preference, tuple[Callable[[Entry], tuple[object, ...]], str]] = {
    "newest": (lambda entry: (entry.when,), "the newest"),
    "thinnest": (_thin, "the thinnest"),
    "most-slices": (lambda entry: (len(entry.images.frames),), "the one with most slices"),
}


def facts(entry: Entry) -> SeriesFacts:
    """A series as rules see it."""
    frames = entry.images.frames
    return SeriesFacts(
        folder=frames[0].file.parent,
        uid=entry.images.uid,
        texts={name: tuple(entry.text(tag).split("\\")) for name, tag in TEXTS.items()},
        thickness_mm=entry.thickness_mm,
        images=len(frames),
        content=tuple(sorted(frame.instance_uid for frame in frames)),
        patient=entry.text("PatientID"),
    )


def _pair(text: str, value: str, *, whole: bool) -> tuple[float, float]:
    """The pair (least, most) in "0.5-3", "20-" or "-3"."""
    low, dash, high = value.partition("-")
    try:
        pair = float(low or 0), float(high) if high else UNBOUND if dash else float(low)
    except ValueError:
        raise DataError(f"--pick {text}: expected LEAST-MOST, such as 0.5-3 or 20-.") from None
    return (int(pair[0]), int(pair[1])) if whole else pair


def _one_of(text: str, value: str, known: dict[str, T]) -> T:
    if value not in known:
        raise DataError(f"--pick {text}: expected one of {', '.join(known)}.")
    return known[value]
