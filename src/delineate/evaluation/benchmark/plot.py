"""Bench plot: each method with its interval, and every seed as a point on it."""

from __future__ import annotations

from markupsafe import Markup

from delineate.evaluation.benchmark.bench import Bench, Method
from delineate.evaluation.plots import nice_step, safe

WIDTH, LEFT, RIGHT, ROW, TOP, BOTTOM = 720, 210, 90, 28, 34, 30
DOT, SEED = 4.5, 2.6
LETTERS = 28


def method_plot(bench: Bench) -> Markup:
    """A row per method, the best above: mean and 95 % interval over patients; small points are seeds."""
    found = [v for m in bench.methods for v in (m.low, m.mean, m.high, *m.means) if v is not None]
    low, high, ticks = _axis(found)
    height = TOP + ROW * len(bench.methods) + BOTTOM
    title = f"{bench.heading} of each method"
    span = WIDTH - LEFT - RIGHT
    parts = [f'<text x="{LEFT}" y="16" class="title">{safe(title)}</text>']
    for tick in ticks:
        x = f"{LEFT + span * (tick - low) / (high - low):.1f}"
        parts.append(f'<line x1="{x}" x2="{x}" y1="{TOP}" y2="{height - BOTTOM}" class="grid"/>')
        parts.append(f'<text x="{x}" y="{height - 12}" class="tick">{tick:g}</text>')
    for number, method in enumerate(bench.methods):
        parts += _row(method, TOP + ROW * (number + 0.5), low, span / (high - low))
    box = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{safe(title)}"'
    return Markup("\n".join([f"<svg {box}>", *parts, "</svg>"]))


def _axis(values: list[float]) -> tuple[float, float, list[float]]:
    least, most = (min(values), max(values)) if values else (0.0, 1.0)
    step = nice_step(max(most - least, 0.01) / 4)
    first, last = int(least // step), int(-(-most // step))
    last = max(last, first + 1)
    return first * step, last * step, [round(n * step, 6) for n in range(first, last + 1)]


def _row(method: Method, y: float, low: float, scale: float) -> list[str]:
    name = method.name if len(method.name) <= LETTERS else method.name[: LETTERS - 1] + "…"
    parts = [f'<text x="{LEFT - 12}" y="{y + 4:.1f}" class="name">{safe(name)}</text>']
    if method.mean is None:
        return [*parts, f'<text x="{LEFT + 30}" y="{y + 4:.1f}" class="tick">no values</text>']

    def x(value: float) -> float:
        return LEFT + (value - low) * scale

    if method.low is not None and method.high is not None:
        ends = f'x1="{x(method.low):.1f}" x2="{x(method.high):.1f}"'
        parts.append(f'<line {ends} y1="{y:.1f}" y2="{y:.1f}" class="whisker"/>')
    parts.append(f'<circle cx="{x(method.mean):.1f}" cy="{y:.1f}" r="{DOT}" class="dot"/>')
    for seed, mean in zip(method.seeds, method.means, strict=True):
        if mean is not None:
            where = f'cx="{x(mean):.1f}" cy="{y + 9:.1f}" r="{SEED}"'
            parts.append(f'<circle {where} class="point"><title>seed {seed}: {mean:.3f}</title></circle>')
    return [*parts, f'<text x="{WIDTH - RIGHT + 12}" y="{y + 4:.1f}">{method.mean:.3f}</text>']
