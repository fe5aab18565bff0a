"""Volume plot: Bland and Altman's figure as SVG, every case as a point.

Across: the mean of the two volumes. Up: prediction less reference. Lines at the bias and the limits, each in
a band as wide as its 95 % interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from markupsafe import Markup

from delineate.evaluation.concordance import BlandAltman
from delineate.evaluation.plots import safe
from delineate.evaluation.scores import Report
from delineate.evaluation.volume_agreement import (
    VOLUME_HEADS,
    VolumeAgreement,
    volume_agreement,
    volume_cells,
)
from delineate.page import Items, Section, Table, stacked

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 340, 78, 110, 34, 44
MARGIN = 0.06  # of the span of what is shown, on each side
FARTHEST = (
    1.5  # spans of points and limits that an interval may stretch the figure by; with 2 cases it is huge
)
TICKS = 5

LIMITS = frozenset({3, 5})  # columns of two values with an interval each
MOST_PLOTS = 6  # structures drawn; all are in the table

Scale = Callable[[float], float]


def volume_section(report: Report) -> Section:
    """Whether predicted volumes can stand in for those of the reference: a table, and a plot a structure.

    Of many structures those with the largest differences for their size are drawn.
    """
    found = volume_agreement(report)
    rows = [[stacked(cell) for cell in volume_cells(one)] for one in found]
    caption = (
        "Value [95 % interval]. Differences are prediction less reference; percent of the mean of both. "
        "A perfect volume may have no overlap at all: read this beside Dice."
    )
    notes = tuple(f"{one.structure}: {note}" for one in found for note in one.notes)
    drawn = sorted((one for one in found if one.ml), key=_width, reverse=True)[:MOST_PLOTS]
    plots = [bland_altman_plot(one) for one in found if one in drawn]
    return Section(
        "Volumes", (Table(VOLUME_HEADS, rows, caption, LIMITS), *([Items(notes)] if notes else []), *plots)
    )


def _width(found: VolumeAgreement) -> float:
    """How far apart the limits lie, as a share of the volumes."""
    relative = found.relative
    if relative is None or relative.upper is None or relative.lower is None:
        return 0.0
    return relative.upper - relative.lower


def bland_altman_plot(found: VolumeAgreement) -> Markup:
    """Differences in ml over mean volumes; hovering a point names the case, hollow ones are cut off."""
    title = safe(f"{found.structure}: prediction less reference (ml)")
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{title} over their mean">',
        f'<text x="{LEFT}" y="18" class="title">{title}</text>',
    ]
    if found.ml is None:
        return Markup("\n".join([*parts, f'<text x="{LEFT}" y="60">no volumes</text>', "</svg>"]))
    means = np.array([(pair.reference_ml + pair.prediction_ml) / 2 for pair in found.pairs])
    differences = np.array([pair.prediction_ml - pair.reference_ml for pair in found.pairs])
    across, x = _axis(float(means.min()), float(means.max()), LEFT, WIDTH - RIGHT)
    up, y = _axis(*_heights(found.ml, differences), HEIGHT - BOTTOM, TOP)
    parts += _grid(across, up, x, y)
    parts += _lines(found.ml, y)
    for pair, mean, difference in zip(found.pairs, means, differences, strict=True):
        kind = "hollow" if pair.at_edge else "point"
        cut = ", cut off by the edge of the scan" if pair.at_edge else ""
        parts.append(
            f'<circle cx="{x(mean):.1f}" cy="{y(difference):.1f}" r="3" class="{kind}"><title>'
            f"{safe(pair.case)}: {pair.reference_ml:.3g} ml, predicted {pair.prediction_ml:.3g} ml{cut}"
            "</title></circle>"
        )
    return Markup("\n".join([*parts, "</svg>"]))


def _heights(
    ml: BlandAltman, differences: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> tuple[float, float]:
    """What is to be seen: every point, zero, the limits, and of their intervals as much as is sensible."""
    seen = [0.0, ml.bias, *differences.tolist(), *(end for end in (ml.lower, ml.upper) if end is not None)]
    low, high = min(seen), max(seen)
    room = FARTHEST * (high - low)
    for interval in (ml.lower_interval, ml.upper_interval):
        if interval is not None:
            low, high = min(low, max(interval[0], low - room)), max(high, min(interval[1], high + room))
    return low, high


def _axis(low: float, high: float, start: float, stop: float) -> tuple[list[float], Scale]:
    """Ticks at round values, and where a value is drawn."""
    span = (high - low) or abs(high) or 1.0
    low, high = low - MARGIN * span, high + MARGIN * span
    rough = (high - low) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = int(np.ceil(low / step))
    ticks = [float(step * n) for n in range(first, int(np.floor(high / step)) + 1)]
    return ticks, lambda value: start + (stop - start) * (value - low) / (high - low)


def _grid(across: list[float], up: list[float], x: Scale, y: Scale) -> list[str]:
    floor, end = HEIGHT - BOTTOM, WIDTH - RIGHT
    return [
        *(f'<text x="{x(tick):.1f}" y="{floor + 16}" class="tick">{tick:g}</text>' for tick in across),
        *(
            f'<line x1="{LEFT}" x2="{end}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
            f'<text x="{LEFT - 8}" y="{y(tick) + 4:.1f}" class="name">{tick:g}</text>'
            for tick in up
        ),
        f'<text x="{(LEFT + end) / 2:.1f}" y="{HEIGHT - 8}" class="tick">mean of the two volumes (ml)</text>',
    ]


def _lines(ml: BlandAltman, y: Scale) -> list[str]:
    """The bias and the limits, each with its band and its value at the right."""
    parts = []
    shown = (
        ("bias", ml.bias, ml.bias_interval, "median"),
        ("lower", ml.lower, ml.lower_interval, "limit"),
        ("upper", ml.upper, ml.upper_interval, "limit"),
    )
    for word, value, interval, kind in shown:
        if value is None:
            continue
        if interval is not None:
            top, bottom = (min(max(y(end), TOP), HEIGHT - BOTTOM) for end in (interval[1], interval[0]))
            parts.append(
                f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH - RIGHT - LEFT}" '
                f'height="{max(bottom - top, 0.5):.1f}" class="band"/>'
            )
        parts.append(
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(value):.1f}" y2="{y(value):.1f}" class="{kind}"/>'
            f'<text x="{WIDTH - RIGHT + 8}" y="{y(value) + 4:.1f}">{word} {value:.3g}</text>'
        )
    return parts
