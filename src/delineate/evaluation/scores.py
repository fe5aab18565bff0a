"""Scores: every value of an assessment, and what they say together.

A missing value is a row without a value, never a zero and never left out; how many there are stands beside
every mean.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.measures import MEASURES, Rules
from delineate.evaluation.overlap import ConfusionTable
from delineate.evaluation.statistics import INTERVALS, Bootstrap, Estimate, IntervalMethod, Numbers
from delineate.io.disk import write_text
from delineate.record import Record

AT_EDGE = "cut off by the edge of the scan"  # note of a reference volume that is not the whole
FEW_CASES = 30  # below, intervals are wide whatever the model; El Jurdi 2025 asks for 100 to 200
FEW_EXAMPLES = 10  # of a structure
SHOWN_NAMES = 6  # structures named in a warning


class Row(Record):
    """One value: of a case, a structure and a metric."""

    case: str
    structure: str
    metric: str
    definition: str
    value: float | None
    unit: str
    note: str | None = None  # why the value is missing, or what it stands for


class Summary(Record):
    """One structure by one metric over the cases that have a value."""

    structure: str
    metric: str
    definition: str
    unit: str
    n: int
    missing: int
    mean: float | None
    sd: float | None  # with n - 1; None for one value
    median: float | None
    q1: float | None
    q3: float | None
    low: float | None
    high: float | None
    ci_low: float | None  # 95 % interval of the mean, by patient, as the rules name it
    ci_high: float | None
    median_ci_low: float | None = None  # and of the median
    median_ci_high: float | None = None


class Counts(Record):
    """How often a structure is there, missed, invented or cut off."""

    structure: str
    cases: int
    empty_reference: int
    false_positive_on_empty: int  # predicted where the reference has none
    missed: int  # nothing predicted where the reference has some
    at_edge: int  # cut off by the edge of the scan in the reference


class Overall(Record):
    """The mean over structures of their means over cases, by one metric."""

    metric: str
    definition: str
    unit: str
    structures: int
    mean: float | None
    ci_low: float | None
    ci_high: float | None


class Report(Record):
    """What was measured, on what, by which rules, and what came out."""

    version: Literal[1] = 1
    title: str
    rules: Rules
    cases: tuple[str, ...]
    groups: dict[str, str]  # case -> patient
    structures: tuple[str, ...]
    rows: tuple[Row, ...]
    counts: tuple[Counts, ...]
    summaries: tuple[Summary, ...]
    overall: tuple[Overall, ...]
    confusion: ConfusionTable | None = None  # what each label was called, over all cases

    @cached_property
    def _table(self) -> dict[tuple[str, str], dict[str, float | None]]:
        table: dict[tuple[str, str], dict[str, float | None]] = {}
        for row in self.rows:
            table.setdefault((row.structure, row.metric), {})[row.case] = row.value
        return table

    def values(self, structure: str, metric: str) -> dict[str, float | None]:
        """Case -> value, in the order of the cases; None where missing."""
        if (structure, metric) not in self._table:
            raise DataError(
                f"the report has no {metric!r} of {structure!r}; its structures are "
                f"{', '.join(self.structures)} and its metrics {', '.join(self.metrics)}"
            )
        return self._table[structure, metric]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what was measured."""
        return tuple(measure.name for measure in self.rules.measures)

    def summary(self, structure: str, metric: str) -> Summary:
        """One structure by one metric."""
        self.values(structure, metric)
        return next(s for s in self.summaries if (s.structure, s.metric) == (structure, metric))

    def mean(self, metric: str = "dice") -> float | None:
        """The mean over structures of their means over cases."""
        return next((overall.mean for overall in self.overall if overall.metric == metric), None)

    def case_means(self, metric: str = "dice") -> dict[str, float | None]:
        """Case -> mean over the structures that have a value there."""
        columns = [self.values(structure, metric) for structure in self.structures]
        return {case: _mean([column[case] for column in columns]) for case in self.cases}

    def ranked(self, metric: str = "dice") -> tuple[str, ...]:
        """Cases from the worst to the best; those without any value are left out."""
        means = {case: mean for case, mean in self.case_means(metric).items() if mean is not None}
        sign = -1 if MEASURES[metric].best == "high" else 1
        return tuple(sorted(means, key=lambda case: (-sign * abs(means[case]), case)))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps these numbers from being trusted, in words."""
        found = []
        patients = len(set(self.groups.values()))
        if patients < FEW_CASES:
            found.append(
                f"{patients} patient{'' if patients == 1 else 's'}: intervals are wide, and a difference of "
                f"a few hundredths of Dice is not told apart with fewer than {FEW_CASES}."
            )
        doubts: dict[str, list[str]] = {}  # the same of many structures is said once
        for counts in self.counts:
            for doubt in _doubts(counts, self.rules):
                doubts.setdefault(doubt, []).append(counts.structure)
        return (*found, *(f"{_listed(structures)}: {doubt}" for doubt, structures in doubts.items()))

    def to_csv(self) -> str:
        """All rows as comma-separated values; a missing value is an empty field."""
        return rows_csv(self.rows, self.groups)

    def to_markdown(self, metrics: Sequence[str] = ("dice", "hd95", "nsd", "volume_error_relative")) -> str:
        """A table of means with their 95 % intervals: a line per structure, and their mean."""
        shown = [MEASURES[name] for name in metrics if name in self.metrics]
        heads = [m.title + ("" if m.unit == "1" else f" ({m.unit})") for m in shown]
        lines = [
            "| structure | cases | with it | missed | invented | " + " | ".join(heads) + " |",
            "|---" * (5 + len(shown)) + "|",
        ]
        for counts in self.counts:
            cells = [_cell(self.summary(counts.structure, m.name)) for m in shown]
            there = counts.cases - counts.empty_reference
            numbers = (counts.cases, there, counts.missed, counts.false_positive_on_empty)
            lines.append(f"| {' | '.join(map(str, (counts.structure, *numbers, *cells)))} |")
        by_metric = {overall.metric: overall for overall in self.overall}
        cells = [_cell(by_metric[m.name]) for m in shown]
        lines.append(f"| **mean of structures** | {len(self.cases)} | | | | {' | '.join(cells)} |")
        notes = [f"- {m.title}: {self.rules.definition(m)}" for m in shown]
        how = f"95 % interval, {INTERVALS[self.rules.interval]}"
        lines += ["", f"Mean [{how}], n where values are missing and left out.", *notes]
        return "\n".join(lines) + "\n"


def rows_csv(rows: Sequence[Row], groups: Mapping[str, str]) -> str:
    """Rows as comma-separated values, each with the patient of its case."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("case", "patient", "structure", "metric", "definition", "value", "unit", "note"))
    for row in rows:
        value = "" if row.value is None else repr(row.value)
        where = (row.case, groups[row.case], row.structure)
        writer.writerow((*where, row.metric, row.definition, value, row.unit, row.note or ""))
    return text.getvalue()


def _doubts(counts: Counts, rules: Rules) -> Iterator[str]:
    """What keeps the numbers of one structure from being trusted."""
    there = counts.cases - counts.empty_reference
    if there < FEW_EXAMPLES:
        yield f"only {there} {'case has' if there == 1 else 'cases have'} it, too few to rely on."
    if counts.missed:
        yield f"nothing was predicted in {counts.missed} of {there} cases that have it; {_missed_rule(rules)}"
    if counts.false_positive_on_empty:
        invented, without = counts.false_positive_on_empty, counts.empty_reference
        yield f"predicted in {invented} of {without} cases that have none."
    if counts.at_edge:
        yield f"cut off by the edge of the scan in {counts.at_edge} cases; its volume there is not the whole."


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_NAMES
    return ", ".join(names[:SHOWN_NAMES]) + (f" and {more} more" if more > 0 else "")


def report_of(
    rows: Sequence[Row],
    *,
    title: str,
    rules: Rules,
    groups: Mapping[str, str],
    rng: np.random.Generator,
    confusion: ConfusionTable | None = None,
) -> Report:
    """The report of many rows; `groups` is case -> patient, in the order in which cases are listed."""
    cases = tuple(groups)
    structures = tuple(dict.fromkeys(row.structure for row in rows))
    bootstrap = Bootstrap.drawn(list(groups.values()), rng) if cases else None
    columns = _columns(rows, cases)
    summaries, overall = [], []
    for measure in rules.measures:
        if bootstrap is None:
            break
        words = (measure.name, rules.definition(measure), measure.unit)
        method = rules.interval
        mine = [columns[structure, measure.name] for structure in structures]
        summaries += [
            _summary(s, words, column, bootstrap, method) for s, column in zip(structures, mine, strict=True)
        ]
        overall.append(_overall(words, mine, bootstrap, method))
    return Report(
        title=title,
        rules=rules,
        cases=cases,
        groups=dict(groups),
        structures=structures,
        rows=tuple(rows),
        counts=tuple(_counts(s, columns, rows) for s in structures),
        summaries=tuple(summaries),
        overall=tuple(overall),
        confusion=confusion,
    )


def write_report(report: Report, folder: Path) -> None:
    """Writes report.json, scores.csv, confusion.csv and summary.md into a folder."""
    write_text(folder / "report.json", report.to_json())
    write_text(folder / "scores.csv", report.to_csv())
    if report.confusion is not None:
        write_text(folder / "confusion.csv", report.confusion.to_csv())
    write_text(folder / "summary.md", f"# {report.title}\n\n{report.to_markdown()}")


def read_report(path: Path | str) -> Report:
    """The report in a folder that was evaluated (a run's as well), or in its `report.json`.

    Raises:
        DataError: there is none.
    """
    path = Path(path)
    places = [path] if path.is_file() else [path / "report.json", path / "evaluation" / "report.json"]
    file = next((place for place in places if place.is_file()), None)
    if file is None:
        raise DataError(
            f"{path}: holds no report. Expected report.json, or a folder with one:  "
            f"delineate evaluate REFERENCES PREDICTIONS -o {path}"
        )
    return Report.load(file)


Columns = dict[tuple[str, str], Numbers]  # (structure, metric) -> (case,), NaN where missing
Words = tuple[str, str, str]  # metric, definition, unit


def _columns(rows: Sequence[Row], cases: tuple[str, ...]) -> Columns:
    place = {case: n for n, case in enumerate(cases)}
    columns: Columns = {}
    for row in rows:
        key = (row.structure, row.metric)
        if key not in columns:
            columns[key] = np.full(len(cases), np.nan)
        if row.value is not None:
            columns[key][place[row.case]] = row.value
    return columns


def _summary(
    structure: str, words: Words, column: Numbers, bootstrap: Bootstrap, method: IntervalMethod
) -> Summary:
    metric, definition, unit = words
    there = column[~np.isnan(column)]
    quartiles: list[float | None] = [None] * 5
    if len(there):
        quartiles = [float(q) for q in np.quantile(there, [0, 0.25, 0.5, 0.75, 1])]
    low, q1, median, q3, high = quartiles
    ends = bootstrap.interval(column, method=method) or (None, None)
    middle = bootstrap.interval(column, method=method, of="median") or (None, None)
    return Summary(
        structure=structure,
        metric=metric,
        definition=definition,
        unit=unit,
        n=len(there),
        missing=len(column) - len(there),
        mean=float(there.mean()) if len(there) else None,
        sd=float(there.std(ddof=1)) if len(there) > 1 else None,
        median=median,
        q1=q1,
        q3=q3,
        low=low,
        high=high,
        ci_low=ends[0],
        ci_high=ends[1],
        median_ci_low=middle[0],
        median_ci_high=middle[1],
    )


def _overall(
    words: Words, columns: Sequence[Numbers], bootstrap: Bootstrap, method: IntervalMethod
) -> Overall:
    metric, definition, unit = words
    parts = [estimate for column in columns if (estimate := bootstrap.mean(column)) is not None]
    ends = None
    if parts and all(part.patients > 1 for part in parts):
        ends = Estimate.average(parts).interval(method)
    return Overall(
        metric=metric,
        definition=definition,
        unit=unit,
        structures=len(parts),
        mean=_mean([part.value for part in parts]),
        ci_low=ends[0] if ends else None,
        ci_high=ends[1] if ends else None,
    )


def _counts(structure: str, columns: Columns, rows: Sequence[Row]) -> Counts:
    reference = columns[structure, "volume_reference"] > 0
    prediction = columns[structure, "volume_prediction"] > 0
    return Counts(
        structure=structure,
        cases=len(reference),
        empty_reference=int((~reference).sum()),
        false_positive_on_empty=int((~reference & prediction).sum()),
        missed=int((reference & ~prediction).sum()),
        at_edge=sum(
            row.structure == structure and row.metric == "volume_reference" and AT_EDGE in (row.note or "")
            for row in rows
        ),
    )


def _mean(values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return math.fsum(there) / len(there) if there else None


def _cell(summary: Summary | Overall) -> str:
    if summary.mean is None:
        return "missing"
    left_out = f", n = {summary.n}" if isinstance(summary, Summary) and summary.missing else ""
    if summary.ci_low is None or summary.ci_high is None:
        return f"{summary.mean:.3f}{left_out}"
    return f"{summary.mean:.3f} [{summary.ci_low:.3f}, {summary.ci_high:.3f}]{left_out}"


def _missed_rule(rules: Rules) -> str:
    if rules.missed == "missing":
        return "their distances are missing, so mean distances look better than they are."
    return "their distances are the diagonal of the grid."
