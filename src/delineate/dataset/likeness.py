"""Likeness: which scans of a set are copies of each other, resaved, mirrored, turned or brightened.

The thumbnails of all scans are compared with those of all others in every turn, as matrix products; a
coarse pass first, then the promising pairs in full.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from delineate.dataset.imprint import Imprint, Turn, ranked, turns

Array = npt.NDArray[Any]
How = Literal["near-identical", "turned", "intensity"]

PROMISING = 0.98  # correlation at half the resolution: worth a look in full
ROWS = 1024  # thumbnails that are compared with all others in one product
PAIRS = 4096  # pairs that are looked at in full at once


# Correlation of thumbnails: different hippocampi reach 0.85, heads 0.98, blood cells 0.986; two sequences
# of one head reach 0.997.
ALIKE = 0.999
# Ranks in thumbnails forget any increasing curve: different hippocampi reach 0.85, heads and cells 0.95.
ALIKE_RANKS = 0.995
# Either sees much of an outline, which all scans of an atlas share and which is no copy: what is left of two
# scans when the mean of all others is taken away must be alike too.
ALIKE_APART = 0.9
ENOUGH = 8  # scans that are needed to know what all share; below, ranks are not asked


@dataclass(frozen=True)
class Twins:
    """Two scans that look the same, by their place in the sequence."""

    a: int
    b: int
    how: How


def find_twins(imprints: Sequence[Imprint]) -> tuple[Twins, ...]:
    """The pairs that look the same; those with the same digest are left out, they are the same."""
    found: list[Twins] = []
    for flat in (False, True):
        places = [n for n, p in enumerate(imprints) if p.thumbnail is not None and p.is_flat == flat]
        if len(places) < 2:
            continue
        thumbnails = np.stack([imprints[n].thumbnail for n in places])  # type: ignore[misc]
        for a, b, how in _search(thumbnails, flat=flat):
            if imprints[places[a]].digest != imprints[places[b]].digest:
                found.append(Twins(places[a], places[b], how))
    return tuple(found)


def correlations(thumbnails: Sequence[Array]) -> Array:
    """(n, n) correlations of thumbnails of one shape as they lie."""
    rows = _unit(np.stack(list(thumbnails))).reshape(len(thumbnails), -1)
    return np.asarray(rows @ rows.T)


def _search(thumbnails: Array, *, flat: bool) -> Iterator[tuple[int, int, How]]:
    """Each pair once, with the simplest explanation."""
    told = set()
    every = sorted(turns(flat=flat), key=lambda turn: not turn.is_identity)
    asked: list[tuple[Array, float, How]] = [(thumbnails, ALIKE, "near-identical")]
    if len(thumbnails) >= ENOUGH:
        asked.append((np.stack([ranked(t) for t in thumbnails]), ALIKE_RANKS, "intensity"))
    for values, threshold, how in asked:
        fine, coarse = _unit(values), _unit(_halved(values))
        for turn in every:
            for pair in _alike(fine, coarse, turn, threshold):
                if pair not in told:
                    told.add(pair)
                    yield (*pair, how if turn.is_identity else "turned")


def _alike(fine: Array, coarse: Array, turn: Turn, threshold: float) -> Iterator[tuple[int, int]]:
    """Pairs a < b where a looks like b turned."""
    count = len(fine)
    turned = np.ascontiguousarray(turn.applied(coarse)).reshape(count, -1).T
    for start in range(0, count, ROWS):
        promising = np.abs(coarse[start : start + ROWS].reshape(-1, len(turned)) @ turned) > PROMISING
        first, second = np.nonzero(promising)
        first += start
        first, second = first[first < second], second[first < second]
        for at in range(0, len(first), PAIRS):
            a, b = first[at : at + PAIRS], second[at : at + PAIRS]
            likeness = _products(fine[a], turn.applied(fine[b]))
            alike = np.abs(likeness) > threshold
            a, b, sign = a[alike], b[alike], np.sign(likeness[alike])
            if count >= ENOUGH and len(a):
                alike = _apart_from_all(fine, a, b, turn, sign) > ALIKE_APART
                a, b = a[alike], b[alike]
            yield from zip(a.tolist(), b.tolist(), strict=True)


def _apart_from_all(fine: Array, a: Array, b: Array, turn: Turn, sign: Array) -> Array:
    """How alike a and b turned (and inverted) are when the mean of all others is taken away from both."""
    others = (fine.sum(axis=0) - fine[a] - fine[b]) / (len(fine) - 2)
    copies = sign[:, None, None, None] * turn.applied(fine[b])
    return _products(_unit(fine[a] - others), _unit(copies - others))


def _products(a: Array, b: Array) -> Array:
    """(n,) sums of products; correlations, where both have mean 0 and norm 1."""
    return np.asarray(np.einsum("nijk,nijk->n", a, b))


def _unit(values: Array) -> Array:
    """(n, i, j, k), each with mean 0 and norm 1."""
    values = values.astype(np.float32)
    values = values - values.mean(axis=(1, 2, 3), keepdims=True)
    norms = np.sqrt(np.square(values).sum(axis=(1, 2, 3), keepdims=True))
    return np.asarray(values / np.maximum(norms, 1e-12))


def _halved(values: Array) -> Array:
    """(n, i, j, k) at half the resolution; an axis of one voxel stays."""
    for axis in (1, 2, 3):
        size = values.shape[axis]
        if size > 1:
            pairs = (*values.shape[:axis], size // 2, 2, *values.shape[axis + 1 :])
            values = values.reshape(pairs).mean(axis=axis + 1)
    return values
