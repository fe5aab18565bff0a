"""Subgroup plot: the mean of every group with its interval, a panel for each structure and metric."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from markupsafe import Markup

from delineate.evaluation.measures import MEASURES
from delineate.evaluation.plots import nice_step, safe
from delineate.evaluation.subgroups.split import Group, SplitTable, Subgroups, said

WIDTH, LEFT, RIGHT, BETWEEN = 720, 190, 16, 34
ROW, HEAD, TICKS, TOP, BOTTOM = 22, 26, 30, 46, 30
PREFERRED = ("dice", "hd95", "nsd")  # metrics shown, where they were measured
MOST = 3  # panels side by side
DOT = 4
LETTERS = 22  # of a name that fit beside its row
WORD = 44  # pixels of "better"
READING = "Mean and 95 % interval (patients); dashed: all; better, worse: proven; hollow: too few to say"


def interval_plot(subgroups: Subgroups) -> Markup:
    """Small panels: structures below each other, up to three metrics side by side, a row per group.

    A dot is the mean, its line the interval; hollow where there are too few patients to say anything; the
    dashed line is the mean of all. A group whose gap is proven says better or worse.
    """
    metrics = _shown(subgroups)
    structures = list(dict.fromkeys(table.structure for table in subgroups.tables))
    width = (WIDTH - LEFT - RIGHT - BETWEEN * (len(metrics) - 1)) / max(1, len(metrics))
    lefts = [LEFT + n * (width + BETWEEN) for n in range(len(metrics))]
    title = f"By {subgroups.column}"
    parts = [f'<text x="0" y="16" class="title">{safe(title)}</text>']
    parts += [_heading(metric, left + width / 2) for metric, left in zip(metrics, lefts, strict=True)]
    top = TOP
    for structure in structures:
        tables = [subgroups.table(structure, metric) for metric in metrics]
        parts.append(f'<text x="{LEFT - 12}" y="{top + 16}" class="name title">{safe(structure)}</text>')
        parts += _names(tables[0].groups, top + HEAD)
        for table, left in zip(tables, lefts, strict=True):
            parts += _Panel.of(table, left, width, top + HEAD).drawn()
        top += HEAD + ROW * len(tables[0].groups) + TICKS
    parts.append(f'<text x="0" y="{top + 10}">{READING}</text>')
    box = f'viewBox="0 0 {WIDTH} {top + BOTTOM}" role="img" aria-label="{safe(title)}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


def _shown(subgroups: Subgroups) -> tuple[str, ...]:
    measured = list(dict.fromkeys(table.metric for table in subgroups.tables))
    chosen = [metric for metric in PREFERRED if metric in measured]
    return tuple((chosen or measured)[:MOST])


def _heading(metric: str, x: float) -> str:
    measure = MEASURES[metric]
    title = measure.title + ("" if measure.unit == "1" else f" ({measure.unit})")
    return f'<text x="{x:.1f}" y="{TOP - 6}" class="tick">{safe(title)}</text>'


@dataclass(frozen=True)
class _Panel:
    """The rows of a table, and where its values lie."""

    table: SplitTable
    left: float
    width: float
    top: float
    steps: tuple[float, ...]

    @classmethod
    def of(cls, table: SplitTable, left: float, width: float, top: float) -> Self:
        """A panel that holds every interval; nice numbers at its ends."""
        found = [v for g in table.groups for v in (g.low, g.mean, g.high) if v is not None]
        low, high = (min(found), max(found)) if found else (0.0, 1.0)
        step = nice_step(max(high - low, 1e-3 * max(abs(low), abs(high), 1e-3)) / 3)
        first, last = np.floor(low / step), np.ceil(high / step)
        steps = np.arange(first, max(last, first + 1) + 1) * step
        return cls(table, left, width, top, tuple(round(float(value), 9) for value in steps))

    def x(self, value: float) -> float:
        """Where a value is."""
        low, high = self.steps[0], self.steps[-1]
        return self.left + self.width * (value - low) / (high - low)

    def drawn(self) -> Iterator[str]:
        """The panel."""
        bottom = self.top + ROW * len(self.table.groups)
        close = self.width / (len(self.steps) - 1) < 36
        for number, step in enumerate(self.steps):
            x = f"{self.x(step):.1f}"
            yield f'<line x1="{x}" x2="{x}" y1="{self.top}" y2="{bottom}" class="grid"/>'
            if not (close and number % 2):
                yield f'<text x="{x}" y="{bottom + 15}" class="tick">{step:g}</text>'
        if self.table.mean is not None:
            x = f"{self.x(self.table.mean):.1f}"
            yield f'<line x1="{x}" x2="{x}" y1="{self.top}" y2="{bottom}" class="limit"/>'
        for number, group in enumerate(self.table.groups):
            yield from self._row(group, self.top + ROW * (number + 0.5))

    def _row(self, group: Group, y: float) -> Iterator[str]:
        if group.mean is None:
            yield f'<text x="{self.left + self.width / 2:.1f}" y="{y + 4:.1f}" class="tick">no values</text>'
            return
        x = self.x(group.mean)
        ends = (x, x)
        if group.low is not None and group.high is not None:
            ends = self.x(group.low), self.x(group.high)
            yield f'<line x1="{ends[0]:.1f}" x2="{ends[1]:.1f}" y1="{y:.1f}" y2="{y:.1f}" class="whisker"/>'
        finding = said(group, self.table.metric)
        told = f"{group.name}: {group.mean:.3f}, {group.patients} patients, {finding}"
        kind = "few" if group.finding == "too few to say" else "dot"
        where = f'cx="{x:.1f}" cy="{y:.1f}" r="{DOT}"'
        yield f'<circle {where} class="{kind}"><title>{safe(told)}</title></circle>'
        if group.finding == "proven":
            yield self._word(finding.removeprefix("proven: "), group, ends, y)

    def _word(self, word: str, group: Group, ends: tuple[float, float], y: float) -> str:
        """Better or worse, on the side away from the mean of all if there is room."""
        room = ends[0] - self.left, self.left + self.width - ends[1]
        away = 0 if (group.gap or 0) < 0 else 1
        side = away if room[away] > WORD else 1 - away
        x = ends[0] - 7 if side == 0 else ends[1] + 7
        anchor = ("end", "start")[side]
        return f'<text x="{x:.1f}" y="{y + 4:.1f}" class="mark" text-anchor="{anchor}">{word}</text>'


def _names(groups: Sequence[Group], top: float) -> Iterator[str]:
    for number, group in enumerate(groups):
        name = group.name if len(group.name) <= LETTERS else group.name[: LETTERS - 1] + "…"
        yield (
            f'<text x="{LEFT - 12}" y="{top + ROW * (number + 0.5) + 4:.1f}" class="name">'
            f"{safe(name)} ({group.patients})<title>{safe(group.name)}</title></text>"
        )
