"""Stage: one configuration at work on one scan."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path

from delineate.inference.blend import Middle
from delineate.inference.chances import Chances
from delineate.inference.head import Head, Told
from delineate.inference.layout import Layout
from delineate.inference.planes import Across, Planes, PlaneSource
from delineate.inference.predictor import Predictor
from delineate.inference.repeats import Repeats
from delineate.inference.source import Source
from delineate.inference.stream import Stream
from delineate.space import Geometry, Shape, triple


@dataclass(frozen=True, eq=False)
class Stage:
    """What is needed to give logits on any grid of the scan.

    geometry  the network's grid
    head      what makes logits of features, where the networks give these
    batch     windows predicted at once
    across    thick slices: the nearest one, or interpolated
    scratch   folder of the file that sums are kept in; None: in memory
    middle    of a window, about which it is trusted most
    chances   what makes probabilities of logits, where those are brought onto the scan; else logits are
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
    chances: Chances | None = None
    middle: Middle = "between"

    @cached_property
    def repeats(self) -> Repeats:
        """The windows that are the same, and what was predicted for them."""
        everywhere = product(*self.layout.windows(0).corners)
        return Repeats.among(self.source, map(triple, everywhere), self.patch)

    @property
    def layout(self) -> Layout:
        """How the windows lie."""
        return Layout(self.source.padded, self.patch, self.predict.outputs, self.batch, self.step)

    def onto(self, grid: Geometry, axis: int, done: Callable[[], None]) -> PlaneSource:
        """The logits on another grid, plane by plane across `axis`; `done` is called after each row."""
        stream = Stream(
            self.source,
            self.layout.windows(axis),
            self.predict,
            self.batch,
            done,
            repeats=self.repeats,
            scratch=self.scratch,
            middle=self.middle,
        )
        if self.chances is not None:
            logits = stream if self.head is None else Told(stream, self.head)
            likely = Planes(self.chances.of(logits), self.geometry, grid, axis, self.across)
            return self.chances.undone(likely)
        planes = Planes(stream, self.geometry, grid, axis, self.across)
        return planes if self.head is None else Told(planes, self.head)
