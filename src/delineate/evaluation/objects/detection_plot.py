"""Detection plot: FROC curves, sensitivity over false positives per scan on an axis that doubles."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from markupsafe import Markup

from delineate.errors import DataError
from delineate.evaluation.objects.detection_report import DetectionReport
from delineate.evaluation.plots import safe

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 720, 360, 56, 150, 34, 44
TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
DASHES = ("none", "7 4", "2 3", "9 3 2 3")  # curves are told apart without colours
BESIDE = 5  # pixels between the bars of two curves
FINE = 200  # places at which a curve is drawn

Place = Callable[[float], float]


def froc_plot(reports: Mapping[str, DetectionReport]) -> Markup:
    """The curves of up to four models by name; a bar at each rate is its 95 % interval."""
    if not 1 <= len(reports) <= len(DASHES):
        raise DataError(f"expected one to {len(DASHES)} curves in a plot, got {len(reports)}")
    rates = sorted({point.rate for report in reports.values() for point in report.rates})
    ends = rates[0], max(rates[-1], 2 * rates[0])

    def x(rate: float) -> float:
        share = np.log2(np.clip(rate, *ends) / ends[0]) / np.log2(ends[1] / ends[0])
        return LEFT + (WIDTH - LEFT - RIGHT) * float(share)

    def y(sensitivity: float) -> float:
        return TOP + (HEIGHT - TOP - BOTTOM) * (1 - sensitivity)

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Sensitivity over false positives per scan">',
        f'<text x="{LEFT}" y="18" class="title">Sensitivity over false positives per scan</text>',
        *_axes(rates, x, y),
    ]
    for number, (name, report) in enumerate(reports.items()):
        aside = BESIDE * (number - (len(reports) - 1) / 2)
        parts += _curve(report, DASHES[number], (x, y), ends)
        parts += _points(name, report, aside, (x, y))
        parts += _legend(name, report, number)
    return Markup("\n".join([*parts, "</svg>"]))


def _axes(rates: list[float], x: Place, y: Place) -> Iterator[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    for tick in TICKS:
        yield (
            f'<line x1="{LEFT}" x2="{right}" y1="{y(tick):.1f}" y2="{y(tick):.1f}" class="grid"/>'
            f'<text x="{LEFT - 20}" y="{y(tick) + 4:.1f}" class="tick">{tick:g}</text>'
        )
    for rate in rates:
        yield (
            f'<line x1="{x(rate):.1f}" x2="{x(rate):.1f}" y1="{TOP}" y2="{bottom}" class="grid"/>'
            f'<text x="{x(rate):.1f}" y="{bottom + 18}" class="tick">{rate:g}</text>'
        )


def _curve(
    report: DetectionReport, dash: str, place: tuple[Place, Place], ends: tuple[float, float]
) -> Iterator[str]:
    x, y = place
    if not report.curve:
        return
    at = np.geomspace(*ends, FINE)
    false = [0.0, *(point.false_positives for point in report.curve)]
    found = np.interp(at, false, [0.0, *(point.sensitivity for point in report.curve)])
    line = " ".join(f"{x(a):.1f},{y(s):.1f}" for a, s in zip(at.tolist(), found.tolist(), strict=True))
    yield f'<polyline points="{line}" class="curve" stroke-dasharray="{dash}"/>'


def _points(name: str, report: DetectionReport, aside: float, place: tuple[Place, Place]) -> Iterator[str]:
    x, y = place
    for point in report.rates:
        here, found = x(point.rate) + aside, point.sensitivity
        if found.value is None:
            continue
        if found.low is not None and found.high is not None:
            yield (
                f'<line x1="{here:.1f}" x2="{here:.1f}" y1="{y(found.low):.1f}" y2="{y(found.high):.1f}" '
                'class="whisker"/>'
            )
        yield (
            f'<circle cx="{here:.1f}" cy="{y(found.value):.1f}" r="3.5" class="dot">'
            f"<title>{safe(name)}: {found.words} at {point.rate:g}</title></circle>"
        )


def _legend(name: str, report: DetectionReport, number: int) -> Iterator[str]:
    left, top = WIDTH - RIGHT + 14, TOP + 8 + 40 * number
    yield (
        f'<polyline points="{left},{top} {left + 30},{top}" class="curve" '
        f'stroke-dasharray="{DASHES[number]}"/>'
        f'<text x="{left + 36}" y="{top + 4}">{safe(name)}</text>'
        f'<text x="{left + 36}" y="{top + 20}">CPM {report.cpm.words.partition(" ")[0]}</text>'
    )
