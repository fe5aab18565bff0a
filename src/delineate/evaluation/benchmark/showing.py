"""Showing: a bench as a page."""

from __future__ import annotations

from collections.abc import Iterator

from delineate.evaluation.benchmark.bench import Bench
from delineate.evaluation.benchmark.plot import method_plot
from delineate.evaluation.comparison.plots import place_plot
from delineate.page import Cell, Figure, Items, Section, Table, render_page, stacked

READING = "Large: the mean over seeds with its interval over patients; small: the seeds."
PAIRS = "Row less column; * proven, p after Holm's correction for everything that was compared."
MOST = 8  # methods whose table of pairs fits on a page


def bench_page(bench: Bench) -> str:
    """The HTML of a page about all that was trained and compared."""
    return render_page(
        bench.title,
        bench.verdict,
        tuple(_sections(bench)),
        figures=tuple(_figures(bench)),
        warnings=bench.warnings,
        footer="Every number: bench.csv and bench.json beside this page.",
    )


def _sections(bench: Bench) -> Iterator[Section]:
    heads, rows = bench.method_table()
    table = Table(heads, [[stacked(cell) for cell in row] for row in rows])
    yield Section("How good", (method_plot(bench), READING, table))
    comparison = bench.comparison
    if comparison is not None and comparison.rankings:
        first = comparison.rankings[0]
        tau = "" if first.tau is None else f" Tau of the draws: {first.tau:.2f}; 1 is always the same order."
        plot = place_plot(first, comparison.judged(first.metric))
        yield Section("Would the order hold with other patients?", (plot, f"Patients drawn again.{tau}"))
    if comparison is not None:
        yield Section("Who beats whom", (*_pairs(bench), PAIRS))
    yield Section("What it cost", (Table(*bench.cost_table()),))
    yield Section("What was the same for all", (Items((bench.budget, *bench.fairness)),))
    yield Section("How this was found", (Items(bench.how),))


def _pairs(bench: Bench) -> Iterator[Table]:
    """The table of pairs; of many methods in parts, some columns each."""
    heads, rows = bench.pair_table()
    for start in range(1, len(heads), MOST):
        part = slice(start, start + MOST)
        cells: list[list[Cell]] = [[row[0], *(_split(cell) for cell in row[part])] for row in rows]
        yield Table((heads[0], *heads[part]), cells)


def _split(cell: str) -> tuple[str, str]:
    value, _, p = cell.partition(" (")
    return value, p.rstrip(")")


def _figures(bench: Bench) -> Iterator[Figure]:
    for place, method in enumerate(bench.methods[:3], 1):
        if method.mean is not None:
            below = "" if method.low is None else f"{method.low:.3f} to {method.high:.3f}"
            yield Figure(f"{place}. {method.name}", f"{method.mean:.3f}", below)
    yield Figure("trained", str(len(bench.trained)), bench.budget)
