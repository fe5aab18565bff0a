"""Instance report: how the objects of many cases were found, and how sure that is.

Every measure is given as the mean over cases and for the objects of all cases in one pool; both intervals
are by patient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.objects.curves import Ladder, ranked_precision
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.evaluation.objects.instances import (
    ALL,
    CaseInstances,
    InstanceMeasure,
    InstanceRules,
    Tally,
    compare_instances,
    instance_measures,
)
from delineate.evaluation.objects.matching import Numbers
from delineate.evaluation.objects.pools import Bounded, Pool
from delineate.evaluation.overlap import emptiness
from delineate.evaluation.scores import Row, rows_csv
from delineate.evaluation.statistics import INTERVALS, Bootstrap
from delineate.progress import Progress, silent
from delineate.record import Record

Load = Callable[[str], tuple[InstanceMap, InstanceMap]]  # case -> reference, prediction

SEED = 20211  # of the bootstrap where no generator is given: the same report twice
TABLE = ("pq", "dq", "sq", "aji", "aji_plus", "f1@0.5", "ap", "ap_ranked", "ap_ranked@0.5", "voxel_dice")
COUNTED = ("reference", "prediction", "found", "missed", "invented", "merged", "split")


class InstanceCounts(Record):
    """How many objects of a kind there are in all cases, and what became of them."""

    structure: str
    cases: int
    reference: int
    prediction: int
    found: int
    missed: int
    invented: int
    merged: int
    split: int


class InstanceSummary(Record):
    """One kind of object by one measure: over cases, and over the objects of all cases."""

    structure: str
    metric: str
    title: str
    definition: str
    unit: str
    n: int  # cases with a value
    missing: int
    mean: Bounded
    pooled: Bounded


class InstanceReport(Record):
    """How the objects of many cases were found."""

    version: Literal[1] = 1
    title: str
    rules: InstanceRules
    cases: tuple[str, ...]
    groups: dict[str, str]  # case -> patient
    structures: tuple[str, ...]  # kinds of objects, all of them together first
    rows: tuple[Row, ...]
    counts: tuple[InstanceCounts, ...]
    summaries: tuple[InstanceSummary, ...]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of what was measured."""
        return tuple(dict.fromkeys(summary.metric for summary in self.summaries))

    def summary(self, metric: str, structure: str = ALL) -> InstanceSummary:
        """One kind of object by one measure."""
        for summary in self.summaries:
            if (summary.structure, summary.metric) == (structure, metric):
                return summary
        raise DataError(
            f"the report has no {metric!r} of {structure!r}; its structures are {', '.join(self.structures)} "
            f"and its metrics {', '.join(self.metrics)}"
        )

    def values(self, metric: str, structure: str = ALL) -> dict[str, float | None]:
        """Case -> value, None where missing; empty for measures of all cases only."""
        self.summary(metric, structure)
        return {
            row.case: row.value for row in self.rows if (row.structure, row.metric) == (structure, metric)
        }

    def to_csv(self) -> str:
        """All rows as comma-separated values; a missing value is an empty field."""
        return rows_csv(self.rows, self.groups)

    def to_markdown(self, metrics: Sequence[str] = TABLE) -> str:
        """Counts of objects, and means over cases beside what all objects in one pool give."""
        shown = [name for name in metrics if name in self.metrics]
        heads = (
            "structure",
            "cases",
            "objects",
            "predicted",
            "found",
            "missed",
            "invented",
            "merged",
            "split",
        )
        counts = markdown_table(heads, [[*map(str, c.model_dump().values())] for c in self.counts])
        found = [self.summary(name, structure) for structure in self.structures for name in shown]
        rows = [(s.structure, s.title, _mean_cell(s), s.pooled.words) for s in found]
        values = markdown_table(("structure", "measure", "mean of cases", "all objects in one pool"), rows)
        how = f"Value [95 % interval, {INTERVALS[self.rules.interval]}]."
        notes = "\n".join(f"- {s.title}: {s.definition}" for s in map(self.summary, shown))
        return "\n\n".join([counts, values, how, notes]) + "\n"


def _mean_cell(summary: InstanceSummary) -> str:
    left_out = f", n = {summary.n}" if summary.n and summary.missing else ""
    return summary.mean.words + left_out


def evaluate_instances(
    cases: Sequence[str],
    load: Load,
    *,
    rng: np.random.Generator | None = None,
    title: str = "Instances",
    groups: Mapping[str, str] | None = None,
    rules: InstanceRules | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> InstanceReport:
    """The report of many cases.

    load    gives reference and prediction of a case; called in `workers` threads
    groups  case -> patient; a case that is not named is a patient of its own
    rng     draws the bootstrap of the intervals; None draws the same one every time
    """
    rules = rules or InstanceRules()
    rng = np.random.default_rng(SEED) if rng is None else rng
    if not cases or len(set(cases)) != len(cases):
        raise DataError(f"expected cases with different names, got {len(cases)} of {len(set(cases))} names")
    found: list[CaseInstances] = []
    with ThreadPoolExecutor(workers) as threads:
        for done, one in enumerate(threads.map(lambda c: compare_instances(*load(c), c), cases), 1):
            found.append(one)
            progress(done, len(cases), one.case)
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    pool = Pool(Bootstrap.drawn(list(patients.values()), rng), rules.interval)
    kinds = sorted({kind for one in found for kind in (*one.kinds_reference, *one.kinds_prediction)})
    parts = [Part.of(found, structure, rules, pool) for structure in (ALL, *kinds)]
    return InstanceReport(
        title=title,
        rules=rules,
        cases=tuple(cases),
        groups=patients,
        structures=(ALL, *kinds),
        rows=tuple(row for part in parts for row in part.rows(cases)),
        counts=tuple(part.counts() for part in parts),
        summaries=tuple(summary for part in parts for summary in part.summaries()),
    )


@dataclass(frozen=True, eq=False)
class Part:
    """One kind of object in all cases, while the report is made.

    columns  measure -> (case,) values, NaN where missing
    """

    structure: str
    cases: tuple[CaseInstances, ...]
    rules: InstanceRules
    pool: Pool
    tally: Tally  # (case, ...)
    columns: dict[str, Numbers]

    @classmethod
    def of(cls, found: Sequence[CaseInstances], structure: str, rules: InstanceRules, pool: Pool) -> Part:
        """What was found of the structure."""
        cases = tuple(one.of_kind(structure) for one in found)
        tally = Tally.stacked([Tally.of(one.overlaps, rules) for one in cases])
        columns = {m.name: _valued(m, tally, rules) for m in instance_measures(rules)}
        return cls(structure, cases, rules, pool, tally, columns)

    def rows(self, names: Sequence[str]) -> Iterator[Row]:
        """Every case by every measure."""
        for place, case in enumerate(names):
            empty = emptiness(bool(self.tally.reference[place]), bool(self.tally.prediction[place]))
            for measure in instance_measures(self.rules):
                value = float(self.columns[measure.name][place])
                is_missing = bool(np.isnan(value))
                yield Row(
                    case=case,
                    structure=self.structure,
                    metric=measure.name,
                    definition=measure.definition,
                    value=None if is_missing else value,
                    unit=measure.unit,
                    note=(empty or "no partners") if is_missing else None,
                )

    def counts(self) -> InstanceCounts:
        """How many there are, and what became of them."""
        sums = {name: int(getattr(self.tally, name).sum()) for name in COUNTED}
        return InstanceCounts(structure=self.structure, cases=len(self.cases), **sums)

    def summaries(self) -> Iterator[InstanceSummary]:
        """Means over cases, and the same of sums over cases; numbers of objects have no pool."""
        sums = self.tally.pooled(self.pool.weights)
        has_part = self.tally.reference + self.tally.prediction > 0
        for measure in instance_measures(self.rules):
            column = self.columns[measure.name]
            missing = int(np.isnan(column).sum())
            is_pooled = measure.best == "high"
            yield InstanceSummary(
                structure=self.structure,
                metric=measure.name,
                title=measure.title,
                definition=measure.definition,
                unit=measure.unit,
                n=len(column) - missing,
                missing=missing,
                mean=self.pool.mean(column),
                pooled=self.pool.bounded(_valued(measure, sums, self.rules), has_part)
                if is_pooled
                else Bounded(value=None),
            )
        yield from self._ranked()

    def _ranked(self) -> Iterator[InstanceSummary]:
        """Average precision in the order of scores, of all cases at once; none without scores."""
        scores = [one.scores for one in self.cases if one.scores is not None]
        if len(scores) < len(self.cases):
            return
        ladder = Ladder.of(np.concatenate(scores))
        case = np.repeat(np.arange(len(scores)), [len(some) for some in scores])
        areas: dict[str, Numbers] = {}
        for threshold in self.rules.thresholds:
            right, wrong = self._judged(threshold)
            ranked = ladder, case, right, wrong, self.tally.reference
            areas[f"@{threshold:g}"] = ranked_precision(*ranked, self.pool.weights, self.rules.area)
        yield self._area("", f"mean of IoU > {self.rules.listed}", np.mean(list(areas.values()), axis=0))
        for at, of_rows in areas.items():
            yield self._area(at, f"IoU > {at[1:]}", of_rows)

    def _judged(self, threshold: float) -> tuple[Numbers, Numbers]:
        """(candidate,) of all cases: which objects of the prediction are right, 1 or 0, and which wrong."""
        right, unjudged = [], []
        for one in self.cases:
            right.append(one.overlaps.claimed(np.zeros(0) if one.scores is None else one.scores, threshold))
            unjudged.append(one.overlaps.unjudged)
        is_right = np.concatenate(right)
        return is_right.astype(float), (~is_right & ~np.concatenate(unjudged)).astype(float)

    def _area(self, at: str, where: str, areas: Numbers) -> InstanceSummary:
        return InstanceSummary(
            structure=self.structure,
            metric=f"ap_ranked{at}",
            title=f"AP of scores{at}" if at else "mean AP of scores",
            definition=f"area under precision over recall by scores ({self.rules.area}), {where}",
            unit="1",
            n=0,
            missing=0,
            mean=Bounded(value=None),
            pooled=self.pool.bounded(areas),
        )


def _valued(measure: InstanceMeasure, tally: Tally, rules: InstanceRules) -> Numbers:
    """The measure's values (...), where a map is empty by the rules; NaN is missing."""
    values = np.array(measure.of(tally), dtype=float)
    if measure.best != "high":
        return values
    nothing = tally.reference == 0
    if rules.empty == "reference":
        return np.where(nothing, np.nan, values)
    if rules.empty == "one":
        return np.where(nothing & (tally.prediction == 0), 1.0, values)
    return values
