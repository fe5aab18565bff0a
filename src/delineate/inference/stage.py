"""Stage: one configuration at work on one scan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from pathlib import Path

from delineate.inference.head import Head, Told
from delineate.inference.planes import Across, Planes, PlaneSource
from delineate.inference.predictor import Predictor
from delineate.inference.repeats import Repeats
from delineate.inference.source import Source
from delineate.inference.stream import Stream, joined, slab_values
from delineate.inference.windows import Windows
from delineate.space import Geometry, Shape, triple

OTHER_AXIS = 0.8  # rows run across another axis than the first where that takes less than this share


@dataclass(frozen=True, eq=False)
class Stage:
    """What is needed to give logits on any grid of the scan.

    geometry  the network's grid
    head      what makes logits of features, where the networks give these
    batch     windows predicted at once
    across    thick slices: the nearest one, or interpolated
    scratch   folder of the file that sums are kept in; None: in memory
    """

    name: str
    source: Source
    geometry: Geometry
    patch: Shape
    predict: Predictor
    batch: int
    step: float
    across: Across = "nearest"
    head: Head | None = None
    scratch: Path | None = None

    @cached_property
    def repeats(self) -> Repeats:
        """The windows that are the same, and what was predicted for them."""
        everywhere = product(*self.windows(0).corners)
        return Repeats.among(self.source, map(triple, everywhere), self.patch)

    def windows(self, axis: int) -> Windows:
        """The windows, in rows across `axis`."""
        return Windows(self.source.padded, self.patch, axis, self.step)

    def rows(self, axis: int) -> int:
        """How many rows of windows there are across `axis`."""
        windows = self.windows(axis)
        return len(windows.rows(joined(windows, self.predict.outputs, self.batch)))

    def sums(self, axis: int) -> int:
        """How many numbers are in memory while rows run across `axis`."""
        return slab_values(self.windows(axis), self.predict.outputs, self.batch)

    def onto(self, grid: Geometry, axis: int, done: Callable[[], None]) -> PlaneSource:
        """The logits on another grid, plane by plane across `axis`; `done` is called after each row."""
        stream = Stream(
            self.source,
            self.windows(axis),
            self.predict,
            self.batch,
            done,
            repeats=self.repeats,
            scratch=self.scratch,
        )
        planes = Planes(stream, self.geometry, grid, axis, self.across)
        return planes if self.head is None else Told(planes, self.head)


def best_axis(stages: Sequence[Stage], onto: Geometry) -> int:
    """The axis across which rows of windows run: the one that takes least memory, in doubt the first."""
    cost = [
        sum(
            stage.sums(axis) + stage.predict.outputs * prod(onto.shape) // onto.shape[axis]
            for stage in stages
        )
        for axis in range(3)
    ]
    least = min(range(3), key=cost.__getitem__)
    return least if cost[least] < OTHER_AXIS * cost[0] else 0
