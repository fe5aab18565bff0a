"""Trial: reports of several models become one comparison."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.comparison.aligned import Aligned, Judged
from delineate.evaluation.comparison.comparison import Comparison, Terms
from delineate.evaluation.comparison.contrast import Contrast, Evidence, judged_by
from delineate.evaluation.comparison.paired import holm, permutation_p, smallest_p, wilcoxon_p
from delineate.evaluation.comparison.ranking import Ranking, rank
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import Bootstrap, Numbers

SEED = 20211  # of the draws: the same comparison twice


def compare(
    first: Report,
    second: Report,
    *others: Report,
    names: Sequence[str] | None = None,
    terms: Terms | None = None,
    rng: np.random.Generator | None = None,
) -> Comparison:
    """Which of several models is better, from their reports on the same cases.

    names  of the models, in the same order; None: the titles of the reports
    rng    draws patients and signs; None draws the same ones every time

    Raises:
        DataError: the reports are not about the same cases, references, structures or rules.
    """
    terms = terms or Terms()
    rng = np.random.default_rng(SEED) if rng is None else rng
    reports = (first, second, *others)
    aligned = Aligned.of(dict(zip(_names(reports, names), reports, strict=True)), common=terms.common)
    metrics = aligned.metrics(terms.metrics)
    _known_margins(terms, metrics)
    bootstrap = Bootstrap.drawn([aligned.groups[case] for case in aligned.cases], rng)
    tables = {judged.metric: aligned.values(judged, terms.missing) for judged in metrics}
    evidence = [e for j in metrics for e in _contrasted(aligned, tables[j.metric], j, bootstrap, terms)]
    comparison = Comparison(
        names=tuple(aligned.reports),
        terms=terms,
        metrics=metrics,
        structures=aligned.structures,
        cases=len(aligned.cases),
        patients=bootstrap.groups,
        contrasts=_tested(evidence, metrics, terms, rng),
        rankings=_ranked(tuple(aligned.reports), tables, metrics, bootstrap) if others else (),
        notes=aligned.notes,
    )
    return comparison.but(notes=(*aligned.notes, *_doubts(comparison)))


def _contrasted(
    aligned: Aligned, values: Numbers, judged: Judged, bootstrap: Bootstrap, terms: Terms
) -> Iterator[Evidence]:
    """The evidence by one metric: of every pair of models the mean of structures, then each structure."""
    names = tuple(aligned.reports)
    for one, other in combinations(range(len(names)), 2):
        blank = Contrast(
            first=names[one],
            second=names[other],
            structure=None,
            metric=judged.metric,
            pairs=0,
            patients=0,
            only_first=0,
            only_second=0,
            margin=terms.margins.get(judged.metric),
        )
        single = [
            Evidence.of(blank.but(structure=structure), values[one, n], values[other, n], bootstrap)
            for n, structure in enumerate(aligned.structures)
        ]
        parts = single if len(single) == 1 else [Evidence.average(blank, single), *single]
        for part in parts:
            yield Evidence(part.weighed(judged.best, terms.interval, terms.level), part.differences)


def _ranked(
    names: tuple[str, ...], tables: Mapping[str, Numbers], metrics: Sequence[Judged], bootstrap: Bootstrap
) -> tuple[Ranking, ...]:
    found = (rank(names, tables[j.metric], bootstrap, metric=j.metric, best=j.best) for j in metrics)
    return tuple(ranking for ranking in found if ranking is not None)


def _tested(
    evidence: Sequence[Evidence], metrics: Sequence[Judged], terms: Terms, rng: np.random.Generator
) -> tuple[Contrast, ...]:
    """The contrasts with their p-values, adjusted for all of them."""
    best = {judged.metric: judged.best for judged in metrics}
    there = [e.differences for e in evidence if e.differences is not None]
    found = permutation_p(there, rng) if terms.test == "permutation" else [wilcoxon_p(d) for d in there]
    in_turn = iter(found)
    p = [None if e.differences is None else next(in_turn) for e in evidence]
    contrasts = []
    for each, plain, adjusted in zip(evidence, p, holm(p), strict=True):
        outcome = judged_by(each.contrast, adjusted, best[each.contrast.metric], terms.level)
        contrasts.append(each.contrast.but(p=plain, adjusted=adjusted, outcome=outcome))
    return tuple(contrasts)


def _doubts(comparison: Comparison) -> Iterator[str]:
    """What keeps a comparison from being trusted, or from being able to prove anything."""
    tested = [contrast for contrast in comparison.contrasts if contrast.p is not None]
    most = max((contrast.patients for contrast in tested), default=0)
    if tested and smallest_p(most) * len(tested) >= 1 - comparison.terms.level:
        yield (
            f"With {most} patient{'' if most == 1 else 's'} and {len(tested)} comparisons nothing could be "
            f"proven, whatever the models: no p-value is smaller than {smallest_p(most):.3g}."
        )
    if comparison.terms.missing == "left out":
        yield from _lopsided(comparison)
    for ranking in comparison.rankings:
        if not ranking.is_the_same_by_ranks:
            title = comparison.judged(ranking.metric).title
            yield f"By {title} the order is another one if ranks in cases are averaged instead of values."


def _lopsided(comparison: Comparison) -> Iterator[str]:
    """Values that only one of two models has: often those of cases that the other failed in."""
    for judged in comparison.metrics:
        alone: dict[tuple[str, str], int] = {}
        for c in comparison.contrasts:
            if c.metric == judged.metric and c.structure is not None:
                for here, there, count in (
                    (c.first, c.second, c.only_first),
                    (c.second, c.first, c.only_second),
                ):
                    alone[here, there] = alone.get((here, there), 0) + count
        told = [
            f"{count} of {here} where {there} has none" for (here, there), count in alone.items() if count
        ]
        if told:
            yield (
                f"{judged.title}: values without a partner are left out: {', '.join(told)}. "
                "A model that fails in hard cases looks better for it."
            )


def _names(reports: Sequence[Report], names: Sequence[str] | None) -> tuple[str, ...]:
    """A name for each model, all different."""
    titles = [report.title for report in reports]
    if names is None and len(set(titles)) == len(titles):
        return tuple(titles)
    chosen = tuple(names) if names is not None else tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: len(reports)])
    if len(chosen) != len(reports) or len(set(chosen)) != len(chosen):
        raise DataError(f"expected {len(reports)} different names of models, got {', '.join(chosen)}")
    return chosen


def _known_margins(terms: Terms, metrics: Sequence[Judged]) -> None:
    unknown = [name for name in terms.margins if name not in {judged.metric for judged in metrics}]
    if unknown:
        raise DataError(
            f"a margin was named for {', '.join(unknown)}, which is not compared; compared are "
            f"{', '.join(judged.metric for judged in metrics)}."
        )
