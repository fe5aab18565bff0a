"""Showing: a comparison as a page that opens anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from delineate.evaluation.comparison.comparison import Comparison, percent, rounded
from delineate.evaluation.comparison.plots import forest_plot, place_plot
from delineate.page import Cell, Figure, Items, Section, Table, render_page

READING = (
    "Right of zero the first is better, whatever the metric. The line is the interval of the difference; a "
    "filled dot is proven, a hollow one is not; shaded: the margin within which a difference does not matter."
)


def comparison_page(comparison: Comparison) -> str:
    """The HTML of a comparison: verdict, plots, tables, order, and how it was found."""
    names = comparison.names
    title = " and ".join([", ".join(names[:-1]), names[-1]])
    patients = "patient" if comparison.patients == 1 else "patients"
    cases = "case" if comparison.cases == 1 else "cases"
    return render_page(
        f"{title} compared",
        comparison.verdict,
        tuple(_sections(comparison)),
        figures=(
            *_figures(comparison),
            Figure(
                "compared on",
                f"{comparison.cases} {cases}",
                f"of {comparison.patients} {patients}",
            ),
        ),
        warnings=comparison.notes,
        footer="Every number: comparison.csv and comparison.json beside this page.",
    )


def _figures(comparison: Comparison) -> Iterator[Figure]:
    """Of two models their means by the first metric; of more, who comes first."""
    if comparison.rankings:
        for place in comparison.rankings[0].places:
            judged = comparison.judged(comparison.rankings[0].metric)
            share = f"first in {rounded(place.first)} of the draws"
            yield Figure(f"{place.name}, mean {judged.title}", judged.number(place.mean), share)
        return
    main = next((c for c in comparison.contrasts if c.difference is not None), None)
    if main is None or main.mean_first is None or main.mean_second is None:
        return
    judged = comparison.judged(main.metric)
    unit = "" if judged.unit == "1" else f" {judged.unit}"
    yield Figure(f"{main.first}, mean {judged.title}", judged.number(main.mean_first) + unit)
    yield Figure(f"{main.second}, mean {judged.title}", judged.number(main.mean_second) + unit)


def _sections(comparison: Comparison) -> Iterator[Section]:
    if comparison.rankings:
        drawn = [place_plot(ranking, comparison.judged(ranking.metric)) for ranking in comparison.rankings]
        heads, rows = comparison.ranking_table()
        caption = (
            "Tau: how alike the orders of the draws and of all patients are; 1 is the same, 0 unrelated."
        )
        yield Section("Order, if other patients had come", (*drawn, Table(heads, rows, caption)))
    for number, (first, second) in enumerate(combinations(comparison.names, 2)):
        plots = [forest_plot(comparison, first, second, judged.metric) for judged in comparison.metrics]
        reading = (READING,) if number == 0 else ()
        yield Section(f"{first} less {second}", (*reading, *plots, _table(comparison, first, second)))
    yield Section("How this was found", (Items(comparison.how),))


def _table(comparison: Comparison, first: str, second: str) -> Table:
    heads, rows = comparison.table(first, second)
    cells: list[list[Cell]] = []
    for row in rows:
        value, _, ends = row[4].partition(" [")
        patients, _, without = row[5].partition(" (")
        small = (value, ends.rstrip("]").replace(", ", " to ")), (patients, without.rstrip(")"))
        cells.append([*row[:4], *small, *row[6:]])
    return Table((*heads[:4], f"difference, {percent(comparison.terms.level)}", *heads[5:]), cells)
