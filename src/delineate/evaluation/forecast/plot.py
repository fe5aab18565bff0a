"""Learning plot: scores by training size, the curve, its band, and the targets."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

import numpy as np
from markupsafe import Markup

from delineate.evaluation.forecast.learning import LearningCurve
from delineate.evaluation.plots import nice_step, safe

WIDTH, HEIGHT = 720, 360
LEFT, RIGHT, TOP, BOTTOM = 56, 90, 34, 44
POINT = 4
TITLE = "Score by number of training cases"


def learning_plot(curve: LearningCurve) -> Markup:
    """The points, the better curve up to twice the largest size, and the band; dashed beyond the points."""
    axes = _Axes.of(curve)
    parts = [f'<text x="{LEFT}" y="16" class="title">{TITLE}</text>', *axes.grid(), *axes.drawn(curve)]
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{TITLE}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


@dataclass(frozen=True)
class _Axes:
    """Sizes from zero to the limit, scores as far as anything reaches."""

    sizes: tuple[float, ...]
    scores: tuple[float, ...]
    limit: int

    @classmethod
    def of(cls, curve: LearningCurve) -> Self:
        """Axes with nice numbers."""
        held = [score for _, score in curve.points]
        held += [
            v for point in curve.band for v in (point.low, point.high) if point.size >= curve.points[0][0]
        ]
        spread = max(held) - min(held)
        held += [r.target for r in curve.reaches if min(held) - spread <= r.target <= max(held) + spread]
        step = nice_step(max(max(held) - min(held), 1e-3) / 5)
        first = np.floor(min(held) / step)
        last = max(np.ceil(max(held) / step), first + 1)
        wide = nice_step(curve.limit / 6)
        sizes = np.arange(0, curve.limit + 1e-9, wide)
        scores = np.arange(first, last + 1) * step
        return cls(tuple(map(float, sizes)), tuple(round(float(v), 9) for v in scores), curve.limit)

    def x(self, size: float) -> float:
        """Where a size is."""
        return LEFT + (WIDTH - LEFT - RIGHT) * size / self.limit

    def y(self, score: float) -> float:
        """Where a score is."""
        low, high = self.scores[0], self.scores[-1]
        return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (score - low) / (high - low)

    def grid(self) -> Iterator[str]:
        """Lines and numbers."""
        for score in self.scores:
            y = f"{self.y(score):.1f}"
            yield f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="grid"/>'
            yield f'<text x="{LEFT - 8}" y="{self.y(score) + 4:.1f}" text-anchor="end">{score:g}</text>'
        for size in self.sizes:
            yield f'<text x="{self.x(size):.1f}" y="{HEIGHT - BOTTOM + 18}" class="tick">{size:g}</text>'
        middle = (LEFT + WIDTH - RIGHT) / 2
        yield f'<text x="{middle}" y="{HEIGHT - 6}" class="tick">training cases</text>'

    def drawn(self, curve: LearningCurve) -> Iterator[str]:
        """Band, curve, targets and points."""
        largest = max(n for n, _ in curve.points)
        ends = [(p.size, p.low) for p in curve.band] + [(p.size, p.high) for p in reversed(curve.band)]
        yield f'<polygon points="{self._path(ends)}" class="band"/>'
        middle = [(p.size, p.value) for p in curve.band]
        seen = [(n, v) for n, v in middle if n < largest] + [(largest, curve.fit.at(largest))]
        ahead = [(largest, curve.fit.at(largest))] + [(n, v) for n, v in middle if n > largest]
        yield f'<polyline points="{self._path(seen)}" class="curve"/>'
        yield f'<polyline points="{self._path(ahead)}" class="curve limit"/>'
        for reach in curve.reaches:
            yield from self._target(reach.target, reach.size, reach.sentence)
        for size, score in curve.points:
            where = f'cx="{self.x(size):.1f}" cy="{self.y(score):.1f}" r="{POINT}"'
            yield f'<circle {where} class="dot"><title>{size} cases: {score:.3f}</title></circle>'

    def _target(self, target: float, size: int | None, told: str) -> Iterator[str]:
        if not self.scores[0] <= target <= self.scores[-1]:
            return
        y, end = f"{self.y(target):.1f}", WIDTH - RIGHT
        across = f'x1="{LEFT}" x2="{end}" y1="{y}" y2="{y}"'
        yield f'<line {across} class="limit"><title>{safe(told)}</title></line>'
        yield f'<text x="{end + 8}" y="{self.y(target) + 4:.1f}">{target:g}</text>'
        if size is not None:
            x = f"{self.x(size):.1f}"
            yield f'<line x1="{x}" x2="{x}" y1="{y}" y2="{HEIGHT - BOTTOM}" class="limit"/>'

    def _path(self, points: list[tuple[int, float]]) -> str:
        low, high = self.scores[0], self.scores[-1]
        return " ".join(f"{self.x(n):.1f},{self.y(min(max(v, low), high)):.1f}" for n, v in points)
