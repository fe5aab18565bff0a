"""Detection report: FROC and average precision of many scans, with intervals that draw whole patients."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.objects.curves import AreaBy, Ladder, ranked_precision, sensitivities
from delineate.evaluation.objects.detection import CaseDetections, DetectionRules, detect
from delineate.evaluation.objects.instance_map import InstanceMap
from delineate.evaluation.objects.matching import Indices, Numbers
from delineate.evaluation.objects.pools import Bounded, Pool
from delineate.evaluation.statistics import INTERVALS, Bootstrap
from delineate.progress import Progress, silent
from delineate.record import Record

Load = Callable[[str], tuple[InstanceMap, InstanceMap]]  # case -> lesions, candidates with scores

SEED = 20211  # of the bootstrap where no generator is given: the same report twice


class RatePoint(Record):
    """The sensitivity at a rate of false positives per scan."""

    rate: float
    sensitivity: Bounded


class CurvePoint(Record):
    """What is found where candidates count from a score on."""

    score: float
    false_positives: float  # per scan
    sensitivity: float


class LesionHit(Record):
    """One lesion, and the highest score that hits it; None where none does."""

    case: str
    lesion: int
    volume_ml: float
    score: float | None


class DetectionReport(Record):
    """How the lesions of many scans were found, at every number of false alarms."""

    version: Literal[1] = 1
    title: str
    rules: DetectionRules
    cases: tuple[str, ...]
    groups: dict[str, str]  # case -> patient
    candidates: int
    rates: tuple[RatePoint, ...]
    cpm: Bounded  # the mean of the sensitivities at the rates
    average_precision: Bounded
    curve: tuple[CurvePoint, ...]  # from the highest score down
    lesions: tuple[LesionHit, ...]

    def to_csv(self) -> str:
        """The curve as comma-separated values."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(("score", "false_positives_per_scan", "sensitivity"))
        writer.writerows((repr(p.score), repr(p.false_positives), repr(p.sensitivity)) for p in self.curve)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The sensitivity at each rate, their mean, and average precision."""
        found = sum(lesion.score is not None for lesion in self.lesions)
        lines = [
            f"{len(self.lesions)} lesions in {len(self.cases)} scans; {self.candidates} candidates hit "
            f"{found} of them ({self.rules.words}).",
            "",
            "| false positives per scan | sensitivity |",
            "|---|---|",
            *(f"| {point.rate:g} | {point.sensitivity.words} |" for point in self.rates),
            f"| **mean (CPM)** | {self.cpm.words} |",
            f"| average precision ({self.rules.area}) | {self.average_precision.words} |",
            "",
            f"Value [95 % interval, {INTERVALS[self.rules.interval]}].",
        ]
        return "\n".join(lines) + "\n"


def evaluate_detection(
    cases: Sequence[str],
    load: Load,
    *,
    rng: np.random.Generator | None = None,
    title: str = "Detection",
    groups: Mapping[str, str] | None = None,
    rules: DetectionRules | None = None,
    workers: int = 1,
    progress: Progress = silent,
) -> DetectionReport:
    """The report of many scans.

    load    gives lesions and candidates of a case; called in `workers` threads
    groups  case -> patient; a case that is not named is a patient of its own
    rng     draws the bootstrap of the intervals; None draws the same one every time
    """
    rules = rules or DetectionRules()
    rng = np.random.default_rng(SEED) if rng is None else rng
    if not cases or len(set(cases)) != len(cases):
        raise DataError(f"expected cases with different names, got {len(cases)} of {len(set(cases))} names")
    found: list[CaseDetections] = []
    with ThreadPoolExecutor(workers) as threads:
        for done, one in enumerate(
            threads.map(lambda case: detect(*load(case), case, rules=rules), cases), 1
        ):
            found.append(one)
            progress(done, len(cases), one.case)
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    pool = Pool(Bootstrap.drawn(list(patients.values()), rng), rules.interval)
    curves = Curves.of(found)
    sensitivity = curves.sensitivity(pool.weights, rules.rates)
    return DetectionReport(
        title=title,
        rules=rules,
        cases=tuple(cases),
        groups=patients,
        candidates=len(curves.candidate_case),
        rates=tuple(
            RatePoint(rate=rate, sensitivity=pool.bounded(sensitivity[:, n]))
            for n, rate in enumerate(rules.rates)
        ),
        cpm=pool.bounded(sensitivity.mean(axis=1)),
        average_precision=pool.bounded(curves.precision(pool.weights, rules.area)),
        curve=curves.points(),
        lesions=tuple(hit for one in found for hit in _hits(one)),
    )


@dataclass(frozen=True, eq=False)
class Curves:
    """The events of all scans in the order of their scores, each with the place of its scan.

    lesions       (scan,) how many there are
    found         (event,) 1 where a lesion is found, 0 where an alarm is false
    right, wrong  (candidate,) for average precision
    """

    lesions: Numbers
    events: Ladder
    event_case: Indices
    found: Numbers
    candidates: Ladder
    candidate_case: Indices
    right: Numbers
    wrong: Numbers

    @classmethod
    def of(cls, cases: Sequence[CaseDetections]) -> Curves:
        """Those of the scans, in their order."""
        scores, place, found = [], [], []
        for n, one in enumerate(cases):
            best, false = one.best[one.best > -np.inf], one.scores[one.false_alarms]
            scores += [best, false]
            place.append(np.full(len(best) + len(false), n))
            found += [np.ones(len(best)), np.zeros(len(false))]
        everything = np.concatenate([one.scores for one in cases])
        right = np.concatenate([one.right for one in cases])
        unjudged = np.concatenate([one.unjudged for one in cases])
        return cls(
            lesions=np.array([len(one.lesion_ids) for one in cases], float),
            events=Ladder.of(np.concatenate(scores)),
            event_case=np.concatenate(place),
            found=np.concatenate(found),
            candidates=Ladder.of(everything),
            candidate_case=np.repeat(np.arange(len(cases)), [len(one.scores) for one in cases]),
            right=right.astype(float),
            wrong=(~right & ~unjudged).astype(float),
        )

    def sensitivity(self, weights: Numbers, rates: Sequence[float]) -> Numbers:
        """(row, rate) for weights (row, case); NaN without lesions."""
        totals = weights @ self.lesions
        result = np.full((len(weights), len(rates)), np.nan)
        for n in np.flatnonzero(totals > 0):
            found, false = self._reached(weights[n])
            result[n] = sensitivities(np.array(rates), false / weights[n].sum(), found / totals[n])
        return result

    def precision(self, weights: Numbers, area: AreaBy) -> Numbers:
        """(row,) average precision for weights (row, case)."""
        return ranked_precision(
            self.candidates, self.candidate_case, self.right, self.wrong, self.lesions, weights, area
        )

    def points(self) -> tuple[CurvePoint, ...]:
        """The curve as it was measured; none without lesions."""
        scans, lesions = len(self.lesions), self.lesions.sum()
        if not lesions:
            return ()
        found, false = self._reached(np.ones(scans))
        steps = zip(self.events.scores, false / scans, found / lesions, strict=True)
        return tuple(
            CurvePoint(score=float(score), false_positives=float(x), sensitivity=float(y))
            for score, x, y in steps
        )

    def _reached(self, weights: Numbers) -> tuple[Numbers, Numbers]:
        of_each = weights[self.event_case]
        return self.events.reached(self.found * of_each), self.events.reached((1 - self.found) * of_each)


def _hits(one: CaseDetections) -> list[LesionHit]:
    return [
        LesionHit(case=one.case, lesion=int(i), volume_ml=float(ml), score=None if s == -np.inf else float(s))
        for i, ml, s in zip(one.lesion_ids, one.lesion_ml, one.best, strict=True)
    ]
