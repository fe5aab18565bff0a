"""Stress plot: a small panel for each kind of shift, Dice from clean to the highest severity."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from markupsafe import Markup

from delineate.evaluation.plots import nice_step, safe
from delineate.evaluation.stress.measured import Cell, KindResult, Stress

COLUMNS, WIDE, HIGH = 4, 158, 118
WIDTH, LEFT, TOP, BETWEEN, HEAD, FOOT = 720, 34, 24, 12, 20, 26
DOT = 3.2


def severity_plot(stress: Stress) -> Markup:
    """Small panels in the order in which kinds break the model.

    Line and bars: the mean over structures with its 95 % interval; dashed: clean scans; marked: where it
    breaks. All panels share one scale.
    """
    low, ticks = _scale(stress)
    rows = -(-len(stress.kinds) // COLUMNS)
    height = TOP + rows * (HEAD + HIGH + FOOT)
    title = "Dice by severity, mean of structures"
    parts = [f'<text x="0" y="14" class="title">{title}</text>']
    for number, kind in enumerate(stress.kinds):
        row, column = divmod(number, COLUMNS)
        x = LEFT + column * (WIDE + BETWEEN)
        y = TOP + HEAD + row * (HEAD + HIGH + FOOT)
        parts += _Panel(stress, kind, x, y, low, ticks, labelled=column == 0).drawn()
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


def _scale(stress: Stress) -> tuple[float, list[float]]:
    found = [c.mean for c in (*stress.clean, *stress.cells) if c.structure is None and c.metric == "dice"]
    least = min((value for value in found if value is not None), default=0.0)
    step = nice_step(max(1 - least, 0.05) / 3)
    count = int(-(-(1 - least) // step))
    low = max(0.0, 1 - count * step)
    return low, [round(1 - n * step, 6) for n in range(count + 1) if 1 - n * step >= low - 1e-9]


class _Panel:
    """One kind: where it is drawn, and on what scale."""

    def __init__(
        self,
        stress: Stress,
        kind: KindResult,
        left: float,
        top: float,
        low: float,
        ticks: list[float],
        *,
        labelled: bool,
    ) -> None:
        self.stress, self.kind, self.left, self.top = stress, kind, left, top
        self.low, self.ticks, self.labelled = low, ticks, labelled

    def drawn(self) -> Iterator[str]:
        """The panel."""
        yield f'<text x="{self.left}" y="{self.top - 6}">{safe(self.kind.title)}</text>'
        yield from self._ground()
        cells = [self.stress.cell(self.kind.kind, n, None) for n in range(len(self.kind.levels) + 1)]
        points = [(self._x(c.severity), self._y(c.mean)) for c in cells if c.mean is not None]
        for (x1, y1), (x2, y2) in pairwise(points):
            yield f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="curve"/>'
        for cell in cells:
            yield from self._point(cell)

    def _ground(self) -> Iterator[str]:
        right, bottom = self.left + WIDE, self.top + HIGH
        for tick in self.ticks:
            y = f"{self._y(tick):.1f}"
            yield f'<line x1="{self.left}" x2="{right}" y1="{y}" y2="{y}" class="grid"/>'
            if self.labelled:
                yield f'<text x="{self.left - 5}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        clean = self.stress.cell("clean", 0, None).mean
        if clean is not None:
            y = f"{self._y(clean):.1f}"
            yield f'<line x1="{self.left}" x2="{right}" y1="{y}" y2="{y}" class="limit"/>'
        for severity, level in enumerate(self.kind.levels, 1):
            number = level.split(" ")[0]
            yield f'<text x="{self._x(severity):.1f}" y="{bottom + 13}" class="tick">{safe(number)}</text>'

    def _point(self, cell: Cell) -> Iterator[str]:
        if cell.mean is None:
            return
        x, y = self._x(cell.severity), self._y(cell.mean)
        if cell.low is not None and cell.high is not None:
            ends = f'y1="{self._y(cell.low):.1f}" y2="{self._y(cell.high):.1f}"'
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" {ends} class="whisker"/>'
        broken = cell.severity == self.kind.breaks_at
        told = f"{cell.level or 'clean'}: {cell.mean:.3f}" + (", broken" if broken else "")
        kind, radius = ("few", DOT + 2) if broken else ("dot", DOT)
        where = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"'
        yield f"<circle {where}><title>{safe(told)}</title></circle>"

    def _x(self, severity: int) -> float:
        return self.left + 8 + (WIDE - 20) * severity / 5

    def _y(self, value: float) -> float:
        return self.top + HIGH * (1 - (max(value, self.low) - self.low) / (1 - self.low))
