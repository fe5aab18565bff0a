"""Comparison: which of several models is better, and whether that is proven.

Everything that is looked at is counted: each structure and each metric, and each pair of models, is one more
chance to be wrong, so p-values are adjusted for all of them (Holm). "Better, proven" means that with the
chance that the level names, nothing in the whole table is called better by luck.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from delineate.errors import DataError
from delineate.evaluation.comparison.aligned import Judged, Missing
from delineate.evaluation.comparison.contrast import Contrast
from delineate.evaluation.comparison.paired import PairedTest
from delineate.evaluation.comparison.ranking import Ranking
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.statistics import INTERVALS, LEVEL, METHOD, IntervalMethod
from delineate.io.disk import write_text
from delineate.record import Record

TESTS: dict[PairedTest, str] = {
    "permutation": "sign flips of patients",
    "wilcoxon": "Wilcoxon's signed ranks of patients",
}
MISSING: dict[Missing, str] = {
    "left out": "a case counts only where both have a value",
    "judged": "a value that only one model lacks is the best where it rightly found nothing, else the worst",
}
Rows = list[tuple[str, ...]]
ALL = "mean of structures"


class Terms(Record):
    """How models are compared, to be chosen before the numbers are seen.

    metrics   None: Dice, NSD, HD95 and the size of the relative volume error, as far as they were measured
    margins   metric -> the largest difference that does not matter, in the unit of the metric
    missing   what a case is in which just one of two models has a value
    common    compare on the cases that all have, instead of refusing where they differ
    """

    metrics: tuple[str, ...] | None = None
    margins: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    test: PairedTest = "permutation"
    interval: IntervalMethod = METHOD
    level: Annotated[float, Field(gt=0.5, lt=1)] = LEVEL
    missing: Missing = "left out"
    common: bool = False


class Comparison(Record):
    """What several reports say of their models. The first of the metrics leads the verdict.

    contrasts  every pair of models by every metric, of every structure and of their mean
    rankings   by every metric, where there are more than two models
    notes      what was left out or decided, and what keeps this from being trusted
    """

    version: Literal[1] = 1
    names: tuple[str, ...]
    terms: Terms
    metrics: tuple[Judged, ...]
    structures: tuple[str, ...]
    cases: int
    patients: int
    contrasts: tuple[Contrast, ...]
    rankings: tuple[Ranking, ...]
    notes: tuple[str, ...]

    def judged(self, metric: str) -> Judged:
        """A metric of the comparison."""
        return next(each for each in self.metrics if each.metric == metric)

    def between(self, first: str, second: str) -> tuple[Contrast, ...]:
        """The contrasts of two models, in the order in which they were named."""
        return tuple(c for c in self.contrasts if (c.first, c.second) == (first, second))

    def contrast(self, structure: str | None, metric: str) -> Contrast:
        """The contrast of the first two models; None is the mean of all structures."""
        for found in self.between(*self.names[:2]):
            if (found.structure, found.metric) == (structure, metric):
                return found
        raise DataError(
            f"nothing was compared by {metric!r} of {structure or ALL!r}; structures are "
            f"{', '.join(self.structures)} and metrics {', '.join(m.metric for m in self.metrics)}"
        )

    @property
    def verdicts(self) -> tuple[str, ...]:
        """A sentence for every pair of models."""
        return tuple(self._sentence(*pair) for pair in combinations(self.names, 2))

    @property
    def verdict(self) -> str:
        """All of it in a sentence or two."""
        if not self.rankings:
            return self.verdicts[0] if len(self.names) == 2 else "; ".join(self.verdicts)
        return self._leader(self.rankings[0])

    def _sentence(self, first: str, second: str) -> str:
        """Which of two models is better, and what it rests on."""
        found = [c for c in self.between(first, second) if c.outcome != "not compared"]
        if not found:
            return f"{first} and {second} cannot be compared: no case has a value of both."
        wins = {name: [c for c in found if c.better == name] for name in (first, second)}
        main = found[0]
        resting = f"{self._name(main)}: {self._means(main)}"
        if wins[first] and wins[second]:
            shown = (f"{name} by {self._name(wins[name][0])}" for name in (first, second))
            return f"Each is better at something, proven: {' and '.join(shown)}; {resting}."
        for name in (first, second):
            if wins[name]:
                other = second if name == first else first
                count = f"in {len(wins[name])} of {len(found)} comparisons, {other} in none"
                return f"{name} is better, proven: {count}; {resting}."
        if all(c.outcome == "equivalent" for c in found):
            return f"{first} and {second} are equivalent within the margins that were named; {resting}."
        return f"No difference between {first} and {second} is proven; {resting}."

    def _leader(self, ranking: Ranking) -> str:
        """Who comes first, and over whom that is proven."""
        leader, *others = ranking.names
        beaten = {c.second if c.better == c.first else c.first for c in self.contrasts if c.better == leader}
        lost = {c.better for c in self.contrasts if c.better and leader in (c.first, c.second)} - {leader}
        over = [name for name in others if name in beaten - lost]
        proven = f"proven better than {_listed(over)}" if over else "proven better than none of the others"
        if over and len(over) < len(others):
            proven += f", not than {_listed([name for name in others if name not in over])}"
        share = rounded(ranking.places[0].first)
        where = f"by mean {self.judged(ranking.metric).title} and in {share} of the draws"
        return f"{leader} comes first {where}, {proven}."

    def _name(self, contrast: Contrast) -> str:
        structure = contrast.structure or ALL
        title = self.judged(contrast.metric).title
        return title if len(self.structures) == 1 else f"{title} ({structure})"

    def _means(self, contrast: Contrast) -> str:
        judged = self.judged(contrast.metric)
        means = [judged.number(m) for m in (contrast.mean_first, contrast.mean_second) if m is not None]
        return f"{' against '.join(means)}, {contrast.numbers(judged)}"

    def to_csv(self) -> str:
        """Every contrast as comma-separated values; a missing value is an empty field."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        fields = [name for name in Contrast.model_fields if name != "structure"]
        writer.writerow(("structure", *fields))
        for contrast in self.contrasts:
            values = (getattr(contrast, name) for name in fields)
            cells = ("" if v is None else repr(v) if isinstance(v, float) else v for v in values)
            writer.writerow((contrast.structure or ALL, *cells))
        return text.getvalue()

    def to_markdown(self) -> str:
        """The verdict, a table of every pair, the rankings, and how it was found."""
        parts = [self.verdict]
        for pair in combinations(self.names, 2):
            heads, rows = self.table(*pair)
            title = [f"### {pair[0]} and {pair[1]}"] if len(self.names) > 2 else []
            parts += [*title, markdown_table(heads, rows)]
        if self.rankings:
            heads, rows = self.ranking_table()
            parts += ["### Order", markdown_table(heads, rows)]
        parts.append("\n".join(f"- {note}" for note in (*self.notes, *self.how)))
        return "\n\n".join(parts) + "\n"

    def table(self, first: str, second: str) -> tuple[tuple[str, ...], Rows]:
        """Heads and rows of the contrasts of two models."""
        level = percent(self.terms.level)
        heads = ("structure", "metric", first, second, f"difference [{level}]", "patients", "p", "verdict")
        return heads, [self._row(contrast) for contrast in self.between(first, second)]

    def _row(self, contrast: Contrast) -> tuple[str, ...]:
        judged = self.judged(contrast.metric)

        def told(value: float | None) -> str:
            return "missing" if value is None else judged.number(value)

        ends = f" [{told(contrast.low)}, {told(contrast.high)}]" if contrast.low is not None else ""
        alone = contrast.only_first + contrast.only_second
        without = f" ({alone} value{'' if alone == 1 else 's'} without a partner)" if alone else ""
        return (
            contrast.structure or ALL,
            judged.heading,
            told(contrast.mean_first),
            told(contrast.mean_second),
            told(contrast.difference) + ends,
            f"{contrast.patients}{without}",
            "-" if contrast.adjusted is None else in_words(contrast.adjusted),
            _short(contrast),
        )

    def ranking_table(self) -> tuple[tuple[str, ...], Rows]:
        """Heads and rows of the rankings."""
        heads = ("metric", "place", "model", "mean", "first in", "mean rank in cases", "tau")
        rows: Rows = []
        for ranking in self.rankings:
            judged = self.judged(ranking.metric)
            tau = "-" if ranking.tau is None else f"{ranking.tau:.2f}"
            for place in ranking.places:
                numbers = (
                    judged.number(place.mean),
                    f"{rounded(place.first)} of draws",
                    f"{place.rank:.2f}",
                    tau,
                )
                rows.append((judged.heading, str(place.place), place.name, *numbers))
        return heads, rows

    @property
    def how(self) -> tuple[str, ...]:
        """How it was found, in sentences."""
        tested = sum(contrast.p is not None for contrast in self.contrasts)
        said = [
            f"{self.cases} cases of {self.patients} patients; {MISSING[self.terms.missing]}.",
            f"p: {TESTS[self.terms.test]}, two-sided, adjusted for {tested} comparisons (Holm).",
            f"Intervals: {percent(self.terms.level)}, {INTERVALS[self.terms.interval]}; each by itself.",
            f"Proven: p below {1 - self.terms.level:.2g} and the interval of the difference without zero.",
        ]
        said.append("Of these models, not of the ways in which they were trained: train each several times.")
        if self.terms.margins:
            named = ", ".join(f"{self.judged(m).title} {v:g}" for m, v in self.terms.margins.items())
            said.append(f"Equivalent: the interval lies within the margin ({named}).")
        return (*said, *(f"{m.title}: {m.definition}." for m in self.metrics))


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Writes comparison.json, comparison.csv and comparison.md into a folder."""
    write_text(folder / "comparison.json", comparison.to_json())
    write_text(folder / "comparison.csv", comparison.to_csv())
    write_text(folder / "comparison.md", f"# {_title(comparison)}\n\n{comparison.to_markdown()}")


def percent(level: float) -> str:
    """A level as one writes it."""
    return f"{100 * level:.3g} %"


def rounded(share: float) -> str:
    """A share of draws, which are too few for more than whole per cent."""
    return f"{100 * share:.0f} %"


def in_words(p: float) -> str:
    """A p-value as one writes it."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _title(comparison: Comparison) -> str:
    return _listed(comparison.names) + " compared"


def _listed(names: Sequence[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _short(contrast: Contrast) -> str:
    """The outcome in a few words."""
    match contrast.outcome:
        case "first better" | "second better":
            return f"{contrast.better} better, proven"
        case "equivalent":
            return f"equivalent within {contrast.margin:g}"
        case "not proven":
            return "no difference proven"
    return "not compared"
