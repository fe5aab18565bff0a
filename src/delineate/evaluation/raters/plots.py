"""Plots: matrices of readers as heatmaps, and rows of means with their intervals, as SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from delineate.evaluation.plots import safe
from delineate.evaluation.raters.agreement import Agreement
from delineate.evaluation.raters.ledger import SIGNED, Average, PairValue
from delineate.evaluation.raters.style import Kind, Trait

WIDTH = 720
SIDE, GAP, NAME, HEAD = 340, 40, 84, 74  # of one matrix: its width, the room between two, before and above
CELL, SMALL = 44, 26  # pixels; below that values do not fit and stand in the title of a cell alone
ROW, LEFT, RIGHT, TOP, BOTTOM = 30, 170, 130, 34, 34  # of a plot of rows
LONGEST = 12  # letters of a name
FAINT, DARK = 0.06, 0.6  # opacity of a cell: what is written on it can be read
TICKS = 5


@dataclass(frozen=True)
class Look:
    """How a measure is written in a matrix, and the value that is drawn darkest."""

    title: str
    darkest: float
    unit: str = ""
    factor: float = 1
    digits: int = 1


MATRICES: dict[PairValue, Look] = {
    "dice": Look("Dice, stronger where nearer", 1.0, digits=2),
    "hd95_mm": Look("HD95 in mm, stronger where farther apart", 10.0, "mm"),
    "volume_bias": Look("Volume of row less column, %", 0.3, "%", factor=100, digits=0),
    "offset_mm": Look("Border of row beyond column, mm", 2.0, "mm", digits=2),
}
LOW_DICE = 0.5  # is as faint as can be

STYLES: dict[Kind, tuple[str, float]] = {
    "size": ("Volume beside the other raters, %", 100),
    "border": ("Border beyond the other raters', mm", 1),
    "roughness": ("Surface for the volume beside the other raters', %", 100),
}


def matrix_plot(agreement: Agreement, structure: str) -> Markup:
    """Every two readers of a structure by four measures; hovering a cell tells its interval."""
    cell = min(CELL, (SIDE - NAME) / len(agreement.everybody))
    height = HEAD + cell * len(agreement.everybody) + 18
    label = safe(f"{structure}: every two readers")
    parts = [f'<svg viewBox="0 0 {WIDTH} {2 * height:.0f}" role="img" aria-label="{label}">']
    for number, value in enumerate(MATRICES):
        right, down = (number % 2) * (SIDE + GAP), (number // 2) * height
        parts.append(f'<g transform="translate({right} {down:.1f})">')
        parts += _matrix(agreement, structure, value, cell)
        parts.append("</g>")
    return Markup("\n".join([*parts, "</svg>"]))


def _matrix(agreement: Agreement, structure: str, value: PairValue, cell: float) -> list[str]:
    names = agreement.everybody
    parts = [f'<text x="0" y="16" class="title">{safe(MATRICES[value].title)}</text>']
    for place, name in enumerate(names):
        along, down = NAME + cell * (place + 0.5), HEAD + cell * (place + 0.5)
        parts.append(f'<text x="{NAME - 8}" y="{down + 4:.1f}" class="name">{_short(name)}</text>')
        turned = f"translate({along + 4:.1f} {HEAD - 6}) rotate(-35)"
        parts.append(f'<text transform="{turned}">{_short(name)}</text>')
    darkest = _darkest(agreement, structure, value)
    for row, one in enumerate(names):
        for column, other in enumerate(names):
            if one != other:
                x, y = NAME + cell * column, HEAD + cell * row
                average = agreement.cell(structure, value, one, other)
                parts += _cell(average, value, f"{one}, {other}", (x, y, cell), darkest)
    return parts


def _cell(
    average: Average, value: PairValue, who: str, at: tuple[float, float, float], darkest: float
) -> list[str]:
    x, y, size = at
    if average.mean is None:
        return []
    look = MATRICES[value]
    factor, digits = look.factor, look.digits
    ends = ""
    if average.low is not None and average.high is not None:
        ends = f" [{factor * average.low:.{digits}f}, {factor * average.high:.{digits}f}]"
    text = f"{factor * average.mean:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    said = f"{who}: {text}{ends} {look.unit}".rstrip() + f", {average.n} cases"
    kind = "heat below" if value in SIGNED and average.mean < 0 else "heat"
    parts = [
        f'<rect x="{x + 1:.1f}" y="{y + 1:.1f}" width="{size - 2:.1f}" height="{size - 2:.1f}" rx="3" '
        f'class="{kind}" fill-opacity="{_opacity(average.mean, value, darkest):.2f}">'
        f"<title>{safe(said)}</title></rect>"
    ]
    if size >= SMALL:
        parts.append(f'<text x="{x + size / 2:.1f}" y="{y + size / 2 + 4:.1f}" class="value">{text}</text>')
    return parts


def _darkest(agreement: Agreement, structure: str, value: PairValue) -> float:
    """The value that is drawn darkest: a sensible one, or the largest where all are beyond it."""
    means = [
        abs(cell.average.mean)
        for cell in agreement.cells
        if (cell.structure, cell.value) == (structure, value) and cell.average.mean is not None
    ]
    return max([MATRICES[value].darkest, *means])


def _opacity(mean: float, value: PairValue, darkest: float) -> float:
    share = (mean - LOW_DICE) / (1 - LOW_DICE) if value == "dice" else abs(mean) / darkest
    return FAINT + (DARK - FAINT) * float(np.clip(share, 0, 1))


@dataclass(frozen=True)
class Line:
    """A mean with its interval in a row of its own; hollow where it may be chance."""

    name: str
    average: Average
    beside: str = ""
    hollow: bool = False


def standing_plot(agreement: Agreement) -> Markup:
    """How far the model is from people in every structure, and the margin that it has."""
    lines = [
        Line(s.structure, s.difference, s.verdict, hollow=s.verdict == "NOT PROVEN")
        for s in agreement.standings
    ]
    title = f"Dice of {agreement.model} with raters, less theirs with each other"
    return rows_plot(title, lines, limit=-agreement.margin.dice, digits=2)


def style_plot(agreement: Agreement, structure: str, kind: Kind) -> Markup:
    """How every reader of a structure differs from the raters; what may be chance is hollow."""
    title, factor = STYLES[kind]
    chosen = [t for t in agreement.traits if (t.structure, t.kind) == (structure, kind)]
    lines = [_style_line(trait, factor) for trait in chosen]
    return rows_plot(f"{structure}. {title}", lines, digits=0 if factor == 100 else 1)


def _style_line(trait: Trait, factor: float) -> Line:
    ends = {"mean": trait.difference.mean, "low": trait.difference.low, "high": trait.difference.high}
    shown = {
        name: None if end is None else factor * (float(np.expm1(end)) if trait.kind == "roughness" else end)
        for name, end in ends.items()
    }
    return Line(trait.reader, trait.difference.but(**shown), trait.finding or "", hollow=not trait.finding)


def rows_plot(title: str, lines: Sequence[Line], *, limit: float | None = None, digits: int = 2) -> Markup:
    """A row for every mean with its interval, a line at 0, and one at a limit."""
    height = TOP + ROW * len(lines) + BOTTOM
    values = [end for line in lines for end in (line.average.low, line.average.mean, line.average.high)]
    ticks, x = _axis([value for value in values if value is not None], limit)
    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{safe(title)}">',
        f'<text x="{LEFT}" y="18" class="title">{safe(title)}</text>',
    ]
    for tick in ticks:
        kind = "zero" if not tick else "grid"
        parts.append(
            f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="{TOP}" y2="{height - BOTTOM}" class="{kind}"/>'
            f'<text x="{x(tick):.1f}" y="{height - 12}" class="tick">{tick:g}</text>'
        )
    if limit is not None:
        parts.append(
            f'<line x1="{x(limit):.1f}" x2="{x(limit):.1f}" y1="{TOP}" y2="{height - BOTTOM}" class="limit"/>'
        )
    for number, line in enumerate(lines):
        parts += _row(line, TOP + ROW * (number + 0.5), x, digits)
    return Markup("\n".join([*parts, "</svg>"]))


def _row(line: Line, middle: float, x: Callable[[float], float], digits: int) -> list[str]:
    parts = [f'<text x="{LEFT - 12}" y="{middle + 4:.1f}" class="name">{_short(line.name, 24)}</text>']
    mean, low, high = line.average.mean, line.average.low, line.average.high
    if mean is None:
        return [*parts, f'<text x="{LEFT + 12}" y="{middle + 4:.1f}">no value</text>']
    said = f"{mean:.{digits}f}"
    if low is not None and high is not None:
        said += f" [{low:.{digits}f}, {high:.{digits}f}]"
        across = f'x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{middle:.1f}" y2="{middle:.1f}"'
        parts.append(f'<line {across} class="whisker"/>')
    parts.append(
        f'<circle cx="{x(mean):.1f}" cy="{middle:.1f}" r="4.5" class="{"few" if line.hollow else "dot"}">'
        f"<title>{safe(line.name)}: {said}</title></circle>"
    )
    if line.beside:
        parts.append(f'<text x="{WIDTH - RIGHT + 14}" y="{middle + 4:.1f}">{safe(line.beside)}</text>')
    return parts


def _axis(values: Sequence[float], limit: float | None) -> tuple[list[float], Callable[[float], float]]:
    """Round ticks around 0, the limit and all values, and where a value is drawn."""
    seen = [0.0, *values, *([] if limit is None else [1.5 * limit])]
    low, high = min(seen), max(seen)
    rough = ((high - low) or 1.0) / TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = float(next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999))
    first, last = int(np.floor(low / step)), int(np.ceil(high / step))
    last = max(last, first + 1)
    ticks = [round(step * n, 9) for n in range(first, last + 1)]
    span = WIDTH - LEFT - RIGHT
    return ticks, lambda value: LEFT + span * (value - ticks[0]) / (ticks[-1] - ticks[0])


def _short(name: str, longest: int = LONGEST) -> str:
    """A name that fits; the whole one is told where the pointer rests."""
    if len(name) <= longest:
        return safe(name)
    return f"{safe(name[: longest - 1])}\N{HORIZONTAL ELLIPSIS}<title>{safe(name)}</title>"
