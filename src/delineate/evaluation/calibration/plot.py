"""Reliability diagram: how often forecasts came true, over what they said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import log10

from markupsafe import Markup

from delineate.evaluation.calibration.regions import WHERE
from delineate.evaluation.calibration.report import Bin, CalibrationReport, Curve, Score
from delineate.evaluation.plots import safe

WIDTH, EDGE, LEFT, BETWEEN = 720, 186, 46, 40  # of the page, and of the square panels on it
TOP, MASS, GAP, BOTTOM = 48, 34, 10, 22  # above a panel; the bars below it, and around them
BAR = 7  # how wide the spread of the cases is drawn
TICKS = (0.0, 0.5, 1.0)
READING = (
    "On the dashed line a model is as sure as it is right, below it too sure. A point is a bin of all cases "
    "in one pool, the bar through it is where the middle half of the cases lies. Below each square: how many "
    "forecasts, on a logarithmic scale."
)


def reliability_plot(report: CalibrationReport, name: str) -> Markup:
    """Three panels: everywhere, in the foreground, at boundaries.

    A point is a bin of all cases in one pool; the bar through it is where the middle half of the cases lies.
    """
    curves = {curve.where: curve for curve in report.curves if curve.name == name}
    title = f"{name}: how often it came true, over how sure the model was"
    height = TOP + EDGE + GAP + MASS + BOTTOM
    parts = [f'<text x="0" y="16" class="title">{safe(title)}</text>']
    for number, where in enumerate(WHERE):
        panel = _Panel(LEFT + number * (EDGE + BETWEEN))
        parts += panel.drawn(curves[where], report.pooled(name, where))
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{safe(title)}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


@dataclass(frozen=True)
class _Panel:
    """One region; its square begins at `left`."""

    left: float

    def x(self, forecast: float) -> float:
        """Where a forecast is."""
        return self.left + EDGE * forecast

    def y(self, frequency: float) -> float:
        """Where a frequency is."""
        return TOP + EDGE * (1 - frequency)

    def drawn(self, curve: Curve, score: Score) -> Iterator[str]:
        """The panel."""
        said = "no voxels" if score.ece is None else f"ECE {score.ece:.3f}"
        yield f'<text x="{self.left}" y="{TOP - 10}">{curve.where}: {said}</text>'
        for tick in TICKS:
            x, y = f"{self.x(tick):.1f}", f"{self.y(tick):.1f}"
            yield f'<line x1="{x}" x2="{x}" y1="{self.y(1)}" y2="{self.y(0)}" class="grid"/>'
            yield f'<line x1="{self.x(0)}" x2="{self.x(1)}" y1="{y}" y2="{y}" class="grid"/>'
            yield f'<text x="{x}" y="{TOP + EDGE + GAP + MASS + 14}" class="tick">{tick:g}</text>'
            yield f'<text x="{self.left - 6}" y="{float(y) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        ends = f'x1="{self.x(0)}" x2="{self.x(1)}" y1="{self.y(0)}" y2="{self.y(1)}"'
        yield f'<line {ends} class="limit"/>'
        yield from self._masses(curve.bins)
        yield from self._points([each for each in curve.bins if each.voxels])

    def _points(self, bins: Sequence[Bin]) -> Iterator[str]:
        places = [(self.x(b.forecast or 0), self.y(b.frequency or 0)) for b in bins]
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        for each, (x, _) in zip(bins, places, strict=True):
            if each.cases > 1 and each.q1 is not None and each.q3 is not None:
                top, height = self.y(each.q3), max(1.0, self.y(each.q1) - self.y(each.q3))
                place = f'x="{x - BAR / 2:.1f}" y="{top:.1f}" width="{BAR}" height="{height:.1f}"'
                yield f'<rect {place} class="box"/>'
        yield f'<polyline points="{line}" class="curve"/>'
        for each, (x, y) in zip(bins, places, strict=True):
            told = f"said {each.forecast:.3f}, came true {each.frequency:.3f}, {each.voxels} voxels"
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" class="dot"><title>{told}</title></circle>'

    def _masses(self, bins: Sequence[Bin]) -> Iterator[str]:
        """How many forecasts a bin holds; one bin often has nearly all of them."""
        most = max(log10(each.voxels + 1) for each in bins) or 1.0
        bottom = TOP + EDGE + GAP + MASS
        for each in bins:
            if each.voxels:
                height = MASS * log10(each.voxels + 1) / most
                width = EDGE * (each.high - each.low) - 1
                place = f'x="{self.x(each.low) + 0.5:.1f}" y="{bottom - height:.1f}"'
                yield f'<rect {place} width="{width:.1f}" height="{height:.1f}" class="band"/>'
