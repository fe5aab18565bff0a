"""Decisions: what every rater said of every voxel, pattern by pattern.

With k raters and L labels there are at most L^k patterns of decisions, and a scan shows some dozens of
them. What is counted by pattern instead of by voxel costs next to nothing: a vote, hundreds of rounds of
STAPLE, every pairwise Dice, kappa, and all of that again with one rater left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, reduce

import numpy as np
import numpy.typing as npt

from delineate.space import Box, LabelMap, Shape, triple

Numbers = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Places = npt.NDArray[np.intp]
Codes = npt.NDArray[np.int32]

OPEN = -1  # a decision that was not made: the rater left the voxel open (the ignore label)
MARGIN_MM = 0.0  # the tightest box: in wider ones STAPLE draws too much, docs/explanations/people-disagree.md
NOTHING = Box((0, 0, 0), (1, 1, 1))  # looked at where nobody labelled anything


@dataclass(frozen=True, eq=False)
class Decisions:
    """What several raters said of one scan.

    values    label values in ascending order, background first
    patterns  (pattern, rater) a place in `values`, or `OPEN`; the first pattern is background by everybody
    codes     (i, j, k) the pattern of each voxel of `box`; beyond it everybody said background
    counts    (pattern,) voxels in the field of view
    total     (pattern,) voxels in the whole scan
    """

    values: tuple[int, ...]
    patterns: Places
    codes: Codes
    box: Box
    counts: Numbers
    total: Numbers

    @classmethod
    def of(
        cls, maps: Sequence[LabelMap], *, margin_mm: float | None = MARGIN_MM, framing: int | None = None
    ) -> Decisions:
        """The decisions in maps of one grid and one schema.

        margin_mm  the field of view is what anybody labelled and so much around it; None: the whole scan
        framing    how many of the maps, from the first, make the field of view; None: all of them
        """
        grid, schema = maps[0].geometry, maps[0].schema
        values = (0, *sorted(label.value for label in schema.labels))
        boxes = [Box.around(labels.array != 0) for labels in maps]
        box, framed = _joined(boxes) or NOTHING, _joined(boxes[:framing]) or NOTHING
        whole = Box((0, 0, 0), grid.shape)
        margin = None if margin_mm is None else np.ceil(np.divide(margin_mm, grid.spacing))
        field = whole if margin is None else _grown(framed, margin).clipped(grid.shape)
        codes, patterns = _coded([_places(labels, values, box) for labels in maps], len(values))
        counts, total = (_counted(codes, len(patterns), box, part) for part in (field, whole))
        return cls(values, patterns, codes, box, counts, total)

    def without(self, rater: int) -> Decisions:
        """The same voxels in the same field of view, as the other raters decided them."""
        return replace(self, patterns=np.delete(self.patterns, rater, axis=1))

    def first(self, raters: int) -> Decisions:
        """The same voxels in the same field of view, as the first raters decided them."""
        return replace(self, patterns=self.patterns[:, :raters])

    @cached_property
    def known(self) -> Bools:
        """(pattern, rater) whether the rater decided."""
        return np.asarray(self.patterns != OPEN)

    def votes(self, structure: Sequence[int]) -> Bools:
        """(pattern, rater) whether the rater gave one of these label values."""
        return np.asarray(np.isin(self.values, structure)[self.patterns] & self.known)

    def binary(self, structure: Sequence[int]) -> Places:
        """(pattern, rater) 1 for the structure, 0 for everything else, `OPEN` as it is."""
        return np.where(self.known, self.votes(structure), OPEN)

    def mask(self, chosen: Bools) -> Bools:
        """(i, j, k) where a pattern of `box` is one of the chosen (pattern,)."""
        return np.asarray(chosen[self.codes])

    def rates(self, said: Bools, share: Numbers) -> tuple[Numbers, Numbers]:
        """(rater,) sensitivity and specificity of what was said (pattern, rater), in the field of view.

        share  (pattern,) how likely it is true; NaN comes back where nothing is, or everything
        """
        rates = [
            ratio((self.counts * of) @ said, (self.counts * of) @ self.known) for of in (share, 1 - share)
        ]
        return rates[0], 1 - rates[1]

    def dice(self, said: Bools, consensus: Bools) -> Numbers:
        """(rater,) Dice with a consensus (pattern,) in the whole scan; NaN where both are empty."""
        inside = self.total * consensus
        return ratio(2 * (inside @ said), self.total @ said + inside @ self.known)


def ratio(part: Numbers, whole: Numbers, *, empty: float = np.nan) -> Numbers:
    """Part of the whole, `empty` where there is no whole."""
    shape = np.broadcast_shapes(np.shape(part), np.shape(whole))
    return np.asarray(np.divide(part, whole, out=np.full(shape, empty), where=whole > 0))


def number(value: float) -> float | None:
    """A value of a record: None for NaN."""
    return None if np.isnan(value) else float(value)


def _joined(boxes: Sequence[Box | None]) -> Box | None:
    there = [box for box in boxes if box is not None]
    return reduce(Box.joined, there) if there else None


def _grown(box: Box, margin: Numbers) -> Box:
    return Box(
        triple(int(a - m) for a, m in zip(box.start, margin, strict=True)),
        triple(int(b + m) for b, m in zip(box.stop, margin, strict=True)),
    )


def _places(labels: LabelMap, values: tuple[int, ...], box: Box) -> Codes:
    """In a box (i, j, k), where each voxel's value stands in `values`; the ignore label behind them."""
    table = np.full(max(labels.schema.values) + 1, len(values), np.int32)
    table[list(values)] = np.arange(len(values))
    return np.asarray(table[labels.array[box.slices]])


def _coded(places: Sequence[Codes], labels: int) -> tuple[Codes, Places]:
    """The pattern of every voxel, and the patterns: renumbered with each rater, so tables stay small."""
    said = labels + 1  # the last stands for what was left open
    codes, patterns = np.zeros(places[0].shape, np.int32), np.zeros((1, 0), np.intp)
    for here in places:
        pairs = codes * np.int32(said) + here
        seen = np.bincount(pairs.ravel(), minlength=said * len(patterns))
        seen[0] += 1  # background by everybody stays the first pattern, whether it occurs or not
        kept = np.flatnonzero(seen)
        table = np.zeros(len(seen), np.int32)
        table[kept] = np.arange(len(kept))
        codes, patterns = table[pairs], np.column_stack([patterns[kept // said], kept % said])
    return codes, np.where(patterns == labels, OPEN, patterns)


def _counted(codes: Codes, patterns: int, box: Box, part: Box) -> Numbers:
    """Voxels of each pattern in a part of the scan."""
    start = triple(max(a, b) for a, b in zip(box.start, part.start, strict=True))
    stop = triple(min(a, b) for a, b in zip(box.stop, part.stop, strict=True))
    inside = triple(slice(a - o, max(a, b) - o) for a, b, o in zip(start, stop, box.start, strict=True))
    shared = codes[inside]
    counts = np.bincount(shared.ravel(), minlength=patterns).astype(np.float64)
    counts[0] += _voxels(part.shape) - shared.size
    return counts


def _voxels(shape: Shape) -> int:
    return int(np.prod(shape))
