"""Showing: stress as a page."""

from __future__ import annotations

from collections.abc import Iterator

from delineate.evaluation.stress.measured import ALL, Stress, told
from delineate.evaluation.stress.plot import severity_plot
from delineate.page import Figure, Items, Section, Table, render_page, stacked

READING = (
    "Each panel is a shift; from left to right it grows from clean to severity 5, numbers below are its "
    "levels. Dashed: clean scans. Hollow: the first severity at which the model is broken."
)


def stress_page(stress: Stress) -> str:
    """The HTML of a page about all that was measured."""
    return render_page(
        stress.title,
        stress.verdict,
        tuple(stress_sections(stress)),
        figures=tuple(_figures(stress)),
        warnings=stress.notes,
        footer="Every number: stress.csv and stress.json beside this page.",
    )


def stress_sections(stress: Stress) -> Iterator[Section]:
    """The curves, the table of the mean of structures, one of each structure, and what was done."""
    yield Section("What breaks it", (severity_plot(stress), READING, _table(stress, None)))
    if len(stress.structures) > 1:
        for structure in stress.structures:
            yield Section(structure, (_table(stress, structure),))
    rows = [(kind.title, kind.definition, ", ".join(kind.levels)) for kind in stress.kinds]
    heads = ("shift", "what is done", "severities")
    yield Section("The shifts", (Table(heads, rows, words=frozenset({1, 2})),))
    yield Section("How this was found", (Items(stress.how),))


def _table(stress: Stress, structure: str | None) -> Table:
    heads, rows = stress.table(structure)
    if structure is not None:  # what is lost and where it breaks is told of the mean of structures
        heads, rows = heads[:-2], [row[:-2] for row in rows]
    cells = [[row[0], *(stacked(cell) for cell in row[1:])] for row in rows]
    return Table(heads, cells, f"Dice of {structure or ALL}, and its 95 % interval.")


def _figures(stress: Stress) -> Iterator[Figure]:
    clean = stress.cell("clean", 0, None)
    text = told(clean)
    yield Figure("Dice, clean", text.split(" [")[0], text.partition("[")[2].rstrip("]").replace(", ", " to "))
    first = stress.kinds[0]
    where = "at no severity" if first.breaks_at is None else f"at {first.levels[first.breaks_at - 1]}"
    yield Figure("breaks first", first.title if first.breaks_at else "nothing", where)
    broken = sum(kind.breaks_at is not None for kind in stress.kinds)
    yield Figure("broken by", f"{broken} of {len(stress.kinds)}", "kinds of shift")
    yield Figure("measured on", f"{stress.cases} case{'' if stress.cases == 1 else 's'}")
