"""Fast: structures sought on a coarse grid first, and only the box around them looked at closely.

The coarse grid is that of the plan's low resolution where it was trained, else the network's own grid made
coarser. The box is grown where a structure touches its edge, so that what was found is never cut; what the
coarse look misses altogether, far from everything that it found, is lost. Where nothing is found, or the box
saves no windows, the whole scan is done, and the labels' notes say so.
Source: Wasserthal 2023, doi:10.1148/ryai.230024 (TotalSegmentator's cropped tasks and its robust crop).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from delineate.inference.coarse import coarser
from delineate.inference.verdict import Verdict
from delineate.inference.windows import Windows
from delineate.networks.model import required
from delineate.preparation.prepared import Upright, interpolation
from delineate.progress import Progress
from delineate.space import Box, Geometry, Shape, triple

if TYPE_CHECKING:
    from delineate.inference.segmenter import Segmenter

FACTOR = 2.0  # of the coarse grid, where the plan has none: an eighth of the windows
MARGIN_MM = 20.0  # around what was found; TotalSegmentator crops with 10 to 20 mm
ROUNDS = 3  # times that a box may grow before the whole scan is done
LOW = "3d_lowres"


@dataclass(frozen=True, eq=False)
class Look:
    """A scan, who looks at it closely, and who looked first."""

    segmenter: Segmenter
    seeker: Segmenter
    there: Upright
    progress: Progress
    keep: bool

    @property
    def whole(self) -> int:
        """Windows of the whole scan."""
        return window_count(self.segmenter, self.there.cropped)

    @property
    def search(self) -> int:
        """Windows of the coarse look."""
        return window_count(self.seeker, self.there.cropped)


def fast_verdict(
    segmenter: Segmenter, there: Upright, progress: Progress, *, keep: bool
) -> tuple[Verdict, tuple[str, ...]]:
    """The verdict on the scan's turned and cropped grid, and notes on how it was found."""
    look = Look(segmenter, _seeker(segmenter), there, progress, keep)
    if there.later:
        return _everywhere(
            look, "this model measures intensities on the network's grid, of the scan as a whole"
        )
    if look.search >= look.whole:
        return _everywhere(look, f"it takes {look.whole} windows, and looking for structures {look.search}")
    box = _found(look)
    if box is None:
        return _everywhere(look, "nothing was found on the coarse grid", look.search)
    spent = look.search
    for round_ in range(ROUNDS + 1):
        part = _part(there, box)
        close = window_count(segmenter, part.cropped)
        if spent + close >= look.whole:
            return _everywhere(look, _large(box, there.cropped), spent)
        verdict = segmenter.verdict(part, segmenter.plan.use, part.cropped, progress, keep=keep)
        spent += close
        larger = _grown(box, verdict, there.cropped, MARGIN_MM * 2**round_)
        if larger == box:
            return _pasted(verdict, box, look), _notes(look, box, spent, round_)
        box = larger
    return _everywhere(look, f"structures touched the edge of the box {ROUNDS + 1} times", spent)


def window_count(segmenter: Segmenter, grid: Geometry) -> int:
    """How many windows a turned and cropped scan takes, all configurations together."""
    return sum(_windows(segmenter, name, grid) for name in required(segmenter.plan))


def _windows(segmenter: Segmenter, name: str, grid: Geometry) -> int:
    configuration = segmenter.plan.configuration(name)
    shape = interpolation(grid, configuration, order=1)[0].shape
    padded = triple(max(n, edge) for n, edge in zip(shape, configuration.patch, strict=True))
    windows = Windows(padded, configuration.patch, 0, segmenter.step)
    return math.prod(map(len, windows.corners))


def _seeker(segmenter: Segmenter) -> Segmenter:
    """Who looks first: one network, no mirrored copies."""
    plan = segmenter.plan
    low = LOW in plan.configurations and bool(segmenter.networks.get(LOW))
    name = LOW if low else plan.first
    while not low and (before := plan.configuration(name).previous) is not None:
        name = before  # a cascade is found by what it begins with
    factor = 1.0 if low or name != plan.first else FACTOR
    coarse = coarser(plan, name, factor, smaller=False)
    networks = {name: segmenter.networks[name][:1]}
    return replace(segmenter, plan=coarse, networks=networks, mirror=False, fast=False)


def _found(look: Look) -> Box | None:
    """The box of the scan's voxels around everything that the coarse look finds, with its margin."""
    seeker, there = look.seeker, look.there
    onto, _ = interpolation(there.cropped, seeker.plan.configuration(), order=1)
    verdict = seeker.verdict(there, seeker.plan.use, onto, look.progress, keep=False)
    box = Box.around(verdict.values)
    if box is None:
        return None
    low, high = (
        there.cropped.to_index(onto.to_world(np.array(c) - 0.5)) + 0.5 for c in (box.start, box.stop)
    )
    margin = _voxels(MARGIN_MM, there.cropped)
    start = triple(math.floor(a + 1e-6) - m for a, m in zip(low, margin, strict=True))
    stop = triple(math.ceil(b - 1e-6) + m for b, m in zip(high, margin, strict=True))
    return _at_least(Box(start, stop), look).clipped(there.cropped.shape)


def _at_least(box: Box, look: Look) -> Box:
    """The box, no smaller than a patch: where there is tissue, windows shall not see padding instead."""
    grid, plan = look.there.cropped, look.segmenter.plan
    start, stop = list(box.start), list(box.stop)
    for name in required(plan):
        configuration = plan.configuration(name)
        for axis, (edge, step) in enumerate(zip(configuration.patch, configuration.spacing, strict=True)):
            if axis == configuration.slice_axis:
                continue
            wanted = min(grid.shape[axis], math.ceil(edge * step / grid.spacing[axis]))
            missing = max(0, wanted - (stop[axis] - start[axis]))
            start[axis] -= missing // 2
            stop[axis] += missing - missing // 2
            over = max(0, -start[axis]) - max(0, stop[axis] - grid.shape[axis])
            start[axis], stop[axis] = start[axis] + over, stop[axis] + over  # slid into the scan
    return Box(triple(start), triple(stop))


def _part(there: Upright, box: Box) -> Upright:
    return replace(
        there,
        array=there.array[:, *box.slices],
        cropped=there.cropped.cropped(box),
        mask=None if there.mask is None else there.mask[box.slices],
    )


def _grown(box: Box, verdict: Verdict, grid: Geometry, by_mm: float) -> Box:
    """The box, larger on those sides that a structure touches and beyond which there is more of the scan."""
    start, stop, more = list(box.start), list(box.stop), _voxels(by_mm, grid)
    for axis in range(3):
        faces = np.moveaxis(verdict.values, axis, 0)
        if start[axis] > 0 and faces[0].any():
            start[axis] -= more[axis]
        if stop[axis] < grid.shape[axis] and faces[-1].any():
            stop[axis] += more[axis]
    return Box(triple(start), triple(stop)).clipped(grid.shape)


def _pasted(verdict: Verdict, box: Box, look: Look) -> Verdict:
    """The verdict of a box on the whole grid: background elsewhere."""
    shape = look.there.cropped.shape
    values = np.zeros(shape, verdict.values.dtype)
    values[box.slices] = verdict.values
    if verdict.probabilities is None:
        return Verdict(values, None)
    kept = np.zeros((len(verdict.probabilities), *shape), np.float32)
    if look.segmenter.plan.labels.exclusive:
        kept[0] = 1
    kept[:, *box.slices] = verdict.probabilities
    return Verdict(values, kept)


def _everywhere(look: Look, why: str, spent: int = 0) -> tuple[Verdict, tuple[str, ...]]:
    segmenter, there = look.segmenter, look.there
    verdict = segmenter.verdict(there, segmenter.plan.use, there.cropped, look.progress, keep=look.keep)
    more = f", {spent} windows more than without the fast mode" if spent else ""
    return verdict, (f"fast mode: the whole scan was done: {why}{more}",)


def _notes(look: Look, box: Box, spent: int, rounds: int) -> tuple[str, ...]:
    size = " x ".join(map(str, box.shape))
    seen = _percent(box.shape, look.there.cropped.shape)
    grown = f", grown {rounds} time{'s' * (rounds > 1)} because structures touched its edge" * bool(rounds)
    return (
        f"fast mode: found on a coarse grid and looked at closely in a box of {size} voxels ({seen} of the "
        f"scan){grown}; {look.whole - spent} of {look.whole} windows saved",
    )


def _large(box: Box, grid: Geometry) -> str:
    return f"the box around what was found is {_percent(box.shape, grid.shape)} of it and saves no windows"


def _percent(part: Shape, whole: Shape) -> str:
    return f"{math.prod(part) / math.prod(whole):.0%}"


def _voxels(size_mm: float, grid: Geometry) -> Shape:
    return triple(math.ceil(size_mm / step) for step in grid.spacing)
