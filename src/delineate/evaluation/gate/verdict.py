"""Gate: is it proven that a model is good enough?

A mean above a threshold proves nothing: with ten patients it may lie there by luck. So it is the interval of
the mean that has to clear the threshold.

PASS        the whole interval is on the right side, of enough patients, and no case is left out of the mean
FAIL        the whole interval is on the wrong side
UNPROVEN    neither; about how many more patients would prove it is said
NOT JUDGED  no structure of the report has such a name, and the gate does not insist on one

No interval is wide enough where a few cases fail badly and are not in the sample. Of a model that fails in
8 % of patients and whose true mean *is* the threshold, 2.5 % of samples should clear it by luck; it was 37 %
of samples of 10 patients, 11 % of 30, 5 % of 50, 3 % of 100 (3 % of 30 where none fails). Hence the fewest
patients that a criterion asks for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.evaluation.forecast import cases_to_prove
from delineate.evaluation.gate.criteria import Criterion, Direction, Gate
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import Bootstrap, Estimate, Interval, Numbers
from delineate.record import Record

Outcome = Literal["PASS", "FAIL", "UNPROVEN", "NOT JUDGED"]

SEED = 20211  # of the draws, as in reports: the same verdict twice
BESIDE = (  # of each line the first that was measured is shown beside a verdict
    ("dice",),
    ("hd95", "hd95_area", "hd95_pooled", "hd"),
    ("nsd", "nsd_area"),
    ("volume_error_relative", "volume_error_absolute", "volume_error"),
)
BESIDE_LESIONS = "lesion_recall"  # likewise, where it was measured


class Found(Record):
    """The mean of a metric with its interval; empty where it was not measured."""

    metric: str
    mean: float | None = None
    low: float | None = None
    high: float | None = None


class Judgement(Record):
    """One criterion held against one structure.

    structure   as the report calls it; None where it has none of that name
    n           cases that have a value, of so many patients
    hidden      cases that have none although there was something to measure
    found       the mean, and the interval that the verdict rests on
    more_cases  about how many more patients like these would prove it; None: decided, or no number would
    likely      so many more for a chance of four in five
    people      the same metric of one reader against another, where that was measured
    """

    criterion: Criterion
    structure: str | None
    outcome: Outcome
    why: str
    n: int = 0
    patients: int = 0
    hidden: int = 0
    found: Found
    more_cases: int | None = None
    likely: int | None = None
    people: Found | None = None


class Surroundings(Record):
    """What has to be seen with the verdicts on a structure: how large it is, and what else was measured."""

    structure: str
    median_ml: float | None
    beside: tuple[Found, ...]


class Verdict(Record):
    """What a gate says of a report. Print `note` wherever it is shown."""

    version: Literal[1] = 1
    title: str
    gate: str
    note: str
    judgements: tuple[Judgement, ...]
    surroundings: tuple[Surroundings, ...]  # of the structures that were judged
    unasked: tuple[str, ...]  # structures that no criterion is about

    @property
    def outcome(self) -> Outcome:
        """FAIL if anything fails, else UNPROVEN if anything is, else PASS if anything was judged at all."""
        found = {judgement.outcome for judgement in self.judgements}
        order: tuple[Outcome, ...] = ("FAIL", "UNPROVEN", "PASS")
        return next((outcome for outcome in order if outcome in found), "NOT JUDGED")

    def to_markdown(self) -> str:
        """The table of verdicts, what else was measured beside them, and who asks for what."""
        parts = [f"Gate '{self.gate}': **{self.outcome}**. {self.note}".rstrip()]
        if self.surroundings:
            parts += [markdown_table(VERDICT_HEADS, verdict_rows(self)), _surrounding_table(self)]
        parts.append("\n".join(f"- {note}" for note in verdict_notes(self)))
        return "\n\n".join(parts) + "\n"


def judge(
    report: Report,
    gate: Gate,
    *,
    people: Report | None = None,
    rng: np.random.Generator | None = None,
) -> Verdict:
    """What a gate says of a report: a judgement for every structure that each criterion matches.

    people  the report of one reader against another, to be seen beside the model's
    rng     draws the bootstrap; None draws the same one every time
    """
    rng = np.random.default_rng(SEED) if rng is None else rng
    bootstrap = Bootstrap.drawn([report.groups[case] for case in report.cases] or ["nobody"], rng)
    judgements: list[Judgement] = []
    for criterion in gate.criteria:
        structures = criterion.matching(report.structures)
        judgements += [_judged(report, bootstrap, criterion, each, people) for each in structures]
        judgements += [] if structures else [_absent(criterion)]
    asked = {judgement.structure for judgement in judgements}
    return Verdict(
        title=report.title,
        gate=gate.name,
        note=gate.note,
        judgements=tuple(judgements),
        surroundings=tuple(_surroundings(report, s) for s in report.structures if s in asked),
        unasked=tuple(structure for structure in report.structures if structure not in asked),
    )


def _absent(criterion: Criterion) -> Judgement:
    return Judgement(
        criterion=criterion,
        structure=None,
        outcome="UNPROVEN" if criterion.required else "NOT JUDGED",
        why="the report has no structure of this name",
        found=Found(metric=criterion.metric),
    )


def _judged(
    report: Report, bootstrap: Bootstrap, criterion: Criterion, structure: str, people: Report | None
) -> Judgement:
    evidence = Evidence.of(report, bootstrap, criterion, structure)
    outcome, why = evidence.against(criterion)
    more, likely = evidence.forecast(criterion) if outcome == "UNPROVEN" else (None, None)
    low, high = evidence.ends or (None, None)
    return Judgement(
        criterion=criterion,
        structure=structure,
        outcome=outcome,
        why=why,
        n=evidence.n,
        patients=evidence.patients,
        hidden=evidence.hidden,
        found=Found(metric=criterion.metric, mean=evidence.mean, low=low, high=high),
        more_cases=more,
        likely=likely,
        people=_measured(people, structure, criterion.metric) if people else None,
    )


def _surroundings(report: Report, structure: str) -> Surroundings:
    volumes = _column(report, structure, "volume_reference")
    there = volumes[volumes > 0]
    chosen = [next((name for name in names if name in report.metrics), names[0]) for names in BESIDE]
    chosen += [BESIDE_LESIONS] if BESIDE_LESIONS in report.metrics else []
    return Surroundings(
        structure=structure,
        median_ml=float(np.median(there)) if len(there) else None,
        beside=tuple(_measured(report, structure, metric) for metric in chosen),
    )


def _measured(report: Report, structure: str, metric: str) -> Found:
    """What a report says of a structure, if it has it at all."""
    if structure not in report.structures or metric not in report.metrics:
        return Found(metric=metric)
    summary = report.summary(structure, metric)
    return Found(metric=metric, mean=summary.mean, low=summary.ci_low, high=summary.ci_high)


@dataclass(frozen=True, eq=False)
class Evidence:
    """What was measured of one structure by one metric.

    values   (case,) NaN where missing; of these `groups` (patients)
    hidden   cases without a value although there was something to measure
    ends     the interval of the mean
    """

    values: Numbers
    groups: tuple[str, ...]
    hidden: int
    estimate: Estimate | None
    ends: Interval | None

    @classmethod
    def of(cls, report: Report, bootstrap: Bootstrap, criterion: Criterion, structure: str) -> Evidence:
        """The evidence in a report."""
        groups = tuple(report.groups[case] for case in report.cases)
        if criterion.metric not in report.metrics:
            return cls(np.full(len(groups), np.nan), groups, 0, None, None)
        values = _column(report, structure, criterion.metric)
        estimate = bootstrap.mean(values)
        ends = estimate.interval(criterion.interval, criterion.level) if estimate else None
        return cls(values, groups, _hidden(report, criterion, structure, values), estimate, ends)

    @property
    def n(self) -> int:
        """Cases that have a value."""
        return int(np.count_nonzero(~np.isnan(self.values)))

    @property
    def patients(self) -> int:
        """Patients who have a value."""
        return self.estimate.patients if self.estimate else 0

    @property
    def mean(self) -> float | None:
        """The mean over cases."""
        return self.estimate.value if self.estimate else None

    def against(self, criterion: Criterion) -> tuple[Outcome, str]:
        """The outcome, and why."""
        if self.mean is None:
            return "UNPROVEN", f"no case has a value of {criterion.metric}"
        if self.ends is None:
            return "UNPROVEN", "one patient: there is no interval"
        interval = f"the {100 * criterion.level:g} % interval"
        if _is_beyond(self.ends, criterion):
            return "FAIL", f"{interval} is wholly on the wrong side"
        if self.patients < criterion.patients:
            return "UNPROVEN", f"{self.patients} of the {criterion.patients} patients that are asked for"
        if not _is_within(self.ends, criterion):
            side = "right" if _margin(self.mean, criterion) > 0 else "wrong"
            return "UNPROVEN", f"the mean is on the {side} side, {interval} reaches across"
        if self.hidden:
            return "UNPROVEN", f"{self.hidden} cases have no {criterion.metric} and are left out of the mean"
        return "PASS", f"{interval} clears it"

    def forecast(self, criterion: Criterion) -> tuple[int | None, int | None]:
        """About how many more patients like these would prove it, and how many make that likely."""
        if self.ends is None or self.hidden:
            return None, None
        t, (low, high) = criterion.threshold, self.ends
        asked: dict[Direction, list[tuple[float, Literal["high", "low"], float]]] = {
            "at least": [(t, "high", low)],
            "at most": [(t, "low", high)],
            "within": [(-t, "high", low), (t, "low", high)],
        }
        found = [
            cases_to_prove(self.values, bound, groups=self.groups, best=best, level=criterion.level, end=end)
            for bound, best, end in asked[criterion.direction]
        ]
        missing = max(0, criterion.patients - self.patients)
        more, likely = _most([f.more for f in found]), _most([f.likely for f in found])
        return (
            None if more is None else max(more, missing),
            None if likely is None else max(likely, missing),
        )


def _most(numbers: list[int | None]) -> int | None:
    there = [number for number in numbers if number is not None]
    return max(there) if len(there) == len(numbers) else None


def _margin(mean: float, criterion: Criterion) -> float:
    """How far the mean is on the right side of the threshold; negative on the wrong one."""
    match criterion.direction:
        case "at least":
            return mean - criterion.threshold
        case "at most":
            return criterion.threshold - mean
        case "within":
            return criterion.threshold - abs(mean)


def _is_within(ends: Interval, criterion: Criterion) -> bool:
    """Whether all of the interval is on the right side; the threshold itself is."""
    return all(_margin(end, criterion) >= 0 for end in ends)


def _is_beyond(ends: Interval, criterion: Criterion) -> bool:
    """Whether all of the interval is on the wrong side."""
    crosses = criterion.direction == "within" and ends[0] < 0 < ends[1]
    return not crosses and all(_margin(end, criterion) < 0 for end in ends)


def _column(report: Report, structure: str, metric: str) -> Numbers:
    values = report.values(structure, metric)
    return np.array([values[case] for case in report.cases], float)  # None becomes NaN


def _hidden(report: Report, criterion: Criterion, structure: str, values: Numbers) -> int:
    """Cases without a value although the structure is there; a distance hides invented ones as well."""
    there = _column(report, structure, "volume_reference") > 0
    if MEASURES[criterion.metric].unit == "mm":
        there |= _column(report, structure, "volume_prediction") > 0
    return int(np.count_nonzero(there & np.isnan(values)))


# --- words


VERDICT_HEADS = ("structure", "asked for", "found", "people", "patients", "verdict", "why")


def verdict_rows(verdict: Verdict) -> list[tuple[str, ...]]:
    """A row under `VERDICT_HEADS` for each criterion and structure that it is about."""
    return [
        (
            j.structure,
            j.criterion.wish,
            _words(j.found),
            _words(j.people),
            str(j.patients),
            j.outcome,
            _why(j),
        )
        for j in verdict.judgements
        if j.structure is not None
    ]


def _why(judgement: Judgement) -> str:
    if judgement.more_cases is None:
        return judgement.why
    more = f"{judgement.more_cases} more patient{'' if judgement.more_cases == 1 else 's'}"
    likely = "" if judgement.likely is None else f", {judgement.likely} for a chance of four in five"
    return f"{judgement.why}; about {more} like these would prove it{likely}"


def _surrounding_table(verdict: Verdict) -> str:
    """Overlap is never alone: it depends on size, and says little about surfaces, volumes and lesions."""
    heads = [MEASURES[found.metric].title for found in verdict.surroundings[0].beside]
    rows = [
        [each.structure, _millilitres(each.median_ml), *(_words(found) for found in each.beside)]
        for each in verdict.surroundings
    ]
    return markdown_table(["structure", "median size", *heads], rows)


def verdict_notes(verdict: Verdict) -> Iterator[str]:
    """What no row of the table says: criteria without a structure, structures without one, sources."""
    for judgement in verdict.judgements:
        if judgement.structure is None:
            what, insists = judgement.criterion, judgement.criterion.required
            rest = "" if insists else "; the gate does not insist on one"
            yield f"{judgement.outcome}: {what.structure} ({what.wish}): {judgement.why}{rest}."
    if verdict.unasked:
        yield f"No row of the gate asks about {', '.join(verdict.unasked)}."
    sources = {
        f"{j.criterion.structure}, {j.criterion.wish}: {j.criterion.source}" for j in verdict.judgements
    }
    yield from (f"Source of {source}" for source in sorted(sources))


def _words(found: Found | None) -> str:
    """A mean with its interval and unit."""
    if found is None or found.mean is None:
        return "not measured"
    unit = MEASURES[found.metric].unit
    digits, sign = (1 if unit == "mm" else 3), ("" if unit == "1" else f" {unit}")
    if found.low is None or found.high is None:
        return f"{found.mean:.{digits}f}{sign}"
    return f"{found.mean:.{digits}f} [{found.low:.{digits}f}, {found.high:.{digits}f}]{sign}"


def _millilitres(volume: float | None) -> str:
    return "none has it" if volume is None else f"{volume:.3g} ml"
