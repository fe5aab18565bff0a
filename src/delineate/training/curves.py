"""Curves: the history of a training as a picture."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from delineate.training.history import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, SOFT, GRID = "#22303c", "#6b7a88", "#e3e8ed"
TRAIN, VALIDATION = "#0072b2", "#d55e00"  # Wong 2011, doi:10.1038/nmeth.1618
STRUCTURES = ("#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#0072b2", "#d55e00", "#9467bd", "#8c6d31")
NAMED = 12  # structures: more than that are drawn thin, with their mean in front
WIDTH_IN, HEIGHT_IN, DOTS_PER_INCH = 11.0, 3.4, 130


def curves(rows: Sequence[Row], title: str = "") -> bytes:
    """A PNG of three panels: loss, Dice of the validation patches, learning rate; over the steps."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH_IN, HEIGHT_IN), dpi=DOTS_PER_INCH, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    loss, dice, rate = figure.subplots(1, 3, width_ratios=(5, 5, 3))
    _draw_loss(loss, rows)
    _draw_dice(dice, rows)
    _draw_rate(rate, rows)
    if title:
        figure.suptitle(title, x=0.01, ha="left", fontsize=11, color=INK, fontweight="bold")
    if rows:
        figure.supxlabel(f"step  ({rows[-1].step} in {_minutes(rows[-1].elapsed_s)})", fontsize=9, color=SOFT)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _draw_loss(axes: Axes, rows: Sequence[Row]) -> None:
    _frame(axes, "loss")
    steps, losses = [row.step for row in rows], [row.loss for row in rows]
    axes.plot(steps, losses, color=TRAIN, alpha=0.25, linewidth=0.8)
    axes.plot(steps, _smooth(losses), color=TRAIN, linewidth=1.6, label="training")
    seen = [(row.step, row.validation.loss) for row in rows if row.validation]
    if seen:
        axes.plot(
            *zip(*seen, strict=True),
            color=VALIDATION,
            linewidth=1.6,
            marker="o",
            markersize=3,
            label="validation",
        )
    if rows:
        axes.legend(**_legend("upper right"))


def _draw_dice(axes: Axes, rows: Sequence[Row]) -> None:
    _frame(axes, "Dice on validation patches")
    axes.set_ylim(0, 1.02)
    shown = [row for row in rows if row.validation]
    names = list(dict.fromkeys(name for row in shown for name in _dice(row)))
    steps = [row.step for row in shown]
    many = len(names) > NAMED
    for name, color in zip(names, _cycled(len(names)), strict=True):
        values = [_number(_dice(row).get(name)) for row in shown]
        axes.plot(
            steps, values, color=color, linewidth=0.7 if many else 1.5, alpha=0.5 if many else 1.0,
            marker=None if many else "o", markersize=3, label=None if many else _ended(name, values),
        )  # fmt: skip
    if many:
        means = [row.validation.mean_dice if row.validation else math.nan for row in shown]
        axes.plot(steps, means, color=INK, linewidth=2, label=_ended(f"mean of {len(names)}", means))
    if names:
        axes.legend(**_legend("lower right"))


def _draw_rate(axes: Axes, rows: Sequence[Row]) -> None:
    _frame(axes, "learning rate")
    axes.plot([row.step for row in rows], [row.rate for row in rows], color=INK, linewidth=1.4)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_ylim(bottom=0)


def _frame(axes: Axes, title: str) -> None:
    axes.set_title(title, loc="left", fontsize=10, color=INK)
    axes.grid(visible=True, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=SOFT, labelsize=8, length=0)
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom")
        axes.spines[side].set_color(GRID)


def _legend(place: str) -> dict[str, Any]:
    return {"loc": place, "frameon": False, "fontsize": 8, "labelcolor": INK, "handlelength": 1.2}


def _smooth(values: Sequence[float]) -> list[float]:
    """A running mean whose memory is a twentieth of the history."""
    keep = 1 - 1 / max(len(values) / 20, 1)
    smooth: list[float] = []
    for value in values:
        smooth.append(value if not smooth else keep * smooth[-1] + (1 - keep) * value)
    return smooth


def _dice(row: Row) -> dict[str, float | None]:
    return row.validation.dice if row.validation else {}


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _ended(name: str, values: Sequence[float]) -> str:
    known = [value for value in values if not math.isnan(value)]
    return f"{name}  {known[-1]:.2f}" if known else name


def _cycled(n: int) -> list[str]:
    return [STRUCTURES[order % len(STRUCTURES)] for order in range(n)]


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.1f} min"
