"""Frames: where the pictures of a stream come from, and when they came.

A folder of pictures that may still grow, the pages of a TIFF, a DICOM film, or bytes from a camera. What is
read from a disk comes when it is asked for; what a camera sends comes by itself, is read by a thread of its
own, and waits in a queue with the time at which it came.
"""

from __future__ import annotations

import queue
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from delineate.errors import DataError, Error
from delineate.io import is_scan, read_film, read_volume, suffix_of
from delineate.io.preamble import is_dicom
from delineate.space import Box, Geometry, Volume

if TYPE_CHECKING:
    from delineate.inference import Frame

Clock = Callable[[], float]  # seconds
Wait = Callable[[float], None]

LOOK_S = 0.01  # between two looks into a folder that grows
SETTLE_S = 2.0  # a file that cannot be read may still be on its way for so long
WAITING = 64  # frames in the queue before the camera has to wait
RAW = re.compile(r"(?P<columns>\d+)x(?P<rows>\d+)(x(?P<channels>\d+))?(:(?P<kind>\w+))?")
KINDS = ("uint8", "uint16", "int16", "float32")


@dataclass(frozen=True)
class Raw:
    """What the bytes of a frame are: rows one after the other, the channels of a pixel together."""

    columns: int
    rows: int
    channels: int = 1
    kind: str = "uint8"  # little endian

    @classmethod
    def of(cls, text: str) -> Raw:
        """From words like "640x480", "256x256x3", "256x256x1:uint16"."""
        match = RAW.fullmatch(text)
        if match is None or (match["kind"] or "uint8") not in KINDS:
            raise DataError(
                f"{text!r} does not say what a raw frame is: expected COLUMNSxROWS[xCHANNELS][:KIND], for "
                f"example 640x480x3:uint8; kinds are {', '.join(KINDS)}."
            )
        columns, rows, channels = (int(match[name] or 1) for name in ("columns", "rows", "channels"))
        made = cls(columns, rows, channels, match["kind"] or "uint8")
        if min(made.columns, made.rows, made.channels) < 1:
            raise DataError(f"{text!r}: a frame has at least one column, row and channel.")
        return made

    @property
    def size(self) -> int:
        """Bytes of a frame."""
        return self.columns * self.rows * self.channels * np.dtype(self.kind).itemsize

    @property
    def grid(self) -> Geometry:
        """The grid of a frame; nothing says how large a pixel is."""
        return Geometry.of_image((self.columns, self.rows))

    def picture(self, content: bytes) -> Volume:
        """The picture that the bytes of a frame are."""
        values = np.frombuffer(content, np.dtype(self.kind).newbyteorder("<"))
        array = values.reshape(self.rows, self.columns, self.channels).transpose(2, 1, 0)[..., None]
        names = tuple(f"image_{n}" for n in range(self.channels))
        return Volume(array.astype(self.kind), self.grid, names)


@dataclass(frozen=True)
class Source:
    """Where frames come from.

    channels  what the model calls them
    follow_s  how long a folder may stay as it is before the stream is over; None: it does not grow
    """

    path: Path
    channels: tuple[str, ...]
    clock: Clock
    wait: Wait
    follow_s: float | None = None

    def frames(self) -> Iterator[Frame]:
        """The pictures in their order: by name, those that come later as they come."""
        if not self.path.is_dir():
            yield from self._pictures(self.path, self.clock())
            return
        seen: dict[Path, float] = {}
        done: set[Path] = set()
        last = self.clock()
        while True:
            new = sorted((path for path in _files(self.path) if path not in done), key=_natural)
            for path in new:
                come = seen.setdefault(path, self.clock())
                found = list(self._pictures(path, come if self.follow_s is not None else self.clock()))
                if not self._may_be_unfinished(found, come):
                    done.add(path)
                    last = self.clock()
                    yield from found
            over = self.follow_s is None or self.clock() - last > self.follow_s
            if over and seen.keys() <= done:
                return
            self.wait(LOOK_S)

    def _may_be_unfinished(self, found: list[Frame], come: float) -> bool:
        """Whether somebody may still be writing a file that cannot be read."""
        unread = any(frame.picture is None for frame in found)
        return unread and self.follow_s is not None and self.clock() - come < SETTLE_S

    def first_grid(self) -> Geometry | None:
        """The grid of the first picture that is there already; None where there is none."""
        paths = sorted(_files(self.path), key=_natural) if self.path.is_dir() else [self.path]
        for path in paths:
            for frame in self._pictures(path, 0.0):
                if frame.picture is not None:
                    return frame.picture.geometry
        return None

    def _pictures(self, path: Path, come: float) -> Iterator[Frame]:
        """The pictures of a file; where it cannot be read, a frame that says why."""
        from delineate.inference import Frame

        stem = path.name.removesuffix(suffix_of(path))
        try:
            for number, (count, picture) in enumerate(_read(path)):
                name = stem if count == 1 else f"{stem}_{number:0{len(str(count - 1))}d}"
                yield Frame(named(picture, self.channels), come, name)
                come = self.clock()  # the next is read when it is asked for
        except Error as error:
            yield Frame(None, come, stem, str(error))


def raw_frames(file: BinaryIO, raw: Raw, channels: tuple[str, ...], clock: Clock) -> Iterator[Frame]:
    """The frames of a stream of bytes; a frame comes with its last byte."""
    from delineate.inference import Frame

    number = 0
    while content := file.read(raw.size):
        if len(content) < raw.size:
            raise DataError(
                f"the stream ended within frame {number}: {len(content)} of {raw.size} bytes. Are frames "
                f"{raw.columns} x {raw.rows} pixels of {raw.channels} x {raw.kind}?"
            )
        yield Frame(named(raw.picture(content), channels), clock(), f"frame_{number:06d}")
        number += 1


def paced(frames: Iterator[Frame], per_second: float, clock: Clock, wait: Wait) -> Iterator[Frame]:
    """The frames at a pace, as if a camera sent them."""
    start = clock()
    for number, frame in enumerate(frames):
        due = start + number / per_second
        if (left := due - clock()) > 0:
            wait(left)
        yield replace(frame, arrived_s=due)


@contextmanager
def arriving(frames: Iterator[Frame]) -> Iterator[Iterator[Frame]]:
    """The same frames, read by a thread of their own while others are looked at."""
    line: queue.Queue[Frame | BaseException | None] = queue.Queue(WAITING)
    stop = threading.Event()

    def read() -> None:
        end: BaseException | None = None
        try:
            for frame in frames:
                line.put(frame)
                if stop.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - it is raised where the frames are taken
            end = error
        line.put(end)

    def taken() -> Iterator[Frame]:
        while (item := line.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item

    threading.Thread(target=read, name="frames", daemon=True).start()
    try:
        yield taken()
    finally:
        stop.set()
        while not line.empty():  # lets the thread go on to see that it is over
            line.get_nowait()


def named(picture: Volume, channels: tuple[str, ...]) -> Volume:
    """The picture with its channels named as the model calls them."""
    if len(picture.channels) != len(channels):
        raise DataError(
            f"the model reads {len(channels)} channel(s) ({', '.join(channels)}), a frame has "
            f"{len(picture.channels)}{picture.source.note}. Send frames of the kind that it learnt from."
        )
    return Volume(picture.array, picture.geometry, channels, picture.source)


def _read(path: Path) -> Iterator[tuple[int, Volume]]:
    """How many pictures a file holds, with each of them."""
    if is_dicom(path):
        film = read_film(path)
        yield from ((len(film), picture) for picture in film)
        return
    stack = read_volume(path)
    columns, rows, pages = stack.geometry.shape
    grid = Geometry.of_image((columns, rows), stack.geometry.spacing[:2])
    for k in range(pages):
        page = stack.cropped(Box((0, 0, k), (columns, rows, k + 1)))
        yield pages, Volume(page.array, grid, stack.channels, stack.source)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and is_scan(path)]


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Numbers in names count as numbers: frame_2 comes before frame_10."""
    parts = re.split(r"(\d+)", path.name)
    return [(part.isdigit(), int(part) if part.isdigit() else 0, part) for part in parts]
