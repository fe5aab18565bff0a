"""Subgroups: is a model as good for everybody?

The cases are divided by a column (site, scanner, sex, age band, size of the structure), and each group is
held against all others. A gap is

proven          the interval of the gap leaves out zero, and the gap is larger than chance makes it (p < .05)
within margin   the whole interval is smaller than what was said to matter
not proven      neither: there may be a gap or none
too few to say  fewer than ten patients in the group, or in all others: no such group is ever called fair

Gaps are differences of means over cases; intervals come from drawing whole patients again. p is the share of
2000 ways to deal the patients anew into groups of the same sizes in which the gap is as large or larger, with
Holm's correction for the number of groups that are tested. Both are asked for, because the interval alone is
not to be trusted where a small group stands against many others and a few cases fail badly: of 10 patients
against 190 who fare no better, it left out zero in 30 % of the trials, p was below .05 in 4 %, both in 0.2 %.

Sources: Holm 1979; Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, chapter 3; Higgins
2009, doi:10.1111/j.1467-985X.2008.00552.x (what to expect at a site that was not among them).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
from pydantic import Field

from delineate.evaluation.comparison import holm
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.measures.rules import ALWAYS
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import Bootstrap, Estimate, Numbers
from delineate.evaluation.subgroups.columns import Column, Division, divided
from delineate.record import Record

Finding = Literal["proven", "within margin", "not proven", "too few to say"]

FEW = 10  # patients; below, nothing is said about a group
DEALS = 2000  # ways to deal patients into groups
ALPHA = 0.05
SEED = 20211  # of draws and deals where no generator is given: the same table twice
ROUNDING = 1e-12  # sums of the same numbers in another order
SIZE = "size"  # the column that every report has: how large the structure is in the reference


class Group(Record):
    """One group by one metric.

    rest      the mean of all other cases
    gap       mean less rest, with its interval
    p, p_holm how often chance alone gives such a gap; None where there are too few patients to ask
    """

    name: str
    n: int
    patients: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    rest: float | None = None
    gap: float | None = None
    gap_low: float | None = None
    gap_high: float | None = None
    p: float | None = None
    p_holm: float | None = None
    finding: Finding = "too few to say"


class SplitTable(Record):
    """One structure by one metric, in groups."""

    structure: str
    metric: str
    unit: str
    mean: float | None  # of all cases whose group is known
    groups: tuple[Group, ...]


class Subgroups(Record):
    """A report, divided by a column.

    edges    of the bands that numbers were cut into, by structure where each has its own; empty for words
    margins  metric -> the gap that begins to matter
    unknown  cases whose group is not known; they are in no table
    """

    version: Literal[1] = 1
    title: str
    column: str
    edges: dict[str, tuple[float, ...]] = Field(default_factory=dict)
    margins: dict[str, float] = Field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    tables: tuple[SplitTable, ...]

    def table(self, structure: str, metric: str) -> SplitTable:
        """One structure by one metric."""
        return next(t for t in self.tables if (t.structure, t.metric) == (structure, metric))

    def to_markdown(self) -> str:
        """A table per structure and metric, and how to read them."""
        parts = [f"## By {self.column}"]
        for table in self.tables:
            heads = ("group", "cases", "patients", "mean", "gap to the others", "p (Holm)", "gap is")
            parts.append(f"### {table.structure}: {MEASURES[table.metric].title}")
            parts.append(markdown_table(heads, [_row(group, table) for group in table.groups]))
        return "\n\n".join([*parts, "\n".join(f"- {note}" for note in _notes(self))]) + "\n"


def split(
    report: Report,
    values: Column,
    *,
    column: str = "group",
    edges: Sequence[float] = (),
    metrics: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
    rng: np.random.Generator | None = None,
) -> Subgroups:
    """Every table of a report, divided by a column.

    values   case -> its value in the column
    edges    where numbers are cut into bands; without any, into thirds
    metrics  which tables; None: all but the volumes
    margins  metric -> the gap that begins to matter; without one no gap is called small
    rng      draws patients and deals them into groups; None does so the same way every time
    """
    division = divided(values, report.cases, column, edges)
    room = _Room.of(report, division, rng)
    tables = [
        room.table(report, structure, metric, margins or {})
        for structure in report.structures
        for metric in _wanted(report, metrics)
    ]
    return Subgroups(
        title=report.title,
        column=column,
        edges={"": division.edges} if division.edges else {},
        margins=dict(margins or {}),
        unknown=tuple(case for case in report.cases if case not in division.group),
        tables=tuple(tables),
    )


def split_by_size(
    report: Report,
    *,
    edges: Sequence[float] = (),
    metrics: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
    rng: np.random.Generator | None = None,
) -> Subgroups:
    """Every table, divided by how large the structure is in the reference, in ml; each structure by itself.

    Cases whose reference has none of it are in no group.
    """
    tables: list[SplitTable] = []
    found: dict[str, tuple[float, ...]] = {}
    for structure in report.structures:
        sizes = {case: ml for case, ml in report.values(structure, "volume_reference").items() if ml}
        if not sizes:
            continue
        division = divided(sizes, report.cases, SIZE, edges)
        found[structure] = division.edges
        room = _Room.of(report, division, rng)
        tables += [room.table(report, structure, m, margins or {}) for m in _wanted(report, metrics)]
    return Subgroups(
        title=report.title,
        column=f"{SIZE} (ml)",
        edges=found,
        margins=dict(margins or {}),
        tables=tuple(tables),
    )


def _wanted(report: Report, metrics: Sequence[str] | None) -> tuple[str, ...]:
    if metrics is not None:
        return tuple(metrics)
    return tuple(name for name in report.metrics if name not in ALWAYS)


# --- one division of the cases


@dataclass(frozen=True, eq=False)
class _Room:
    """Where the cases of a division are compared.

    members    (group, case) who is in
    unit       (case,) the patient, or a patient's part in a group where one is in several
    dealt      (deal, unit) the group that a unit is dealt into; in the first, where it is
    """

    cases: tuple[str, ...]
    names: tuple[str, ...]
    members: npt.NDArray[np.bool_]
    bootstrap: Bootstrap
    unit: npt.NDArray[np.intp]
    dealt: npt.NDArray[np.intp]

    @classmethod
    def of(cls, report: Report, division: Division, rng: np.random.Generator | None) -> Self:
        rng = np.random.default_rng(SEED) if rng is None else rng
        cases = tuple(case for case in report.cases if case in division.group)
        patients = [report.groups[case] for case in cases]
        place = {name: number for number, name in enumerate(division.names)}
        group = np.array([place[division.group[case]] for case in cases])
        parts, unit = np.unique(np.stack([_numbered(patients), group]), axis=1, return_inverse=True)
        bootstrap = Bootstrap.drawn(patients, rng)
        dealt = np.tile(parts[1], (1 + DEALS, 1))
        dealt[1:] = rng.permuted(dealt[1:], axis=1)
        members = group == np.arange(len(division.names))[:, None]
        return cls(cases, division.names, members, bootstrap, unit.ravel(), dealt)

    def table(self, report: Report, structure: str, metric: str, margins: Mapping[str, float]) -> SplitTable:
        """One structure by one metric."""
        column = report.values(structure, metric)
        values = np.array([column[case] for case in self.cases], float)  # None becomes NaN
        groups = [self._group(number, values, report) for number in range(len(self.names))]
        p = [group.p for group in groups]
        # Of two groups, the gap of one is that of the other: one question, not two.
        corrected = p if len(self.names) == 2 else holm(p)
        groups = [group.but(p_holm=p_holm) for group, p_holm in zip(groups, corrected, strict=True)]
        groups = [group.but(finding=_finding(group, margins.get(metric))) for group in groups]
        there = values[~np.isnan(values)]
        return SplitTable(
            structure=structure,
            metric=metric,
            unit=MEASURES[metric].unit,
            mean=float(there.mean()) if len(there) else None,
            groups=tuple(groups),
        )

    def _group(self, number: int, values: Numbers, report: Report) -> Group:
        inside = self.bootstrap.mean(np.where(self.members[number], values, np.nan))
        outside = self.bootstrap.mean(np.where(self.members[number], np.nan, values))
        n = int(np.count_nonzero(self.members[number] & ~np.isnan(values)))
        if inside is None:
            return Group(name=self.names[number], n=0, patients=0)
        low, high = inside.interval(report.rules.interval) or (None, None)
        group = Group(
            name=self.names[number], n=n, patients=inside.patients, mean=inside.value, low=low, high=high
        )
        if outside is None:
            return group
        fewest = min(inside.patients, outside.patients)
        ends = _gap(inside, outside).interval(report.rules.interval) if fewest > 1 else None
        return group.but(
            rest=outside.value,
            gap=inside.value - outside.value,
            gap_low=ends[0] if ends else None,
            gap_high=ends[1] if ends else None,
            p=self._p(number, values) if fewest >= FEW else None,
        )

    def _p(self, number: int, values: Numbers) -> float:
        """How often a gap as large comes about when patients are dealt into groups."""
        there = ~np.isnan(values)
        units = self.dealt.shape[1]
        sums = np.bincount(self.unit[there], values[there], units)
        counts = np.bincount(self.unit[there], minlength=units)
        gaps = np.abs(_gaps((self.dealt == number).astype(float), sums, counts))
        return float(np.count_nonzero(gaps >= gaps[0] - ROUNDING) / len(gaps))


def _gaps(members: Numbers, sums: npt.NDArray[Any], counts: npt.NDArray[Any]) -> Numbers:
    """Mean inside less mean outside, for each row of members (row, unit); 0 where either is empty."""
    inside, n = members @ sums, members @ counts
    outside, rest = sums.sum() - inside, counts.sum() - n
    found = np.zeros(len(members))
    there = (n > 0) & (rest > 0)
    found[there] = inside[there] / n[there] - outside[there] / rest[there]
    return found


def _gap(inside: Estimate, outside: Estimate) -> Estimate:
    """The difference of two means of the same draws; as uncertain as the smaller side makes it."""
    parts = np.stack(
        [np.where(np.isnan(side.without), side.value, side.without) for side in (inside, outside)]
    )
    nobody = np.isnan(inside.without) & np.isnan(outside.without)
    return Estimate(
        inside.value - outside.value,
        inside.draws - outside.draws,
        np.where(nobody, np.nan, parts[0] - parts[1]),
        freedom=min(inside.patients, outside.patients) - 1,
    )


def _finding(group: Group, margin: float | None) -> Finding:
    if group.gap_low is None or group.gap_high is None or group.p_holm is None:
        return "too few to say"
    if margin is not None and -margin <= group.gap_low and group.gap_high <= margin:
        return "within margin"
    leaves_out_zero = group.gap_low > 0 or group.gap_high < 0
    return "proven" if leaves_out_zero and group.p_holm < ALPHA else "not proven"


def _numbered(names: Sequence[str]) -> npt.NDArray[np.intp]:
    return np.unique(np.array(names), return_inverse=True)[1]


# --- words


def _row(group: Group, table: SplitTable) -> tuple[str, ...]:
    digits = 1 if table.unit == "mm" else 3
    p = "-" if group.p_holm is None else f"{group.p_holm:.3f}"
    mean = _words(group.mean, group.low, group.high, f".{digits}f")
    gap = _words(group.gap, group.gap_low, group.gap_high, f"+.{digits}f")
    return group.name, str(group.n), str(group.patients), mean, gap, p, said(group, table.metric)


def said(group: Group, metric: str) -> str:
    """The finding with its direction."""
    best = MEASURES[metric].best
    if group.finding != "proven" or group.gap is None or best == "zero":
        return group.finding
    return f"proven: {'better' if (group.gap > 0) == (best == 'high') else 'worse'}"


def _words(value: float | None, low: float | None, high: float | None, how: str) -> str:
    if value is None:
        return "-"
    ends = "" if low is None or high is None else f" [{low:{how}}, {high:{how}}]"
    return f"{value:{how}}{ends}"


def _notes(subgroups: Subgroups) -> Iterator[str]:
    for structure, edges in subgroups.edges.items():
        cut = ", ".join(f"{edge:.4g}" for edge in edges)
        of = f" of {structure}" if structure else ""
        yield f"Bands{of} are cut at {cut}; an edge belongs to the upper band."
    if subgroups.unknown:
        some = ", ".join(subgroups.unknown[:5]) + (", ..." if len(subgroups.unknown) > 5 else "")
        yield f"{len(subgroups.unknown)} cases without a value are in no group: {some}."
    yield (
        f"Fewer than {FEW} patients, in the group or in all others: too few to say. Proven: the 95 % "
        "interval of the gap leaves out 0, and p after Holm's correction for the groups of a table is below "
        f"{ALPHA:g}. Tables are not corrected for each other."
    )
    if subgroups.margins:
        told = ", ".join(f"{MEASURES[m].title} {margin:g}" for m, margin in subgroups.margins.items())
        yield f"Within margin: the whole interval of the gap is smaller than {told}."
    else:
        yield "No margin was given, so no gap is called small; not proven does not mean that there is none."
