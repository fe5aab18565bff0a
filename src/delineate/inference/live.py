"""Live: frames of a stream segmented in order, each before its deadline or honestly marked.

A frame that cannot be done in time at its full size is done at a smaller one; where that too would be late,
the last result is given again, or nothing; and every result says which of these it is. What can be done in
time is decided by what was measured (`live_pace`), never by hope. The clock is an argument: nothing here
sleeps or reads the time by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from torch import nn

from delineate.errors import ModelError, PlanError
from delineate.inference.coarse import coarser
from delineate.inference.live_pace import Pace
from delineate.preparation.align import turned_grid
from delineate.record import Record
from delineate.space import Geometry, LabelMap, Volume

if TYPE_CHECKING:
    from delineate.inference.engine import Engine
    from delineate.inference.segmenter import Segmenter

Flag = Literal["full", "reduced", "repeated", "dropped"]
Clock = Callable[[], float]  # seconds

FACTORS = (1.0, 1.5, 2.0, 3.0)  # how much smaller frames may be made, along each edge
REPEAT_MS = 1000.0  # a result that is older is not given again: the picture has moved on
PROBE = 5  # frames in a row that nothing fitted, after which the smallest size is tried all the same
NO_TIME = "no working size fits into the time left"
WARM = 3  # frames of each size that a warm-up does: the first prepares kernels, the others are measured


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture of a stream.

    picture    (channel, i, j, 1); None where it could not be read, and then `why` says so
    arrived_s  when it came, by the clock of the stream; None: when it is asked for
    """

    picture: Volume | None
    arrived_s: float | None = None
    name: str = ""
    why: str = ""


@dataclass(frozen=True, eq=False)
class LiveResult:
    """What is known of a frame at its deadline, and how it was found.

    flag     full: as `Segmenter.segment` would; reduced: on a grid `factor` times as coarse; repeated: the
             labels of frame `of`; dropped: none
    labels   on the grid of the frame; None where dropped
    of       the frame that the labels were found in; None where dropped
    factor   by which the frame was made smaller along each edge
    is_late  whether it came after the deadline
    why      of a dropped frame
    """

    number: int
    name: str
    flag: Flag
    labels: LabelMap | None
    of: int | None
    factor: float
    arrived_s: float
    latency_s: float
    is_late: bool
    why: str = ""

    @property
    def is_computed(self) -> bool:
        """Whether a network looked at this frame."""
        return self.flag in ("full", "reduced")


class LiveSummary(Record):
    """A stream in figures. Latencies are from the arrival of a frame to its labels, of computed frames.

    warm_up_ms  time of the first frame of the warm-up, which is the cold start; None without a warm-up
    first_ms    latency of the first frame, which is the cold start without a warm-up
    """

    frames: int
    full: int
    reduced: int
    repeated: int
    dropped: int
    late: int
    deadline_ms: float
    warm_up_ms: float | None
    first_ms: float | None
    p50_ms: float | None
    p90_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    seconds: float  # from the first arrival to the last result

    @property
    def per_second(self) -> float:
        """Frames that a network looked at, per second."""
        return (self.full + self.reduced) / self.seconds if self.seconds > 0 else 0.0

    def lines(self) -> tuple[str, ...]:
        """The figures in words."""
        counts = f"{self.full} full, {self.reduced} reduced, {self.repeated} repeated, {self.dropped} dropped"
        words = [f"{self.frames} frames: {counts}; {self.late} after the deadline of {self.deadline_ms:g} ms"]
        if self.p50_ms is not None:
            names = (("p50", self.p50_ms), ("p90", self.p90_ms), ("p95", self.p95_ms), ("p99", self.p99_ms))
            shares = ", ".join(f"{name} {value:.0f}" for name, value in names)
            words.append(
                f"latency in ms: {shares}, longest {self.max_ms:.0f}; {self.per_second:.1f} a second"
            )
        if self.warm_up_ms is not None:
            words.append(f"cold start: {self.warm_up_ms:.0f} ms, in the warm-up and not among the latencies")
        elif self.first_ms is not None:
            words.append(f"cold start: {self.first_ms:.0f} ms, the first frame, which is among the latencies")
        return tuple(words)


class Live:
    """A segmenter at work on a stream, and what it has learnt of its own speed.

    deadline_ms  after the arrival of a frame
    factors      by which frames may be made smaller, 1 first; (1,) never makes them smaller
    repeat_ms    how old a result may be that is given again; 0: never
    """

    def __init__(
        self,
        segmenter: Segmenter,
        *,
        deadline_ms: float,
        factors: Sequence[float] = FACTORS,
        repeat_ms: float = REPEAT_MS,
        clock: Clock = time.perf_counter,
    ) -> None:
        if deadline_ms <= 0:
            raise PlanError(f"a deadline is some milliseconds after a frame came, got {deadline_ms:g}")
        if tuple(factors) != tuple(sorted({1.0, *factors})) or factors[0] != 1:
            raise PlanError(f"factors begin with 1 and rise, for example {FACTORS}; got {tuple(factors)}")
        self._at = {factor: _working(segmenter, factor) for factor in factors}
        self._deadline_s, self._repeat_s, self._clock = deadline_ms / 1000, repeat_ms / 1000, clock
        self._pace = Pace(tuple(factors))
        self._tally = _Tally(deadline_ms)
        self._last: LiveResult | None = None
        self._idle = 0  # frames in a row for which nothing fitted
        self._count = 0

    def warm_up(self, grid: Geometry) -> float:
        """Milliseconds of the first frame ever: every size is done a few times on noise.

        grid  of the frames to come
        """
        frame = _noise(self._at[1.0], grid)
        for factor in self._at:
            for _ in range(WARM):
                _, seconds = self._segmented(frame, factor)
                if self._tally.warm_up_s is None:
                    self._tally.warm_up_s = seconds
        return 1000 * (self._tally.warm_up_s or 0.0)

    def expected(self, grid: Geometry) -> dict[float, float]:
        """Milliseconds that a frame of this grid is expected to take at each factor that can be told."""
        pixels = grid.shape[0] * grid.shape[1]
        told = {factor: self._pace.expected(factor, pixels) for factor in self._at}
        return {factor: 1000 * seconds for factor, seconds in told.items() if seconds is not None}

    def results(self, frames: Iterable[Volume | Frame]) -> Iterator[LiveResult]:
        """A result for each frame, in their order."""
        for each in frames:
            frame = Frame(each) if isinstance(each, Volume) else each
            arrived = self._clock() if frame.arrived_s is None else frame.arrived_s
            result = self._result(frame, arrived)
            self._count += 1
            self._tally.note(result)
            if result.is_computed:
                self._last = result
            yield result

    def summary(self) -> LiveSummary:
        """The stream so far in figures."""
        return self._tally.summary()

    def _result(self, frame: Frame, arrived: float) -> LiveResult:
        if frame.picture is None:
            return self._without(frame, arrived, None, frame.why)
        grid = frame.picture.geometry
        pixels = grid.shape[0] * grid.shape[1]
        factor = self._pace.fitting(arrived + self._deadline_s - self._clock(), pixels)
        if factor is None and self._idle >= PROBE:  # else a slow moment would never end
            factor = self._pace.factors[-1]
            self._pace.forget()
        if factor is None:
            self._idle += 1
            return self._without(frame, arrived, grid, NO_TIME)
        self._idle = 0
        labels, _ = self._segmented(frame.picture, factor)
        return self._finished(frame, arrived, "full" if factor == 1 else "reduced", labels, factor=factor)

    def _without(self, frame: Frame, arrived: float, grid: Geometry | None, why: str) -> LiveResult:
        """The last result again where it is fresh and fits, else none."""
        last = self._last
        if last is None or last.labels is None or grid is None:
            return self._finished(frame, arrived, "dropped", None, why=why)
        fresh = arrived - last.arrived_s <= self._repeat_s
        if not fresh or not last.labels.geometry.same_place(grid):
            return self._finished(frame, arrived, "dropped", None, why=why)
        return self._finished(frame, arrived, "repeated", last.labels, factor=last.factor, of=last.of)

    def _finished(
        self,
        frame: Frame,
        arrived: float,
        flag: Flag,
        labels: LabelMap | None,
        *,
        factor: float = 1.0,
        of: int | None = None,
        why: str = "",
    ) -> LiveResult:
        took = self._clock() - arrived
        mine = self._count if flag in ("full", "reduced") else of
        late = flag != "dropped" and took > self._deadline_s
        return LiveResult(self._count, frame.name, flag, labels, mine, factor, arrived, took, late, why)

    def _segmented(self, picture: Volume, factor: float) -> tuple[LabelMap, float]:
        segmenter = self._at[factor]
        _check_flat(picture, segmenter)
        start = self._clock()
        labels = segmenter.segment(picture).labels
        seconds = self._clock() - start
        shape = picture.geometry.shape
        self._pace.note(factor, seconds, shape[0] * shape[1])
        notes = () if factor == 1 else (f"reduced: found on a grid {factor:g} times as coarse",)
        return replace(labels, notes=(*labels.notes, *notes)), seconds


@dataclass
class _Tally:
    """Counts and latencies of a stream while it runs."""

    deadline_ms: float
    warm_up_s: float | None = None
    first_s: float | None = None
    begun_s: float = 0.0
    ended_s: float = 0.0

    def __post_init__(self) -> None:
        self.latencies: list[float] = []
        self.counts = dict.fromkeys(("full", "reduced", "repeated", "dropped"), 0)
        self.late = 0

    def note(self, result: LiveResult) -> None:
        if not any(self.counts.values()):
            self.begun_s, self.first_s = result.arrived_s, result.latency_s
        self.ended_s = result.arrived_s + result.latency_s
        self.counts[result.flag] += 1
        self.late += result.is_late
        if result.is_computed:
            self.latencies.append(1000 * result.latency_s)

    def summary(self) -> LiveSummary:
        return LiveSummary(
            frames=sum(self.counts.values()),
            full=self.counts["full"],
            reduced=self.counts["reduced"],
            repeated=self.counts["repeated"],
            dropped=self.counts["dropped"],
            late=self.late,
            deadline_ms=self.deadline_ms,
            warm_up_ms=None if self.warm_up_s is None else 1000 * self.warm_up_s,
            first_ms=None if self.first_s is None else 1000 * self.first_s,
            p50_ms=self._percentile(50),
            p90_ms=self._percentile(90),
            p95_ms=self._percentile(95),
            p99_ms=self._percentile(99),
            max_ms=max(self.latencies, default=None),
            seconds=self.ended_s - self.begun_s,
        )

    def _percentile(self, share: int) -> float | None:
        """By counting: the latency that so many of a hundred frames do not exceed."""
        if not self.latencies:
            return None
        return float(np.percentile(self.latencies, share, method="inverted_cdf"))


def _working(segmenter: Segmenter, factor: float) -> Segmenter:
    """The segmenter of single pictures at one working size."""
    plan = segmenter.plan
    flat = [name for name in plan.use if plan.configuration(name).slice_axis is not None]
    if not flat:
        raise ModelError(
            f"frames are pictures, but this model is 3D ({', '.join(plan.use)}). Train a 2D configuration:  "
            f"delineate plan DATASET RUN --use 2d"
        )
    found = segmenter.networks[flat[0]]
    # Other engines than torch take windows of one size: larger frames then take fewer of them.
    any_size = all(isinstance(network, nn.Module) for network in found)
    smaller = coarser(plan, flat[0], factor, smaller=any_size)
    networks: dict[str, Sequence[Engine]] = {flat[0]: found}
    return replace(segmenter, plan=smaller, networks=networks, fast=False)


def _check_flat(picture: Volume, segmenter: Segmenter) -> None:
    """Refuses what is no picture of the kind that the 2D networks see."""
    plan = segmenter.plan
    axis = plan.configuration().slice_axis
    grid = turned_grid(picture.geometry, plan.orientation)
    if not picture.geometry.is_flat or axis is None or grid.shape[axis] != 1:
        raise ModelError(
            f"expected a picture across axis {axis} of the plan ({plan.orientation}), got "
            f"{picture.geometry!r}{picture.source.note}. Segment volumes with  delineate segment."
        )


def _noise(segmenter: Segmenter, grid: Geometry) -> Volume:
    """A picture of noise: blank ones would be cropped."""
    channels = tuple(channel.name for channel in segmenter.plan.channels)
    values = np.random.default_rng(0).integers(1, 255, (len(channels), *grid.shape))
    return Volume(values.astype(np.uint8), grid, channels)
