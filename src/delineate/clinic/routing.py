"""Routing: which series of a study go to which model, by rules that people can read.

A rule says what a series must be (modality, body part, description, thickness, number of images, who sent
it). With `channels` it needs one series for each channel of its model. Every rule is tried; a series may go
to several models. What did not fit is said with its reason, so that a rule can be tried before it is used.

Patterns are those of file names: * stands for anything, ? for one letter; case does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, Self

import pydicom
from pydantic import Field, field_validator, model_validator
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from delineate.errors import DataError
from delineate.io.foreign import quiet, reading
from delineate.io.frames import is_dicom, object_kind
from delineate.io.manner import PetValues
from delineate.record import Record

Patterns = tuple[str, ...]

TEXTS = {  # condition -> attribute of the image
    "modality": "Modality",
    "body_part": "BodyPartExamined",
    "series": "SeriesDescription",
    "study": "StudyDescription",
    "protocol": "ProtocolName",
    "image_type": "ImageType",
    "manufacturer": "Manufacturer",
    "station": "StationName",
}
READ = [
    *TEXTS.values(), "SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "PatientID",
    "SliceThickness", "SpacingBetweenSlices", "NumberOfFrames", "Rows", "Columns",
]  # fmt: skip


class Match(Record):
    """What a series must be; what is not said does not matter.

    modality ... station  one of these patterns
    without               none of these patterns may fit the description of the series or the type of image
    thickness_mm          at least, at most
    images                at least, at most
    """

    modality: Patterns = ()
    body_part: Patterns = ()
    series: Patterns = ()
    study: Patterns = ()
    protocol: Patterns = ()
    image_type: Patterns = ()
    manufacturer: Patterns = ()
    station: Patterns = ()
    without: Patterns = ()
    thickness_mm: tuple[float, float] | None = None
    images: tuple[int, int] | None = None

    @field_validator("thickness_mm", "images")
    @classmethod
    def _ordered(cls, pair: tuple[float, float] | None) -> tuple[float, float] | None:
        if pair is not None and not 0 <= pair[0] <= pair[1]:
            raise ValueError("expected [least, most]")
        return pair

    @property
    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self == Match()

    def refusal(self, series: SeriesFacts) -> str | None:
        """Why a series does not fit; None where it does."""
        for name in TEXTS:
            wanted, got = getattr(self, name), series.texts[name]
            if wanted and not _fits(got, wanted):
                return f"{name} is not {' or '.join(wanted)}"
        for name in ("series", "image_type"):
            if self.without and _fits(series.texts[name], self.without):
                return f"{name} is one of those left out"
        if self.thickness_mm and not _within(series.thickness_mm, self.thickness_mm):
            shown = "not known" if series.thickness_mm is None else f"{series.thickness_mm:g} mm"
            return f"thickness is {shown}, not {self.thickness_mm[0]:g} to {self.thickness_mm[1]:g} mm"
        if self.images and not _within(series.images, self.images):
            return f"has {series.images} images, not {self.images[0]} to {self.images[1]}"
        return None


class Rule(Record):
    """A model, the series that it is for, and what becomes of the result.

    match       what a series must be
    channels    channel of the model -> what its series must be beside that; for models of several series
    drawn_on    the channel whose series the result refers to; the first one if not said
    straighten  slices that lean or are uneven are put onto an even grid, and channels onto that of the first
    pet         what values of PET are read as
    sr          volumes and diameters as a report that points at the segments
    regions     the regions of the labels as structures, in place of the labels
    send_to     names of archives; those of the whole configuration if not said
    """

    name: str = Field(min_length=1)
    model: Path
    match: Match = Match()
    channels: dict[str, Match] = Field(default_factory=dict)
    drawn_on: str | None = None
    straighten: bool = False
    pet: PetValues = "suv"
    seg: Literal["binary", "labelmap", "none"] = "binary"
    rtstruct: Literal["keyhole", "xor", "none"] = "keyhole"
    sr: bool = True
    regions: bool = False
    codes: Path | None = None
    send_to: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.match.is_empty and not self.channels:
            raise ValueError('matches every series; say what it is for, at least match.modality = ["CT"]')
        if self.seg == "none" and self.sr:
            raise ValueError("sr points at the segments of seg; write a seg, or say sr = false")
        if self.seg == self.rtstruct == "none":
            raise ValueError("writes nothing; say seg or rtstruct")
        if self.drawn_on is not None and self.drawn_on not in self.channels:
            raise ValueError(f"drawn_on is none of its channels: {', '.join(self.channels) or 'it has none'}")
        return self

    def beside(self, folder: Path) -> Rule:
        """The same with its files named from `folder`."""
        codes = None if self.codes is None else folder / self.codes
        return self.but(model=folder / self.model, codes=codes)


@dataclass(frozen=True)
class SeriesFacts:
    """A series as rules see it.

    folder   where its files are
    texts    by condition: what the header says, several values as one text each
    content  the UIDs of its images, in order
    """

    folder: Path
    uid: str
    texts: Mapping[str, tuple[str, ...]]
    thickness_mm: float | None
    images: int
    content: tuple[str, ...]
    patient: str


@dataclass(frozen=True)
class Route:
    """A rule, and the series that go to its model in the order of its channels."""

    rule: Rule
    series: tuple[SeriesFacts, ...]

    @property
    def drawn_on(self) -> SeriesFacts:
        """The series that the result refers to."""
        channels = list(self.rule.channels)
        return self.series[channels.index(self.rule.drawn_on) if self.rule.drawn_on else 0]


@dataclass(frozen=True)
class Routing:
    """Where the series of a study go; for each rule, why series do not fit (a sentence each)."""

    routes: tuple[Route, ...]
    refusals: tuple[tuple[str, str, str], ...]  # rule, series, reason


def routed(
    rules: Sequence[Rule], series: Sequence[SeriesFacts], name: Callable[[SeriesFacts], str]
) -> Routing:
    """Tries every rule on every series. Two series for one channel are refused: nobody can say which."""
    routes: list[Route] = []
    refusals: list[tuple[str, str, str]] = []
    for rule in rules:
        fitting = []
        for each in series:
            if (why := rule.match.refusal(each)) is None:
                fitting.append(each)
            else:
                refusals.append((rule.name, name(each), why))
        if not rule.channels:
            routes += [Route(rule, (each,)) for each in fitting]
        elif fitting:
            chosen, missing = _by_channel(rule, fitting, name)
            refusals += missing
            routes += [Route(rule, chosen)] if not missing else []
    return Routing(tuple(routes), tuple(refusals))


def _by_channel(
    rule: Rule, series: Sequence[SeriesFacts], name: Callable[[SeriesFacts], str]
) -> tuple[tuple[SeriesFacts, ...], list[tuple[str, str, str]]]:
    """The series of each channel, and what is missing."""
    chosen, missing = [], []
    for channel, match in rule.channels.items():
        fitting = [each for each in series if match.refusal(each) is None]
        if len(fitting) > 1:
            raise DataError(
                f"rule {rule.name}: {len(fitting)} series fit the channel {channel} "
                f"({', '.join(map(name, fitting))}), and nothing says which to take.\n"
                f"  Make its conditions narrower: series, protocol, without, images, thickness_mm."
            )
        chosen += fitting
        missing += [] if fitting else [(rule.name, "-", f"no series fits the channel {channel}")]
    return tuple(chosen), missing


def study_series(folder: Path) -> tuple[SeriesFacts, ...]:
    """The image series below a folder, by headers alone; objects that are no images are left out."""
    found: dict[str, list[tuple[Path, Dataset]]] = {}
    for path in sorted(folder.rglob("*")):
        if path.name.startswith(".") or not path.is_file() or not is_dicom(path):
            continue
        with reading(path, "DICOM", private=True), quiet("pydicom"):
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(READ))
        if object_kind(path, header) is None:
            found.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
    return tuple(_facts(uid, files) for uid, files in found.items())


def _facts(uid: str, files: Sequence[tuple[Path, Dataset]]) -> SeriesFacts:
    path, first = files[0]
    with reading(path, "DICOM", private=True), quiet("pydicom"):
        texts = {name: _words(first.get(tag)) for name, tag in TEXTS.items()}
        thickness = first.get("SliceThickness") or first.get("SpacingBetweenSlices")
        return SeriesFacts(
            folder=path.parent,
            uid=uid,
            texts=texts,
            thickness_mm=None if thickness in (None, "") else float(thickness),
            images=sum(int(header.get("NumberOfFrames") or 1) for _, header in files),
            content=tuple(sorted(str(header.get("SOPInstanceUID", "")) for _, header in files)),
            patient=str(first.get("PatientID", "")),
        )


def _words(value: object) -> tuple[str, ...]:
    values = list(value) if isinstance(value, (MultiValue, list)) else [value or ""]
    return tuple(map(str, values)) or ("",)


def _fits(texts: Sequence[str], patterns: Patterns) -> bool:
    return any(fnmatchcase(text.strip().upper(), pattern.upper()) for text in texts for pattern in patterns)


def _within(value: float | None, pair: tuple[float, float]) -> bool:
    return value is not None and pair[0] <= value <= pair[1]
