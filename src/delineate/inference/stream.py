"""Stream: a configuration's logits on its own grid, one plane after the other.

A row of windows is predicted when a plane of it is first asked for, and forgotten with the last. At any
time there are (class, thickness of a row, a, b) sums in memory, never (class, i, j, k).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor

from delineate.errors import ModelError
from delineate.inference.blend import Middle, Slab, importance
from delineate.inference.predictor import BATCH, Predictor
from delineate.inference.repeats import Repeats
from delineate.inference.scratch import Scratch
from delineate.inference.source import Source
from delineate.inference.windows import Row, Windows, batches

ROOM = 0.5  # share of a GPU's free memory that the sums may take; else they stay in main memory


class Stream:
    """Planes across `windows.axis`, to be asked for in ascending order.

    predict  logits of windows of the source
    batch    windows predicted at once
    done     called after each row
    scratch  folder of the file that sums are kept in; None: in memory
    middle   of a window, about which it is trusted most
    """

    def __init__(
        self,
        source: Source,
        windows: Windows,
        predict: Predictor,
        batch: int,
        done: Callable[[], None],
        *,
        repeats: Repeats | None = None,
        scratch: Path | None = None,
        middle: Middle = "between",
    ) -> None:
        self._source, self._windows, self._predict, self._batch = source, windows, predict, batch
        self._done, self._repeats = done, repeats or Repeats.none()
        together = joined(windows, predict.outputs, batch)
        self._rows = windows.rows(together)
        self._next = 0  # the row that is predicted next
        axis, planes = windows.axis, windows.thickness(together)
        size = 4 * slab_values(windows, predict.outputs, batch)  # bytes
        where = Scratch(home(size, predict.device), scratch)
        self._slab = Slab(predict.outputs, planes, _across(windows), where)
        self._weights = importance(windows.patch, middle).movedim(axis, 0).contiguous().to(self._slab.device)
        self._finished = [after.first for _, after in pairwise(self._rows)] + [windows.shape[axis]]

    def plane(self, number: int, classes: slice) -> Tensor:
        """Logits (class, a, b) of some classes, the other two axes in order.

        `number` counts the scan's own planes. Of those asked for before, the last may be asked for again.
        """
        axis, source = self._windows.axis, self._source
        number += source.before[axis]
        while self._next == 0 or number >= self._finished[self._next - 1]:
            self._advance(self._rows[self._next])
        a, b = (slice(source.before[n], source.before[n] + source.shape[n]) for n in range(3) if n != axis)
        return finite(self._slab.plane(number, classes))[:, a, b]

    def _advance(self, row: Row) -> None:
        self._slab.slide(row.first)
        axis, patch = self._windows.axis, self._windows.patch
        for corners in batches(row.corners, self._batch):
            inputs = [self._source.window(corner, patch) for corner in corners]
            logits = self._repeats.predicted(inputs, self._predict, self._slab.device)
            for corner, scores in zip(corners, logits, strict=True):
                a, b = (corner[n] for n in range(3) if n != axis)
                self._slab.add(scores.movedim(axis + 1, 1), self._weights, (corner[axis], a, b))
        self._next += 1
        self._done()


def finite(logits: Tensor) -> Tensor:
    """The logits, refused if any is not a number. Sums keep NaN and infinity, so it is enough to ask them."""
    if not bool(torch.isfinite(logits.sum())):
        raise ModelError(
            "the network gave NaN or infinite values. If it computes in fp16, try precision='fp32'; "
            "otherwise its training diverged and it cannot be used."
        )
    return logits


def joined(windows: Windows, classes: int, batch: int) -> int:
    """How many windows to join when rows are single slices: a batch, if their sums stay small."""
    slices = max(1, BATCH // _plane_values(windows, classes))
    a_row = math.prod(map(len, windows.corners)) // len(windows.corners[windows.axis])
    return min(batch, slices * a_row)


def slab_values(windows: Windows, classes: int, batch: int) -> int:
    """How many numbers the sums of all classes are."""
    return (1 + windows.thickness(joined(windows, classes, batch))) * _plane_values(windows, classes)


def home(size: int, device: torch.device) -> torch.device:
    """Where sums of `size` bytes are kept: on the device, or in main memory where a GPU is too small."""
    if device.type != "cuda":
        return device
    free, _ = torch.cuda.mem_get_info(device)
    return device if size <= ROOM * free else torch.device("cpu")


def _across(windows: Windows) -> tuple[int, int]:
    a, b = (size for n, size in enumerate(windows.shape) if n != windows.axis)
    return a, b


def _plane_values(windows: Windows, classes: int) -> int:
    return classes * math.prod(_across(windows))
