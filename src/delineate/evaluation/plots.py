"""Plots: figures of a report as SVG, sharp at every size and readable without a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from markupsafe import Markup

from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report

WIDTH, ROW, LEFT, RIGHT, TOP, BOTTOM = 720, 46, 170, 24, 34, 34
MANY, LOW_ROW = 12, 26  # with more structures than that, rows are lower
HALF_BOX = 13 / 46  # of a row
JITTER = 11 / 46  # of a row: so far points lie from its middle, so that they can be told apart


def box_plot(report: Report, metric: str) -> Markup:
    """A box per structure with every case as a point on it; hovering a point names the case."""
    measure = MEASURES[metric]
    columns = {
        s: {c: v for c, v in report.values(s, metric).items() if v is not None} for s in report.structures
    }
    every = [value for column in columns.values() for value in column.values()]
    low, high, ticks = axis_of(every, unit_interval=metric in ("dice", "iou", "nsd"))
    row = ROW if len(columns) <= MANY else LOW_ROW
    height = TOP + row * len(columns) + BOTTOM
    span = WIDTH - LEFT - RIGHT

    def x(value: float) -> float:
        return LEFT + span * (value - low) / (high - low)

    title = measure.title + ("" if measure.unit == "1" else f" ({measure.unit})")
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{safe(title)} by structure">',
        f'<text x="{LEFT}" y="18" class="title">{safe(title)}</text>',
    ]
    parts += [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{height - BOTTOM}" class="grid"/>'
        f'<text x="{x(tick):.1f}" y="{height - 12}" class="tick">{tick:g}</text>'
        for tick in ticks
    ]
    for number, (structure, column) in enumerate(columns.items()):
        middle = TOP + row * (number + 0.5)
        parts.append(f'<text x="{LEFT - 12}" y="{middle + 4:.1f}" class="name">{safe(structure)}</text>')
        parts += _row(column, middle, row, x)
    return Markup("\n".join([*parts, "</svg>"]))


def _row(column: dict[str, float], middle: float, height: float, x: Callable[[float], float]) -> list[str]:
    if not column:
        return [f'<text x="{LEFT + 36}" y="{middle + 4:.1f}" class="tick">no values</text>']
    top, bottom = middle - HALF_BOX * height, middle + HALF_BOX * height
    values = np.array(list(column.values()))
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    width = max(1.0, x(q3) - x(q1))
    box = (
        f'<rect x="{x(q1):.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}" class="box"/>'
        f'<line x1="{x(median):.1f}" x2="{x(median):.1f}" y1="{top:.1f}" y2="{bottom:.1f}" '
        'class="median"/>'
    )
    points = [
        f'<circle cx="{x(value):.1f}" cy="{middle + height * _spread(n):.1f}" r="2.6" class="point">'
        f"<title>{safe(case)}: {value:.3f}</title></circle>"
        for n, (case, value) in enumerate(column.items())
    ]
    return [box, *points]


def _spread(n: int) -> float:
    """Where in its row the n-th point sits, as a share of its height: the golden ratio fills it evenly."""
    return JITTER * (2 * ((n * 0.6180339887) % 1) - 1)


def axis_of(values: Sequence[float], *, unit_interval: bool) -> tuple[float, float, list[float]]:
    """Both ends of the axis and its ticks."""
    if not values:
        return 0.0, 1.0, [0.0, 0.5, 1.0]
    low = 0.0 if not unit_interval else max(0.0, np.floor(min(values) * 10 - 0.2) / 10)
    high = 1.0 if unit_interval else max(values) * 1.05 or 1.0
    step = nice_step((high - low) / 5)
    count = int((high - low) / step + 1e-9)
    return float(low), float(high), [round(float(low + step * n), 6) for n in range(count + 1)]


def nice_step(step: float) -> float:
    """The smallest of 1, 2, 5 times a power of ten that is not below `step`."""
    power = 10 ** np.floor(np.log10(step))
    return float(next(f * power for f in (1, 2, 5, 10) if f * power >= step * 0.999))


def safe(text: str) -> str:
    """The text as it may stand inside a drawing."""
    return str(Markup.escape(text))
