"""Comparison plots: differences with their intervals, and how often each model comes at which place."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Self

import numpy as np
from markupsafe import Markup

from delineate.evaluation.comparison.aligned import Judged
from delineate.evaluation.comparison.comparison import ALL, Comparison, rounded
from delineate.evaluation.comparison.contrast import Contrast
from delineate.evaluation.comparison.ranking import Ranking
from delineate.evaluation.plots import nice_step, safe

WIDTH, LEFT, RIGHT = 720, 176, 190
ROW, TOP, BOTTOM, SIDES = 26, 34, 24, 20
DOT, END = 4.5, 4.0
LETTERS = 24  # of a name that fit beside its row
MARGIN_SHOWN = 3  # a margin is drawn unless it is so many times as wide as all intervals
COLUMN, BLOB = 112, 15  # of the plot of places


def forest_plot(comparison: Comparison, first: str, second: str, metric: str) -> Markup:
    """The differences of two models by one metric: the mean of structures above, then each structure.

    Right of zero the first is better, whatever the metric. Filled: proven; hollow: not; shaded: the margin.
    """
    judged = comparison.judged(metric)
    rows = [c for c in comparison.between(first, second) if c.metric == metric]
    plot = _Forest.of(rows, judged)
    height = TOP + ROW * len(rows) + BOTTOM + SIDES
    title = f"{judged.heading}: {first} less {second}"
    parts = [f'<text x="{LEFT}" y="16" class="title">{safe(_short(title, 64))}</text>', *plot.ground()]
    for number, contrast in enumerate(rows):
        parts += plot.row(contrast, TOP + ROW * (number + 0.5))
    sides = ((LEFT, "start", f"← {second} better"), (WIDTH - RIGHT, "end", f"{first} better →"))
    parts += [
        f'<text x="{x}" y="{height - 6}" text-anchor="{anchor}">{safe(_short(said, 30))}</text>'
        for x, anchor, said in sides
    ]
    return _drawing(parts, height, title)


def place_plot(ranking: Ranking, judged: Judged) -> Markup:
    """In what share of the draws each model comes at which place: the larger the dot, the more often."""
    count = len(ranking.places)
    column = min(COLUMN, (WIDTH - LEFT) / count)
    row = 2 * BLOB + 4
    height = TOP + 18 + row * count
    title = f"{judged.title}: place in bootstrap draws"
    parts = [f'<text x="{LEFT}" y="16" class="title">{safe(title)}</text>']
    for place in range(count):
        x = round(LEFT + column * (place + 0.3), 1)
        parts.append(f'<text x="{x}" y="{TOP + 6}" class="tick">{_ordinal(place + 1)}</text>')
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP + 14}" y2="{height}" class="grid"/>')
    for number, model in enumerate(ranking.places):
        y = TOP + 18 + row * (number + 0.5)
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4}" class="name">{safe(_short(model.name))}</text>')
        for place, share in enumerate(model.shares):
            parts += _blob(round(LEFT + column * (place + 0.3), 1), y, share, numbered=column > 4 * BLOB)
    return _drawing(parts, height, title)


def _blob(x: float, y: float, share: float, *, numbered: bool) -> Iterator[str]:
    if share < 0.005:
        return
    radius = BLOB * sqrt(share)
    yield f'<circle cx="{x}" cy="{y}" r="{radius:.1f}" class="box"><title>{share:.1%}</title></circle>'
    if numbered:
        yield f'<text x="{x + BLOB + 5}" y="{y + 4}">{rounded(share)}</text>'


@dataclass(frozen=True)
class _Forest:
    """Where a difference lies; turned around where less is better."""

    judged: Judged
    rows: int
    steps: tuple[float, ...]
    margin: float | None

    @classmethod
    def of(cls, rows: Sequence[Contrast], judged: Judged) -> Self:
        """An axis that holds every interval and zero, with nice numbers at its ends."""
        found = [v for c in rows for v in (c.low, c.difference, c.high) if v is not None]
        margin = rows[0].margin if rows else None
        reach = max((abs(v) for v in found), default=0.0)
        if margin is not None and margin > MARGIN_SHOWN * reach > 0:
            margin = None  # as wide as the plot, it would only make the intervals small
        held = [0.0, *found, *([-margin, margin] if margin is not None else [])]
        spread = max(held) - min(held)
        step = nice_step((spread or 0.1) / 4)
        first, last = np.floor(min(held) / step), np.ceil(max(held) / step)
        steps = np.arange(first, max(last, first + 1) + 1) * step
        return cls(judged, len(rows), tuple(round(float(value), 9) for value in steps), margin)

    def x(self, value: float) -> float:
        """Where a difference is."""
        low, high = self.steps[0], self.steps[-1]
        share = (value - low) / (high - low)
        return LEFT + (WIDTH - LEFT - RIGHT) * (share if self.judged.best == "high" else 1 - share)

    def ground(self) -> Iterator[str]:
        """The margin, the grid and the line of no difference."""
        bottom = TOP + ROW * self.rows
        if self.margin is not None:
            left, right = sorted((self.x(-self.margin), self.x(self.margin)))
            size = f'width="{right - left:.1f}" height="{bottom - TOP}"'
            yield f'<rect x="{left:.1f}" y="{TOP}" {size} class="band"><title>margin</title></rect>'
        for step in self.steps:
            x, kind = f"{self.x(step):.1f}", "zero" if step == 0 else "grid"
            yield f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}" class="{kind}"/>'
            yield f'<text x="{x}" y="{bottom + 15}" class="tick">{step:g}</text>'

    def row(self, contrast: Contrast, y: float) -> Iterator[str]:
        """The name, the interval and the numbers of a contrast."""
        name = contrast.structure or ALL
        yield f'<text x="{LEFT - 12}" y="{y + 4:.1f}" class="name">{safe(_short(name))}</text>'
        if contrast.difference is None:
            yield f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">not compared</text>'
            return
        told = f"{name}: {contrast.verdict(self.judged)}"
        numbers = self.judged.number(contrast.difference)
        if contrast.low is not None and contrast.high is not None:
            numbers += f" ({self.judged.number(contrast.low)} to {self.judged.number(contrast.high)})"
            yield from _whisker(self.x(contrast.low), self.x(contrast.high), y)
        where = f'cx="{self.x(contrast.difference):.1f}" cy="{y:.1f}" r="{DOT}"'
        kind = "dot" if contrast.better else "few"
        yield f'<circle {where} class="{kind}"><title>{safe(told)}</title></circle>'
        yield f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">{numbers}</text>'


def _whisker(one: float, other: float, y: float) -> Iterator[str]:
    yield f'<line x1="{one:.1f}" x2="{other:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="whisker"/>'
    for x in (one, other):
        yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y - END:.1f}" y2="{y + END:.1f}" class="whisker"/>'


def _drawing(parts: Sequence[str], height: float, title: str) -> Markup:
    box = f'viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{safe(title)}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


def _short(name: str, letters: int = LETTERS) -> str:
    return name if len(name) <= letters else name[: letters - 1] + "…"


def _ordinal(place: int) -> str:
    return {1: "first", 2: "second", 3: "third"}.get(place, f"{place}th")
