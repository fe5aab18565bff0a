"""Bench: trainings of several methods under equal compute, and what may be concluded from them.

A method is a network, a loss and an optimizer; its seeds are trainings that differ in luck alone. Values of a
case are averaged over the seeds, methods are compared on the same cases, patient by patient, and p-values are
adjusted for every pair (Holm). How much luck there is stands beside: the spread over seeds, and how alike the
orders of the seeds are.

Source of the rules: Isensee 2024, doi:10.1007/978-3-031-72114-4_47, section 2 (what makes comparisons of
networks unfair: unequal data and pretraining, ensembles against single models, weak baselines, too few
datasets, compute that nobody tells).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np

from delineate.evaluation.comparison import Comparison, Contrast, Place, Terms, compare
from delineate.evaluation.comparison.comparison import in_words
from delineate.evaluation.comparison.seeds import averaged
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.scores import Overall, Report
from delineate.io.disk import write_text
from delineate.record import Record


class Trained(Record):
    """One training, and what it cost.

    teraflops  of the whole training, counted from its network
    mean       of the first metric: over structures of the means over cases
    """

    method: str
    seed: int
    network: str
    loss: str
    optimizer: str
    learning_rate: float
    configuration: str
    patch: tuple[int, ...]
    batch: int
    parameters: int
    steps: int
    minutes: float
    teraflops: float
    mean: float | None


class Method(Record):
    """A method over its seeds.

    mean, low, high  of the values of cases, averaged over seeds; the interval is over patients
    seed_sd          spread of the seeds' means; None for one seed
    """

    name: str
    seeds: tuple[int, ...]
    means: tuple[float | None, ...]
    mean: float | None
    low: float | None
    high: float | None
    seed_sd: float | None


class Bench(Record):
    """What was trained, how it was kept fair, and what came out; methods from the best to the worst.

    budget      what every training had, in words
    fairness    what was the same for all, one sentence each
    comparison  every pair of methods; None for a single one
    seed_tau    mean of Kendall's tau between the orders of two seeds: 1, luck plays no part
    failed      method and seed -> why there is no result
    """

    version: Literal[1] = 1
    title: str
    metric: str
    budget: str
    fairness: tuple[str, ...]
    trained: tuple[Trained, ...]
    methods: tuple[Method, ...]
    comparison: Comparison | None
    seed_tau: float | None
    failed: dict[str, str]

    @property
    def verdict(self) -> str:
        """Which method comes first, and whether that is proven."""
        if self.comparison is None:
            only = self.methods[0].name if self.methods else "none"
            return f"One method was trained, {only}: there is nothing to compare."
        verdict = self.comparison.verdict
        return verdict if verdict.endswith(".") else f"{verdict}."

    def to_csv(self) -> str:
        """A line per training."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(Trained.model_fields)
        for each in self.trained:
            values = each.model_dump().values()
            cells = (" x ".join(map(str, v)) if isinstance(v, tuple) else v for v in values)
            writer.writerow("" if v is None else repr(v) if isinstance(v, float) else v for v in cells)
        return text.getvalue()

    def to_markdown(self) -> str:
        """The verdict, the methods, what each training cost, who beats whom, and how it was kept fair."""
        parts = [self.verdict, markdown_table(*self.method_table()), markdown_table(*self.cost_table())]
        if self.comparison is not None and len(self.methods) > 1:
            parts += [f"### Row less column, {self.heading}", markdown_table(*self.pair_table())]
        parts.append("\n".join(f"- {line}" for line in (*self.warnings, *self.fairness, *self.how)))
        return "\n\n".join(parts) + "\n"

    def method_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows: each method with its mean, the luck in it, and how often it comes first."""
        heads = ("method", f"{self.heading} [95 %]", "seeds", "spread over seeds", "first in", "mean rank")
        places: dict[str, Place] = {}
        if self.comparison is not None and self.comparison.rankings:
            places = {place.name: place for place in self.comparison.rankings[0].places}
        rows: list[tuple[str, ...]] = []
        for method in self.methods:
            place = places.get(method.name)
            seeds = ", ".join(
                f"{s}: {'missing' if m is None else f'{m:.3f}'}"
                for s, m in zip(method.seeds, method.means, strict=True)
            )
            rows.append(
                (
                    method.name,
                    _interval(method),
                    seeds,
                    "-" if method.seed_sd is None else f"{method.seed_sd:.3f}",
                    "-" if place is None else f"{100 * place.first:.0f} % of draws",
                    "-" if place is None else f"{place.rank:.2f}",
                )
            )
        return heads, rows

    def cost_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows: what a training of each method was and cost, over seeds."""
        heads = ("method", "parameters", "patch, batch", "rule, rate", "steps", "minutes", "TFLOP")
        rows: list[tuple[str, ...]] = []
        for method in self.methods:
            mine = [each for each in self.trained if each.method == method.name]
            first = mine[0]
            rows.append(
                (
                    method.name,
                    f"{first.parameters / 1e6:.1f} M",
                    f"{' x '.join(map(str, first.patch))}, {first.batch}",
                    f"{first.optimizer}, {first.learning_rate:g}",
                    _range([each.steps for each in mine], "d"),
                    _range([each.minutes for each in mine], ".1f"),
                    _range([each.teraflops for each in mine], ".1f"),
                )
            )
        return heads, rows

    def pair_table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows: the row's method less the column's, * where the difference is proven."""
        names = tuple(method.name for method in self.methods)
        found = self._main_contrasts
        rows = []
        for row in names:
            cells = [_difference(found, row, column) for column in names]
            rows.append((row, *cells))
        return ("", *names), rows

    @property
    def _main_contrasts(self) -> dict[tuple[str, str], Contrast]:
        """Pair -> the contrast of the mean over structures by the first metric."""
        assert self.comparison is not None
        first: dict[tuple[str, str], Contrast] = {}
        for contrast in self.comparison.contrasts:
            if contrast.metric == self.metric:
                first.setdefault((contrast.first, contrast.second), contrast)
        return first

    @property
    def heading(self) -> str:
        """The first metric, as it stands above a column."""
        return self.metric if self.comparison is None else self.comparison.judged(self.metric).title

    @property
    def warnings(self) -> tuple[str, ...]:
        """What keeps this from being trusted."""
        found = [f"{name} has no result: {why}" for name, why in self.failed.items()]
        if self.methods and max(len(method.seeds) for method in self.methods) < 2:
            found.append("One seed: how much of a difference is luck is not known. Give two or more.")
        uneven = {len(method.seeds) for method in self.methods}
        if len(uneven) > 1:
            found.append("Methods have different numbers of seeds: those with fewer are known less well.")
        found += () if self.comparison is None else self.comparison.notes
        return tuple(found)

    @property
    def how(self) -> tuple[str, ...]:
        """How differences were found."""
        said = [
            "Of one dataset and one split of it: what holds elsewhere is not known from this.",
            "Values of a case are averaged over seeds before methods are compared.",
        ]
        if self.seed_tau is not None:
            said.append(f"Orders of two seeds are alike by a tau of {self.seed_tau:.2f} on average.")
        return (*said, *(() if self.comparison is None else self.comparison.how))


def bench_of(
    results: Mapping[str, Sequence[tuple[Trained, Report]]],
    *,
    title: str,
    metrics: Sequence[str],
    budget: str,
    fairness: Sequence[str],
    failed: Mapping[str, str],
    margin: float | None = None,
) -> Bench:
    """The bench of methods: for each its trainings, one per seed, with their reports on the same cases.

    metrics  the first leads; every metric and structure is one more chance to be wrong, and is paid for
    margin   a difference in the first metric that does not matter
    """
    reports = {name: averaged([report for _, report in found], name) for name, found in results.items()}
    main = metrics[0]
    methods = sorted(
        (_method(name, results[name], report, main) for name, report in reports.items()),
        key=lambda method: np.inf if method.mean is None else -_sign(main) * method.mean,
    )
    comparison = None
    if len(reports) > 1:
        terms = Terms(metrics=tuple(metrics), margins={} if margin is None else {main: margin})
        ordered = [reports[method.name] for method in methods]
        comparison = compare(*ordered, names=[method.name for method in methods], terms=terms)
    return Bench(
        title=title,
        metric=main,
        budget=budget,
        fairness=tuple(fairness),
        trained=tuple(trained for found in results.values() for trained, _ in found),
        methods=tuple(methods),
        comparison=comparison,
        seed_tau=_seed_tau(methods),
        failed=dict(failed),
    )


def write_bench(bench: Bench, folder: Path) -> None:
    """Writes bench.json, bench.csv and bench.md into a folder."""
    write_text(folder / "bench.json", bench.to_json())
    write_text(folder / "bench.csv", bench.to_csv())
    write_text(folder / "bench.md", f"# {bench.title}\n\n{bench.to_markdown()}")


def _method(name: str, found: Sequence[tuple[Trained, Report]], report: Report, metric: str) -> Method:
    overall: Overall = next(each for each in report.overall if each.metric == metric)
    means = [trained.mean for trained, _ in found]
    there = [mean for mean in means if mean is not None]
    return Method(
        name=name,
        seeds=tuple(trained.seed for trained, _ in found),
        means=tuple(means),
        mean=overall.mean,
        low=overall.ci_low,
        high=overall.ci_high,
        seed_sd=float(np.std(there, ddof=1)) if len(there) > 1 else None,
    )


def _sign(metric: str) -> int:
    from delineate.evaluation.measures import MEASURES

    return 1 if MEASURES[metric].best == "high" else -1


def _seed_tau(methods: Sequence[Method]) -> float | None:
    """How alike the orders of two seeds are, on average over pairs of seeds that all methods have."""
    shared = sorted(set.intersection(*(set(method.seeds) for method in methods))) if methods else []
    tables = [
        [dict(zip(method.seeds, method.means, strict=True))[seed] for method in methods] for seed in shared
    ]
    whole = [np.array(table, float) for table in tables if None not in table]
    if len(methods) < 2 or len(whole) < 2:
        return None
    one, other = np.triu_indices(len(methods), 1)
    signs = [np.sign(table[one] - table[other]) for table in whole]
    return float(np.mean([np.mean(a * b) for a, b in combinations(signs, 2)]))


def _interval(method: Method) -> str:
    if method.mean is None:
        return "missing"
    if method.low is None or method.high is None:
        return f"{method.mean:.3f}"
    return f"{method.mean:.3f} [{method.low:.3f}, {method.high:.3f}]"


def _range(values: Sequence[float], form: str) -> str:
    low, high = format(min(values), form), format(max(values), form)
    return low if low == high else f"{low} to {high}"


def _difference(found: Mapping[tuple[str, str], Contrast], row: str, column: str) -> str:
    if row == column:
        return "-"
    turned = (row, column) not in found
    contrast = found[(column, row) if turned else (row, column)]
    if contrast.difference is None:
        return "not compared"
    value = round(-contrast.difference if turned else contrast.difference, 3) + 0.0  # no minus zero
    p = "" if contrast.adjusted is None else f" (p {in_words(contrast.adjusted)})"
    return f"{value:+.3f}{'*' if contrast.better else ''}{p}"
