"""Overlap plot: what each label of the reference was called, as a grid of squares in SVG.

A row for each label of the reference, a column for what it was called; the darker, the larger the share of
the row. Hovering a square says how much that is.
"""

from __future__ import annotations

import numpy as np
from markupsafe import Markup

from delineate.evaluation.overlap import ConfusionTable
from delineate.evaluation.plots import safe
from delineate.page import Section

WIDTH, LEFT, TOP, RIGHT, BOTTOM = 720, 170, 120, 24, 12
LARGEST = 46  # edge of a square
WRITTEN = 30  # squares with a longer edge have their share written in them
DARKEST = 0.65  # so that what is written on it can be read
SEEN = 0.0005  # smaller shares are not written


def confusion_plot(table: ConfusionTable) -> Markup:
    """The shares of every row; a label that the reference does not have has an empty row."""
    count = len(table.names)
    edge = min(LARGEST, (WIDTH - LEFT - RIGHT) / count)
    height = TOP + edge * count + BOTTOM
    cases = f"{table.cases} case{'' if table.cases == 1 else 's'}"
    title = f"Called what? Share of each reference label, {cases}"
    size = min(12.0, 0.9 * edge)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{safe(title)}">',
        f'<text x="{LEFT}" y="18" class="title">{safe(title)}</text>',
    ]
    for number, name in enumerate(table.names):
        middle = edge * (number + 0.5)
        parts.append(
            f'<text x="{LEFT - 12}" y="{TOP + middle + size / 3:.1f}" class="name" '
            f'style="font-size: {size:.1f}px">{safe(name)}</text>'
            f'<text transform="translate({LEFT + middle + size / 3:.1f} {TOP - 8}) rotate(-60)" '
            f'style="font-size: {size:.1f}px">{safe(name)}</text>'
        )
    for (row, column), share in np.ndenumerate(table.shares):
        if not np.isnan(share) and share > 0:
            parts.append(_square(table, int(row), int(column), float(share), edge))
    return Markup("\n".join([*parts, "</svg>"]))


def confusion_section(table: ConfusionTable) -> Section:
    """What each label was called, over all cases."""
    caption = (
        "Rows are the labels of the reference, columns what they were called; percent of the row's volume. "
        "The row of the background is what was invented."
    )
    return Section("Mistaken for each other", (caption, confusion_plot(table)))


def _square(table: ConfusionTable, row: int, column: int, share: float, edge: float) -> str:
    x, y = LEFT + edge * column, TOP + edge * row
    ml = table.mm3[row][column] / 1000
    told = f"{table.names[row]} called {table.names[column]}: {share:.2%}, {ml:.3g} ml"
    square = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{edge:.1f}" height="{edge:.1f}" class="{_kind(row, column)}" '
        f'style="fill-opacity: {DARKEST * share:.3f}"><title>{safe(told)}</title></rect>'
    )
    if edge < WRITTEN or share < SEEN:
        return square
    return square + (
        f'<text x="{x + edge / 2:.1f}" y="{y + edge / 2 + 4:.1f}" class="cell">{100 * share:.3g}</text>'
    )


def _kind(row: int, column: int) -> str:
    return "right" if row == column else "wrong"
