"""Instance report: how the objects of many cases were found, and how sure that is.

Every measure is given as the mean over cases and for the objects of all cases in one pool; both intervals
draw whole patients.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.objects.curves import Ladder, average_precision
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
from delineate.evaluation.scores import Row
from delineate.evaluation.statistics import Bootstrap, percentile_interval
from delineate.progress import Progress, silent
from delineate.record import Record

Load = Callable[[str], tuple[InstanceMap, InstanceMap]]  # case -> reference, prediction

SEED = 20211  # of the bootstrap where no generator is given: the same report twice


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
    mean: float | None
    ci_low: float | None  # 95 % bootstrap interval, whole patients drawn
    ci_high: float | None
    pooled: float | None
    pooled_low: float | None
    pooled_high: float | None


TABLE = ("pq", "dq", "sq", "aji", "aji_plus", "f1@0.5", "ap", "voxel_dice")


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

    def summary(self, metric: str, structure: str = ALL) -> InstanceSummary:
        """One kind of object by one measure."""
        for summary in self.summaries:
            if (summary.structure, summary.metric) == (structure, metric):
                return summary
        raise DataError(
            f"the report has no {metric!r} of {structure!r}; its structures are {', '.join(self.structures)} "
            f"and its metrics {', '.join(dict.fromkeys(s.metric for s in self.summaries))}"
        )

    def values(self, metric: str, structure: str = ALL) -> dict[str, float | None]:
        """Case -> value; None where missing."""
        self.summary(metric, structure)
        return {
            row.case: row.value for row in self.rows if (row.structure, row.metric) == (structure, metric)
        }

    def to_csv(self) -> str:
        """All rows as comma-separated values; a missing value is an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("case", "patient", "structure", "metric", "definition", "value", "unit", "note"))
        for row in self.rows:
            value = "" if row.value is None else repr(row.value)
            where = (row.case, self.groups[row.case], row.structure)
            writer.writerow((*where, row.metric, row.definition, value, row.unit, row.note or ""))
        return text.getvalue()

    def to_markdown(self, metrics: Sequence[str] = TABLE) -> str:
        """Counts of objects, and a table of means over cases beside what all objects in one pool give."""
        there = {summary.metric for summary in self.summaries}
        shown = [
            name for name in (*metrics, *(["ap_ranked"] if "ap_ranked" in there else [])) if name in there
        ]
        lines = [
            "| structure | cases | objects | predicted | found | missed | invented | merged | split |",
            "|---" * 9 + "|",
            *("| " + " | ".join(map(str, counts.model_dump().values())) + " |" for counts in self.counts),
            "",
            "| structure | measure | mean of cases | all objects in one pool |",
            "|---" * 4 + "|",
        ]
        for structure in self.structures:
            for name in shown:
                s = self.summary(name, structure)
                of_cases = _cell(s.mean, s.ci_low, s.ci_high) + (f", n = {s.n}" if s.n and s.missing else "")
                pooled = _cell(s.pooled, s.pooled_low, s.pooled_high)
                lines.append(f"| {structure} | {s.title} | {of_cases} | {pooled} |")
        notes = [f"- {s.title}: {s.definition}" for s in (self.summary(name) for name in shown)]
        return "\n".join([*lines, "", "Value [95 % interval].", *notes]) + "\n"


def _cell(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} [{low:.3f}, {high:.3f}]"


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
    with ThreadPoolExecutor(workers) as pool:
        for done, one in enumerate(pool.map(lambda case: compare_instances(*load(case), case), cases), 1):
            found.append(one)
            progress(done, len(cases), one.case)
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    return _report(found, title, rules, patients, Bootstrap.drawn(list(patients.values()), rng))


def _report(
    found: Sequence[CaseInstances],
    title: str,
    rules: InstanceRules,
    groups: dict[str, str],
    bootstrap: Bootstrap,
) -> InstanceReport:
    """The report of what was found in the cases."""
    kinds = {kind for one in found for kind in (*one.kinds_reference, *one.kinds_prediction)}
    structures = (ALL, *sorted(kinds))
    measures = instance_measures(rules)
    rows: list[Row] = []
    counts: list[InstanceCounts] = []
    summaries: list[InstanceSummary] = []
    for structure in structures:
        parts = [one.of_kind(structure) for one in found]
        tally = Tally.stacked([Tally.of(part.overlaps, rules) for part in parts])
        columns = {measure.name: _valued(measure, tally, rules) for measure in measures}
        rows += _rows(list(groups), structure, measures, columns, tally)
        counts.append(_counted(structure, tally))
        summaries += _summaries(structure, measures, columns, tally, rules, bootstrap)
        summaries += _ranked(structure, parts, rules, bootstrap)
    return InstanceReport(
        title=title,
        rules=rules,
        cases=tuple(groups),
        groups=groups,
        structures=structures,
        rows=tuple(rows),
        counts=tuple(counts),
        summaries=tuple(summaries),
    )


def _valued(measure: InstanceMeasure, tally: Tally, rules: InstanceRules) -> Numbers:
    """The measure's values (...), where a map is empty by the rules; NaN is missing."""
    values = np.array(measure.of(tally), dtype=float)
    if measure.best == "high":
        nothing = tally.reference == 0
        if rules.empty == "reference":
            values = np.where(nothing, np.nan, values)
        if rules.empty == "one":
            values = np.where(nothing & (tally.prediction == 0), 1.0, values)
    return values


def _rows(
    cases: Sequence[str],
    structure: str,
    measures: Sequence[InstanceMeasure],
    columns: Mapping[str, Numbers],
    tally: Tally,
) -> Iterator[Row]:
    for place, case in enumerate(cases):
        empty = _emptiness(bool(tally.reference[place]), bool(tally.prediction[place]))
        for measure in measures:
            value = float(columns[measure.name][place])
            is_missing = bool(np.isnan(value))
            yield Row(
                case=case,
                structure=structure,
                metric=measure.name,
                definition=measure.definition,
                value=None if is_missing else value,
                unit=measure.unit,
                note=(empty or "no partners") if is_missing else None,
            )


def _emptiness(reference: bool, prediction: bool) -> str | None:
    match reference, prediction:
        case False, False:
            return "both empty"
        case False, True:
            return "reference empty"
        case True, False:
            return "prediction empty"
    return None


def _counted(structure: str, tally: Tally) -> InstanceCounts:
    return InstanceCounts(
        structure=structure,
        cases=len(tally.reference),
        reference=int(tally.reference.sum()),
        prediction=int(tally.prediction.sum()),
        found=int(tally.found.sum()),
        missed=int(tally.missed.sum()),
        invented=int(tally.invented.sum()),
        merged=int(tally.merged.sum()),
        split=int(tally.split.sum()),
    )


def _summaries(
    structure: str,
    measures: Sequence[InstanceMeasure],
    columns: Mapping[str, Numbers],
    tally: Tally,
    rules: InstanceRules,
    bootstrap: Bootstrap,
) -> Iterator[InstanceSummary]:
    """Means over cases, and the same of sums over cases; counts have no pool: they are in `counts`."""
    whole = tally.pooled(np.ones(len(tally.reference)))
    drawn = tally.pooled(bootstrap.weights[:, bootstrap.membership])
    for measure in measures:
        column = columns[measure.name]
        there = column[~np.isnan(column)]
        is_pooled = measure.best == "high"
        yield InstanceSummary(
            structure=structure,
            metric=measure.name,
            title=measure.title,
            definition=measure.definition,
            unit=measure.unit,
            n=len(there),
            missing=len(column) - len(there),
            mean=float(there.mean()) if len(there) else None,
            **_ends("ci", bootstrap.interval(column)),
            pooled=_number(_valued(measure, whole, rules)) if is_pooled else None,
            **_ends("pooled", _spread(_valued(measure, drawn, rules), bootstrap) if is_pooled else None),
        )


def _ranked(
    structure: str, parts: Sequence[CaseInstances], rules: InstanceRules, bootstrap: Bootstrap
) -> list[InstanceSummary]:
    """Average precision of all objects of all cases in the order of their scores; none without scores."""
    scores = [part.scores for part in parts if part.scores is not None]
    if len(scores) < len(parts):
        return []
    ladder = Ladder.of(np.concatenate(scores))
    case = np.repeat(np.arange(len(parts)), [len(s) for s in scores])
    totals = np.array([len(part.overlaps.reference_ids) for part in parts], float)
    weights = np.concatenate([np.ones((1, len(parts))), bootstrap.weights[:, bootstrap.membership]])
    found: dict[str, Numbers] = {}  # (1 + draw,): as measured, then drawn again
    for threshold in rules.thresholds:
        right, wrong = (np.concatenate(some) for some in zip(*_judged(parts, threshold), strict=True))
        areas = [
            average_precision(ladder, w[case] * right, w[case] * wrong, w @ totals, rules.area)
            for w in weights
        ]
        found[f"ap_ranked@{threshold:g}"] = np.array(areas)
    found = {"ap_ranked": np.mean(list(found.values()), axis=0)} | found
    return [_ranked_summary(structure, name, areas, rules, bootstrap) for name, areas in found.items()]


def _judged(parts: Sequence[CaseInstances], threshold: float) -> Iterator[tuple[Numbers, Numbers]]:
    """For each case, which objects of its prediction are right (1.0) and which are wrong."""
    for part in parts:
        scores = np.zeros(0) if part.scores is None else part.scores
        right = part.overlaps.claimed(scores, threshold)
        yield right.astype(float), (~right & ~part.overlaps.unjudged).astype(float)


def _ranked_summary(
    structure: str, name: str, areas: Numbers, rules: InstanceRules, bootstrap: Bootstrap
) -> InstanceSummary:
    _, _, at = name.partition("@")
    where = f"at IoU > {at}" if at else f"mean of IoU > {rules.listed}"
    return InstanceSummary(
        structure=structure,
        metric=name,
        title=f"AP of scores@{at}" if at else "mean AP of scores",
        definition=f"area under precision over recall in the order of scores ({rules.area}), {where}",
        unit="1",
        n=0,
        missing=0,
        mean=None,
        ci_low=None,
        ci_high=None,
        pooled=_number(areas[0]),
        **_ends("pooled", _spread(areas[1:], bootstrap)),
    )


def _spread(drawn: Numbers, bootstrap: Bootstrap) -> tuple[float, float] | None:
    """The 95 % interval of what was drawn; None for a single patient."""
    return percentile_interval(drawn) if bootstrap.weights.shape[1] > 1 else None


def _number(value: Numbers) -> float | None:
    return None if np.isnan(value) else float(value)


def _ends(name: str, ends: tuple[float, float] | None) -> dict[str, float | None]:
    return {f"{name}_low": ends[0] if ends else None, f"{name}_high": ends[1] if ends else None}
