"""Assessment: forecasts held against what is there, one case in memory at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.calibration.counting import Counts, Forecast
from delineate.evaluation.calibration.regions import WHERE, Where
from delineate.evaluation.calibration.reliability import Reliability, Tally, edges
from delineate.evaluation.calibration.report import (
    Bin,
    CalibrationReport,
    CalibrationRules,
    Curve,
    OverCases,
    Score,
)
from delineate.evaluation.calibration.temperature import KEPT, Sample, fitted
from delineate.evaluation.statistics import Bootstrap
from delineate.progress import Progress, silent
from delineate.space import LabelMap, LabelSchema, Volume

Load = Callable[[str], tuple[LabelMap, Volume]]  # case -> reference, probabilities of the schema's outputs

SEED = 20211  # of samples and draws where no generator is given: the same report twice
FEW_VOXELS = 20  # in a bin of a case: fewer say nothing about its frequency
SAMPLED = 2**23  # logarithms of probabilities in memory, of all cases together: 64 MB


def calibrate(
    cases: Sequence[str],
    load: Load,
    *,
    title: str = "Calibration",
    groups: Mapping[str, str] | None = None,
    rules: CalibrationRules | None = None,
    rng: np.random.Generator | None = None,
    progress: Progress = silent,
) -> CalibrationReport:
    """The calibration of many cases, and the temperature that suits them best.

    load    gives reference and probabilities of a case; called twice for each, one case at a time
    groups  case -> patient; a case that is not named is a patient of its own
    rng     samples voxels and draws patients; None does so the same way every time
    """
    if not cases or len(set(cases)) != len(cases):
        raise DataError(f"expected cases with different names, got {len(cases)} of {len(set(cases))} names")
    rng = np.random.default_rng(SEED) if rng is None else rng
    rules = rules or CalibrationRules()
    known = groups or {}
    patients = {case: known.get(case, case) for case in cases}
    book = _Book(rules)
    samples: list[Sample] = []
    for number, case in enumerate(cases):
        progress(number, 2 * len(cases), case)
        forecast = book.forecast(case, load)
        book.enter(case, forecast.counts(rules.bins))
        samples.append(forecast.sample(rng, _kept(len(cases), forecast.schema), rules.fit))
    temperature = fitted(samples, list(patients.values()))
    del samples
    warm = _Book(rules)
    for number, case in enumerate(cases, len(cases)):
        progress(number, 2 * len(cases), case)
        warm.enter(None, warm.forecast(case, load).counts(rules.bins, temperature.value))
    progress(2 * len(cases), 2 * len(cases), "")
    bootstrap = Bootstrap.drawn(list(patients.values()), rng)
    return CalibrationReport(
        title=title,
        rules=rules,
        cases=tuple(cases),
        groups=patients,
        names=book.names,
        scores=(*_scores(None, book.pool), *book.scores),
        over_cases=tuple(book.over_cases(bootstrap)),
        curves=tuple(book.curves()),
        temperature=temperature,
        after=tuple(_scores(None, warm.pool)),
    )


@dataclass
class _Book:
    """What was counted so far: the pool, and the little that is kept of each case."""

    rules: CalibrationRules
    names: tuple[str, ...] = ()
    pool: Counts = field(default_factory=dict)
    scores: list[Score] = field(default_factory=list)
    wide: list[dict[tuple[str, Where], Tally]] = field(default_factory=list)

    def forecast(self, case: str, load: Load) -> Forecast:
        reference, probabilities = load(case)
        forecast = Forecast.of(reference, probabilities, case, band_mm=self.rules.band_mm)
        if self.names and forecast.names != self.names:
            raise DataError(
                f"{case}: all cases have one label schema, got {', '.join(forecast.names)} after "
                f"{', '.join(self.names)}"
            )
        self.names = forecast.names
        return forecast

    def enter(self, case: str | None, counts: Counts) -> None:
        """Adds a case; one without a name only to the pool."""
        for key, found in counts.items():
            self.pool[key] = self.pool[key] + found if key in self.pool else found
        if case is not None:
            self.scores += _scores(case, counts)
            self.wide.append({key: found.wide for key, found in counts.items()})

    def over_cases(self, bootstrap: Bootstrap) -> Iterator[OverCases]:
        for name in self.names:
            for where in WHERE:
                mine = [s for s in self.scores if (s.name, s.where) == (name, where)]
                errors = np.array([s.ece for s in mine], float)
                excess = np.array([s.excess for s in mine if s.excess is not None])
                low, high = bootstrap.interval(errors) or (None, None)
                there = errors[~np.isnan(errors)]
                yield OverCases(
                    name=name,
                    where=where,
                    cases=len(there),
                    ece=float(there.mean()) if len(there) else None,
                    low=low,
                    high=high,
                    excess_sd=float(excess.std(ddof=1)) if len(excess) > 1 else None,
                )

    def curves(self) -> Iterator[Curve]:
        for (name, where), found in self.pool.items():
            tallies = [each[name, where] for each in self.wide]
            ends = edges(self.rules.bins)
            bins = [_bin(found.wide, tallies, n, ends[n], ends[n + 1]) for n in range(self.rules.bins)]
            yield Curve(name=name, where=where, bins=tuple(bins))


def _scores(case: str | None, counts: Counts) -> Iterator[Score]:
    for (name, where), found in counts.items():
        yield _score(case, name, where, found)


def _score(case: str | None, name: str, where: Where, found: Reliability) -> Score:
    return Score(
        case=case,
        name=name,
        where=where,
        voxels=found.n,
        ece=found.ece,
        ace=found.ace,
        mce=found.mce,
        adaptive=found.adaptive,
        brier=found.brier,
        nll=found.nll,
        forecast=found.forecast,
        frequency=found.frequency,
    )


def _bin(pool: Tally, cases: Sequence[Tally], n: int, low: float, high: float) -> Bin:
    count = pool.count[n]
    told = [each.true[n] / each.count[n] for each in cases if each.count[n] >= FEW_VOXELS]
    q1, q3 = np.quantile(told, (0.25, 0.75)) if told else (None, None)
    return Bin(
        low=low,
        high=high,
        voxels=int(count),
        forecast=float(pool.forecast[n] / count) if count else None,
        frequency=float(pool.true[n] / count) if count else None,
        cases=len(told),
        q1=None if q1 is None else float(q1),
        q3=None if q3 is None else float(q3),
    )


def _kept(cases: int, schema: LabelSchema) -> int:
    """Voxels of each kind and case that fit into memory."""
    outputs = len(schema.outputs) if schema.exclusive else 2
    return max(100, min(KEPT, SAMPLED // (2 * cases * outputs)))
