"""Learning: how good a model will be with more training cases.

Scores of trainings with few, some and many cases lie on a curve that rises ever more slowly. Two shapes of it
are fitted, because the points one has seldom tell which is right:

inverse power        a - b n^-c
exponential plateau  a - b exp(-c n)

Both have b >= 0 and c > 0, and a plateau `a` of at most 1 where all scores are at most 1. The one that fits
better gives the value; the band is of draws of both (parametric bootstrap), as many of each as its Akaike
weight. Beyond twice the largest size nothing is said: further out such curves are as often wrong as right.

Sources: Cortes 1994 (inverse power); Mukherjee 2003, doi:10.1089/106652703321825928; Figueroa 2012,
doi:10.1186/1472-6947-12-8 (fits and their intervals); Burnham and Anderson 2002 (Akaike weights); Viering and
Loog 2023, doi:10.1109/TPAMI.2022.3220744 (shapes of learning curves, and how badly they extrapolate).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from delineate.dataset.table_file import read_table
from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.statistics import LEVEL, Numbers
from delineate.record import Record

Shape = Literal["inverse power", "exponential plateau"]
SHAPES: tuple[Shape, ...] = ("inverse power", "exponential plateau")

PARAMETERS = 3
SIZES = PARAMETERS + 1  # different ones
BEYOND = 2.0  # times the largest size
DRAWS = 500
SEED = 20211  # of the draws: the same curve twice
COARSE, FINE = 80, 24  # rates that are tried, over the whole range and then around the best
REFINED = 2  # times: the rate is then known to a thousandth
RATES: dict[Shape, tuple[float, float]] = {  # of the sizes as shares of the largest one
    "inverse power": (0.02, 5.0),
    "exponential plateau": (0.02, 50.0),
}
TAILS = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
SHOWN = 41  # sizes at which the band is stated


class Fit(Record):
    """One shape with its best parameters; `error` is the root mean square of what it leaves."""

    shape: Shape
    a: float
    b: float
    c: float
    error: float

    def at(self, size: float) -> float:
        """The score at a training size."""
        rise = size**-self.c if self.shape == "inverse power" else float(np.exp(-self.c * size))
        return self.a - self.b * rise

    @property
    def formula(self) -> str:
        """The shape with its numbers, and what it leaves."""
        rise = f"n^-{self.c:.3g}" if self.shape == "inverse power" else f"exp(-{self.c:.3g} n)"
        return f"{self.shape}: {self.a:.4g} - {self.b:.4g} {rise}, leaves {self.error:.2g}"

    def size_for(self, target: float) -> float:
        """The size at which the curve reaches a score; infinite where it never does."""
        a, b, c = (np.array([value]) for value in (self.a, self.b, self.c))
        return float(_sizes_for(self.shape, a, b, c, target)[0])


class Reach(Record):
    """How many training cases a target takes.

    size       where the curve reaches it; None: see `why`
    low, high  the middle 95 % of the draws; `high` is None where it lies beyond the limit
    chance     the share of the draws that reach it within the limit
    why        what is to be said of it
    """

    target: float
    size: int | None
    low: int | None = None
    high: int | None = None
    chance: float
    why: str

    @property
    def sentence(self) -> str:
        """The answer as one says it."""
        if self.size is None:
            return f"{self.target:g}: {self.why}."
        about = f"{self.target:g} takes about {self.size} training cases"
        if self.low is None:
            return f"{about}, and quite possibly many more."
        return (
            f"{about} ({f'{self.low} to {self.high}' if self.high is not None else f'at least {self.low}'})."
        )


class BandPoint(Record):
    """The curve at a size, with the interval of the curve (not of a single training)."""

    size: int
    value: float
    low: float
    high: float


class LearningCurve(Record):
    """A learning curve with its uncertainty, up to twice the largest size.

    points  (size, score) as measured
    fits    the better one first
    band    at sizes from the smallest to the limit
    """

    version: Literal[1] = 1
    points: tuple[tuple[int, float], ...]
    fits: tuple[Fit, ...]
    band: tuple[BandPoint, ...]
    limit: int
    reaches: tuple[Reach, ...] = Field(default=())
    notes: tuple[str, ...] = ()

    @property
    def fit(self) -> Fit:
        """The shape that leaves less."""
        return self.fits[0]

    def at(self, size: int) -> BandPoint:
        """The score to expect at a training size, interpolated between the sizes of the band.

        Raises:
            DataError: the size lies beyond the limit, or below the smallest one that was measured.
        """
        sizes = [point.size for point in self.band]
        if not sizes[0] <= size <= self.limit:
            raise DataError(
                f"nothing can be said of {size} training cases: measured were {sizes[0]} to "
                f"{max(n for n, _ in self.points)}, and a curve is trusted up to twice that, {self.limit}. "
                "Train with more cases, or fewer, and measure."
            )
        low, high = (
            float(np.interp(size, sizes, [getattr(p, end) for p in self.band])) for end in ("low", "high")
        )
        value = self.fit.at(size)
        return BandPoint(size=size, value=value, low=min(low, value), high=max(high, value))

    def to_markdown(self) -> str:
        """What was asked, the scores to expect, and what to doubt."""
        sizes = sorted({n for n, _ in self.points} | {self.limit})
        rows = [self._row(size) for size in sizes]
        said = [reach.sentence for reach in self.reaches]
        notes = (
            *self.notes,
            *(fit.formula for fit in self.fits),
            "The interval is that of the curve; a single training scatters more.",
        )
        table = markdown_table(("training cases", "measured", "curve", "95 % interval"), rows)
        return "\n\n".join([*said, table, "\n".join(f"- {note}" for note in notes)]) + "\n"

    def _row(self, size: int) -> tuple[str, str, str, str]:
        measured = [score for n, score in self.points if n == size]
        point = self.at(size)
        mean = f"{np.mean(measured):.3f}" if measured else ""
        more = f" (mean of {len(measured)})" if len(measured) > 1 else ""
        return str(size), mean + more, f"{point.value:.3f}", f"{point.low:.3f} to {point.high:.3f}"


def learning_curve(
    sizes: Sequence[int],
    scores: Sequence[float],
    *,
    targets: Sequence[float] = (),
    rng: np.random.Generator | None = None,
) -> LearningCurve:
    """The learning curve through scores of trainings of several sizes; more is better.

    sizes    training cases (or patients) of each training; several trainings may have the same size
    targets  scores of which it is asked how many cases they take
    rng      draws scores as they might have been; None draws the same one every time

    Raises:
        DataError: there are fewer than four different sizes, or scores that are no numbers.
    """
    n, y = np.array(sizes, dtype=float), np.array(scores, dtype=float)
    _checked(n, y)
    rng = np.random.default_rng(SEED) if rng is None else rng
    ceiling = 1.0 if y.max() <= 1 else np.inf
    limit = int(BEYOND * n.max())
    shown = np.unique(np.rint(np.geomspace(n.min(), limit, SHOWN)))
    fans = sorted((Fan.of(shape, n, y, ceiling, rng) for shape in SHAPES), key=lambda fan: fan.fit.error)
    counts = _shared_out(fans, len(n))
    drawn = np.concatenate([fan.at(shown)[:count] for fan, count in zip(fans, counts, strict=True)])
    values = np.array([fans[0].fit.at(size) for size in shown])
    lows, highs = np.quantile(np.concatenate([drawn, values[None]]), TAILS, axis=0)
    lows, highs = np.minimum(lows, values), np.maximum(highs, values)
    band = [
        BandPoint(size=int(size), value=float(value), low=float(low), high=float(high))
        for size, value, low, high in zip(shown, values, lows, highs, strict=True)
    ]
    return LearningCurve(
        points=tuple((int(size), float(score)) for size, score in sorted(zip(n, y, strict=True))),
        fits=tuple(fan.fit for fan in fans),
        band=tuple(band),
        limit=limit,
        reaches=tuple(_reach(float(target), fans, counts, limit) for target in targets),
        notes=tuple(_doubts(n, y, fans, limit)),
    )


@dataclass(frozen=True, eq=False)
class Fan:
    """A shape through the points, and through points as they might have been."""

    fit: Fit
    a: Numbers  # (draw,)
    b: Numbers
    c: Numbers

    @classmethod
    def of(
        cls, shape: Shape, sizes: Numbers, scores: Numbers, ceiling: float, rng: np.random.Generator
    ) -> Fan:
        """The best fit, and fits to itself with scatter as large as it leaves."""
        a, b, c = _fitted(shape, sizes, scores[None], ceiling)
        along = a[:, None] - b[:, None] * _fall(shape, sizes, c)
        left = float(np.sum((scores - along) ** 2))
        # How much scores scatter is itself known only from points less three parameters.
        scatter = np.sqrt(left / rng.chisquare(max(1, len(sizes) - PARAMETERS), (DRAWS, 1)))
        drawn = along + scatter * rng.normal(size=(DRAWS, len(sizes)))
        fit = Fit(
            shape=shape,
            a=float(a[0]),
            b=float(b[0]),
            c=float(c[0]),
            error=float(np.sqrt(left / len(sizes))),
        )
        return cls(fit, *_fitted(shape, sizes, drawn, ceiling))

    def at(self, sizes: Numbers) -> Numbers:
        """The score of every draw at every size (draw, size)."""
        return np.asarray(self.a[:, None] - self.b[:, None] * _fall(self.fit.shape, sizes, self.c))

    def sizes_for(self, target: float) -> Numbers:
        """The size at which each draw reaches a score; infinite where it never does."""
        return _sizes_for(self.fit.shape, self.a, self.b, self.c, target)


def _fall(shape: Shape, sizes: Numbers, rates: Numbers) -> Numbers:
    """What is still missing at each size, as a multiple of b: the sizes are the last axis."""
    if shape == "inverse power":
        return np.asarray(sizes ** -rates[..., None])
    return np.asarray(np.exp(-rates[..., None] * sizes))


def _sizes_for(shape: Shape, a: Numbers, b: Numbers, c: Numbers, target: float) -> Numbers:
    room = a - target
    share = np.divide(room, b, out=np.full(len(a), np.inf), where=b > 0)  # what may still be missing
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        found = share ** (-1 / c) if shape == "inverse power" else -np.log(share) / c
    return np.where(room <= 0, np.inf, np.where(np.isfinite(share), np.maximum(found, 0), 0.0))


def _fitted(
    shape: Shape, sizes: Numbers, scores: Numbers, ceiling: float
) -> tuple[Numbers, Numbers, Numbers]:
    """The least squares of each row of scores (row, point): a, b and c (row,).

    Given c the rest is a straight line; so c is looked for on a grid, then on finer ones around the best.
    """
    unit = 1.0 if shape == "inverse power" else sizes.max()
    low, high = (end / unit for end in RATES[shape])
    rates = np.broadcast_to(np.geomspace(low, high, COARSE), (len(scores), COARSE))
    step = (high / low) ** (1 / (COARSE - 1))
    a, b, c = _best_line(shape, sizes, scores, rates, ceiling)
    for _ in range(REFINED):
        rates = np.clip(c[:, None] * np.geomspace(1 / step, step, FINE), low, high)
        a, b, c = _best_line(shape, sizes, scores, rates, ceiling)
        step **= 2 / (FINE - 1)
    return a, b, c


def _best_line(
    shape: Shape, sizes: Numbers, scores: Numbers, rates: Numbers, ceiling: float
) -> tuple[Numbers, Numbers, Numbers]:
    """The best of the rates (row, rate) for each row of scores, with its a and b."""
    fall = _fall(shape, sizes, rates)  # (row, rate, point)
    middle = fall.mean(axis=2, keepdims=True)
    mean = scores.mean(axis=1)[:, None]
    spread = np.maximum(np.sum((fall - middle) ** 2, axis=2), np.finfo(float).tiny)
    b = np.maximum(-np.einsum("rp,rcp->rc", scores - mean, fall - middle) / spread, 0)
    a = mean + b * middle[..., 0]
    if np.isfinite(ceiling):  # a line through the ceiling, where the free one would rise above it
        through = np.einsum("rp,rcp->rc", ceiling - scores, fall) / np.sum(fall**2, axis=2)
        a, b = np.where(a > ceiling, ceiling, a), np.where(a > ceiling, np.maximum(through, 0), b)
    left = np.sum((scores[:, None] - a[..., None] + b[..., None] * fall) ** 2, axis=2)
    best = np.arange(len(scores)), left.argmin(axis=1)
    return a[best], b[best], rates[best]


def _shared_out(fans: Sequence[Fan], points: int) -> tuple[int, ...]:
    """How many draws of each shape are looked at: in proportion to the Akaike weights.

    Both have three parameters, so what they leave decides.
    """
    errors = np.maximum([fan.fit.error for fan in fans], 1e-12)
    weights = (errors[0] / errors) ** points
    return tuple(int(count) for count in np.rint(DRAWS * weights / weights.sum()))


def _reach(target: float, fans: Sequence[Fan], counts: Sequence[int], limit: int) -> Reach:
    """How many cases a target takes, by the better shape; its interval by both."""
    drawn = [fan.sizes_for(target)[:count] for fan, count in zip(fans, counts, strict=True)]
    found = np.concatenate(drawn)
    low, high = (_whole(end, limit) for end in np.quantile(found, TAILS, method="nearest"))
    fit = fans[0].fit
    size = fit.size_for(target)
    why = "reached" if size <= limit else f"more than {limit}, twice the largest training: too far to say"
    if np.isinf(size):
        why = f"the curve levels off at {fit.a:.4g}, below {target:g}"
    return Reach(
        target=target,
        size=_whole(size, limit),
        low=low,
        high=high,
        chance=float(np.mean(found <= limit)),
        why=why,
    )


def _whole(size: float, limit: int) -> int | None:
    return max(1, int(np.ceil(size - 1e-9))) if size <= limit else None


def _doubts(sizes: Numbers, scores: Numbers, fans: Sequence[Fan], limit: int) -> list[str]:
    found = []
    ends = np.array([fan.fit.at(limit) for fan in fans])
    spare = len(sizes) - PARAMETERS
    if spare < 3:
        found.append(f"{len(sizes)} trainings for three parameters: the band may well be too narrow.")
    if abs(ends[0] - ends[1]) > 0.02 * max(abs(ends).max(), 1e-12):
        found.append(
            f"The two shapes differ at {limit} cases: {fans[0].fit.shape} {ends[0]:.4g}, "
            f"{fans[1].fit.shape} {ends[1]:.4g}."
        )
    if fans[0].fit.b == 0 or np.corrcoef(sizes, scores)[0, 1] <= 0:
        found.append("The scores do not rise with the number of cases: there is no learning curve to follow.")
    if sizes.max() < 4 * sizes.min():
        found.append("The largest training is less than four times the smallest: the shape is hardly seen.")
    return found


def read_curve(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Sizes and scores of a table with columns `size` and `score`: a line for every training.

    Raises:
        DataError: a column is missing, or a cell is no number.
    """
    table = read_table(path, key="size")
    if "score" not in table.columns:
        raise DataError(f"{path}: expected columns 'size' and 'score', got {', '.join(table.columns)}.")
    try:
        sizes = tuple(int(row["size"]) for row in table.rows)
        return sizes, tuple(float(row["score"]) for row in table.rows)
    except ValueError as error:
        raise DataError(f"{path}: sizes are whole numbers and scores are numbers: {error}.") from None


def _checked(sizes: Numbers, scores: Numbers) -> None:
    if len(sizes) != len(scores):
        raise DataError(f"expected a score for each of {len(sizes)} sizes, got {len(scores)}")
    if not np.all(np.isfinite(scores)) or not np.all(sizes >= 1) or np.any(sizes != np.rint(sizes)):
        raise DataError("a learning curve is of whole sizes of at least 1 and of scores that are numbers")
    different: npt.NDArray[np.float64] = np.unique(sizes)
    if len(different) < SIZES:
        raise DataError(
            f"a learning curve takes at least {SIZES} different training sizes, got {len(different)}: "
            f"{', '.join(f'{size:g}' for size in different) or 'none'}. Train with fewer cases as well."
        )
