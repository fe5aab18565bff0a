"""Calibration report: is a model as sure as it is right, scan by scan and over all of them?

One pool of all voxels hides that a model is too sure of some patients and not sure enough of others: the
errors cancel. So the error of each case is measured as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from delineate.errors import DataError
from delineate.evaluation.calibration.regions import BAND_MM, WHERE, Where
from delineate.evaluation.calibration.reliability import BINS
from delineate.evaluation.calibration.temperature import Temperature
from delineate.evaluation.markdown import markdown_table
from delineate.record import Record
from delineate.space import LabelMap, Volume

Load = Callable[[str], tuple[LabelMap, Volume]]  # case -> reference, probabilities of the schema's outputs

SEED = 20211  # of samples and draws where no generator is given: the same report twice
FEW_VOXELS = 20  # in a bin of a case: fewer say nothing about its frequency
SAMPLED = 2**25  # logarithms of probabilities in memory, of all cases together: 128 MB


REGIONS: dict[Where, str] = {
    "everywhere": "everywhere",
    "foreground": "in the foreground",
    "boundary": "at boundaries",
}


class CalibrationRules(Record):
    """How calibration is measured.

    bins     of equal width, and as many of equal mass
    band_mm  how far from a boundary the region `boundary` reaches, on either side
    fit      the region whose voxels the temperature is fitted to
    """

    bins: Annotated[int, Field(ge=2, le=100)] = BINS
    band_mm: Annotated[float, Field(gt=0)] = BAND_MM
    fit: Where = "everywhere"


class Score(Record):
    """One name in one region: of a case, or of all voxels of all cases in one pool.

    forecast, frequency  what was said on average, and how often it came true: the excess is overconfidence
    """

    case: str | None
    name: str
    where: Where
    voxels: int
    ece: float | None
    ace: float | None
    mce: float | None
    adaptive: float | None
    brier: float | None
    nll: float | None
    forecast: float | None
    frequency: float | None

    @property
    def excess(self) -> float | None:
        """How much surer the model is than right; negative where it doubts too much."""
        if self.forecast is None or self.frequency is None:
            return None
        return self.forecast - self.frequency


class OverCases(Record):
    """The errors of single cases: mean with its interval over patients, and how differently sure they are."""

    name: str
    where: Where
    cases: int
    ece: float | None
    low: float | None
    high: float | None
    excess_sd: float | None  # of the excess between cases


class Bin(Record):
    """Forecasts of about the same.

    frequency  of all cases in one pool
    q1, q3     between which the frequency of the middle half of the cases lies, of those with enough voxels
    """

    low: float
    high: float
    voxels: int
    forecast: float | None
    frequency: float | None
    cases: int
    q1: float | None
    q3: float | None


class Curve(Record):
    """How often forecasts came true, by what they said."""

    name: str
    where: Where
    bins: tuple[Bin, ...]


class CalibrationReport(Record):
    """What was measured.

    names   what forecasts are about: the top label, then each structure
    after   the pooled scores with the temperature
    """

    version: Literal[1] = 1
    title: str
    rules: CalibrationRules
    cases: tuple[str, ...]
    groups: dict[str, str]
    names: tuple[str, ...]
    scores: tuple[Score, ...]
    over_cases: tuple[OverCases, ...]
    curves: tuple[Curve, ...]
    temperature: Temperature
    after: tuple[Score, ...]

    def pooled(self, name: str, where: Where, *, after: bool = False) -> Score:
        """The score of all voxels of all cases."""
        return _find(self.after if after else self.scores, name, where)

    @property
    def is_better(self) -> bool:
        """Whether the temperature makes the pooled ECE of the first name no larger where it was fitted."""
        return self.rules.fit not in self.worse

    @property
    def worse(self) -> tuple[Where, ...]:
        """Regions in which the temperature makes the pooled ECE of the first name larger."""
        found = []
        for where in WHERE:
            before, after = (self.pooled(self.names[0], where, after=done).ece for done in (False, True))
            if before is not None and after is not None and after > before:
                found.append(where)
        return tuple(found)

    @property
    def reading(self) -> str:
        """How to read the table of errors."""
        return (
            f"{len(self.cases)} cases, {self.rules.bins} bins. ECE of a case: mean of the errors of single "
            "cases [95 % interval over patients]; one pool of all voxels hides what cancels between them. "
            "Foreground: where the model sees a structure; boundary: within "
            f"{self.rules.band_mm:g} mm of a boundary that it sees."
        )

    @property
    def told(self) -> str:
        """What the temperature is, and whether to use it."""
        t = self.temperature
        ends = "" if t.low is None or t.high is None else f" [95 % interval {t.low:.3f} to {t.high:.3f}]"
        where = REGIONS[self.rules.fit]
        parts = [
            f"Temperature {t.value:.3f}{ends}, fitted {where} on these {t.cases} cases. No label changes."
        ]
        if t.note:
            parts.append(f"{t.note[0].upper()}{t.note[1:]}.")
        if self.worse:
            regions = " and ".join(REGIONS[region] for region in self.worse)
            parts.append(f"It makes the ECE of the {self.names[0]} larger {regions}.")
        if not self.is_better:
            parts.append("Do not use it.")
        return " ".join(parts)

    def table(self) -> tuple[tuple[str, ...], list[list[str]]]:
        """Heads and rows of the errors of every name in every region."""
        errors = ("ECE", "ECE of a case", "ACE", "MCE", "adaptive", "Brier", "NLL")
        by_case = {(o.name, o.where): o for o in self.over_cases}
        rows = []
        for s in (s for s in self.scores if s.case is None):
            numbers = (s.ace, s.mce, s.adaptive, s.brier, s.nll)
            row = [s.name, s.where, str(s.voxels), _n(s.ece), _over(by_case[s.name, s.where])]
            rows.append([*row, *map(_n, numbers), _n(s.excess, "+.3f")])
        return ("of", "where", "voxels", *errors, "too sure by"), rows

    def to_markdown(self) -> str:
        """The table of errors, and what a temperature would do."""
        errors, heat = markdown_table(*self.table()), markdown_table(*heat_rows(self))
        return f"{errors}\n\n{self.reading}\n\n{heat}\n\n{self.told}\n"


def heat_rows(report: CalibrationReport) -> tuple[tuple[str, ...], list[list[str]]]:
    """Heads and rows of what the temperature does to the pooled errors."""
    rows = []
    for after in report.after:
        before = report.pooled(after.name, after.where)
        pairs = [(before.ece, after.ece), (before.ace, after.ace), (before.nll, after.nll)]
        rows.append([after.name, after.where, *(f"{_n(a)} → {_n(b)}" for a, b in pairs)])
    return ("of", "where", "ECE", "ACE", "NLL"), rows


def _over(found: OverCases) -> str:
    if found.low is None or found.high is None:
        return _n(found.ece)
    return f"{_n(found.ece)} [{_n(found.low)}, {_n(found.high)}]"


def _n(value: float | None, how: str = ".4f") -> str:
    return "-" if value is None else f"{value:{how}}"


def _find(scores: Sequence[Score], name: str, where: Where) -> Score:
    found = next((s for s in scores if (s.case, s.name, s.where) == (None, name, where)), None)
    if found is None:
        raise DataError(f"nothing was measured of {name!r} {where}; there are {', '.join(_names(scores))}")
    return found


def _names(scores: Sequence[Score]) -> list[str]:
    return list(dict.fromkeys(score.name for score in scores))
