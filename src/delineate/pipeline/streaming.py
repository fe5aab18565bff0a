"""Streaming: the frames of a stream through a packed model, each before its deadline or marked as what it is.

OUT/
  NAME.png        labels of each frame that a network looked at
  frames.jsonl    a line per frame: its flag, its labels' file, its latency
  summary.json    counts and percentiles
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO

from delineate.errors import DataError
from delineate.io import write_labels
from delineate.io.disk import write_text
from delineate.pipeline.frames import Clock, Raw, Source, Wait, arriving, paced, raw_frames
from delineate.pipeline.watch import Watch
from delineate.space import Geometry

if TYPE_CHECKING:
    from delineate.inference import Frame, Live, LiveResult, LiveSummary
    from delineate.inference.engine import EngineWish
    from delineate.networks import Precision

ROWS, SUMMARY = "frames.jsonl", "summary.json"


@dataclass(frozen=True)
class LiveWishes:
    """How a stream is segmented.

    deadline_ms  after the arrival of each frame
    engine       what computes networks, and `cache` what it keeps; others than torch take windows of one size
    factors      by which frames may be made smaller, 1 first; None: as measured to be useful
    repeat_ms    how old a result may be that is given again; None: as ever
    per_second   frames of a recorded source come at this pace; None: each when the one before is done
    follow_s     a folder may grow; so long without a new frame ends the stream
    warm_up      the grid of the frames to come, if the model is to be warmed up on it
    """

    deadline_ms: float = 200.0
    device: str = "cpu"
    precision: Precision = "auto"
    engine: EngineWish | None = None
    cache: Path | None = None
    factors: tuple[float, ...] | None = None
    repeat_ms: float | None = None
    per_second: float | None = None
    follow_s: float | None = None
    warm_up: Geometry | bool = True  # True: the grid of the first frame, where it is there already


def live(
    model: Path,
    source: Path | tuple[BinaryIO, Raw],
    out: Path,
    how: LiveWishes,
    watch: Watch,
    *,
    clock: Clock = time.perf_counter,
    wait: Wait = time.sleep,
) -> LiveSummary:
    """Segments the frames of a stream in their order and returns what became of them.

    source  a folder, a file, or a stream of bytes with what they are

    Ctrl-C ends the stream; what was done stays and is summed up.

    Raises:
        DataError: no frame could be read, or `out` holds another stream.
    """
    from delineate.inference import Live, Segmenter
    from delineate.inference.live import FACTORS, REPEAT_MS

    _refuse_other(out)
    if isinstance(source, Path) and not source.exists():
        raise DataError(f"{source}: no such file or folder")
    with watch.stage("open the model"):
        segmenter = Segmenter.open(
            model, device=how.device, precision=how.precision, engine=how.engine, cache=how.cache
        )
    at_work = Live(
        segmenter,
        deadline_ms=how.deadline_ms,
        factors=how.factors or FACTORS,
        repeat_ms=REPEAT_MS if how.repeat_ms is None else how.repeat_ms,
        clock=clock,
    )
    channels = tuple(channel.name for channel in segmenter.plan.channels)
    _warm_up(at_work, source, channels, how, watch)
    with ExitStack() as stack:
        frames = _frames(source, channels, how, clock, wait)
        if not isinstance(source, Path) or how.follow_s is not None or how.per_second is not None:
            frames = stack.enter_context(arriving(frames))
        desk = _Desk(out, stack.enter_context((out / ROWS).open("x", encoding="utf-8")), clock)
        progress = stack.enter_context(watch.stage("frames"))
        try:
            for result in at_work.results(frames):
                desk.take(result)
                progress(result.number + 1, 0, result.flag)
        except KeyboardInterrupt:
            watch.say("stopped")
    summary = at_work.summary()
    write_text(out / SUMMARY, summary.to_json())
    desk.refuse_nothing(source)
    return summary


class _Desk:
    """Writes results as they come."""

    def __init__(self, out: Path, rows: TextIO, clock: Clock) -> None:
        self._out, self._rows, self._clock = out, rows, clock
        self._files: dict[int, str] = {}  # of frames that were looked at lately
        self._names: set[str] = set()
        self._read, self._why = 0, ""

    def take(self, result: LiveResult) -> None:
        """Writes the labels of a frame, if it has its own, and its line."""
        from delineate.inference.live import NO_TIME

        if result.is_computed and result.labels is not None:
            name = result.name if result.name not in self._names else f"{result.name}_{result.number:06d}"
            self._names.add(name)
            self._files = {result.number: f"{name}.png"}
            write_labels(result.labels, self._out / f"{name}.png")
        self._read += result.flag != "dropped" or result.why == NO_TIME
        self._why = self._why or result.why
        self._rows.write(json.dumps(self._row(result), ensure_ascii=False) + "\n")
        self._rows.flush()

    def refuse_nothing(self, source: Path | tuple[BinaryIO, Raw]) -> None:
        """Raises where there was no frame that could be read."""
        if self._read:
            return
        where = source if isinstance(source, Path) else "the stream"
        raise DataError(f"{where}: no frame could be read{f': {self._why}' if self._why else ''}")

    def _row(self, result: LiveResult) -> dict[str, Any]:
        row = {
            "frame": result.number,
            "name": result.name,
            "flag": result.flag,
            "late": result.is_late,
            "labels": None if result.of is None else self._files.get(result.of),
            "of": result.of,
            "factor": result.factor,
            "latency_ms": round(1000 * result.latency_s, 3),
            "written_ms": round(1000 * (self._clock() - result.arrived_s), 3),
        }
        return row | ({"why": result.why} if result.why else {})


def _frames(
    source: Path | tuple[BinaryIO, Raw], channels: tuple[str, ...], how: LiveWishes, clock: Clock, wait: Wait
) -> Iterator[Frame]:
    if isinstance(source, Path):
        frames = Source(source, channels, clock, wait, how.follow_s).frames()
    else:
        frames = raw_frames(*source, channels, clock)
    return frames if how.per_second is None else paced(frames, how.per_second, clock, wait)


def _warm_up(
    at_work: Live,
    source: Path | tuple[BinaryIO, Raw],
    channels: tuple[str, ...],
    how: LiveWishes,
    watch: Watch,
) -> None:
    grid: Geometry | None = None
    if isinstance(how.warm_up, Geometry):
        grid = how.warm_up
    elif how.warm_up:
        if isinstance(source, Path):
            grid = Source(source, channels, time.perf_counter, time.sleep).first_grid()
        else:
            grid = source[1].grid
        if grid is None:
            watch.say("no frame is there yet, so nothing is warmed up; say how large they will be to do so")
    if grid is not None:
        with watch.stage("warm up"):
            at_work.warm_up(grid)
        times = [f"{ms:.0f} ms at 1/{factor:g}" for factor, ms in at_work.expected(grid).items()]
        watch.say(f"a frame takes {', '.join(times).replace(' at 1/1,', ',', 1)} of its edges")


def _refuse_other(out: Path) -> None:
    if (out / ROWS).exists():
        raise DataError(f"{out}: holds the results of another stream ({ROWS}). Name a new folder with -o.")
    out.mkdir(parents=True, exist_ok=True)
