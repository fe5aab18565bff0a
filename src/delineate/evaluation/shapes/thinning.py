"""Thinning: the centre line of a mask, one voxel thick, with all its branches, tunnels and pieces.

Voxels are taken away from six sides in turn, each only if that changes no component, tunnel or cavity and
if it was not the end of a line when its side's turn came. Eight interleaved subsets are thinned one after the
other: no two voxels of a subset touch, so all of its removable voxels go at once, as if they had gone one by
one, and what is kept has the topology of the mask by construction. Nothing can run along a line and eat it
within a turn: a tube of even width becomes a line like any other (in 3D `skimage.morphology.skeletonize` 0.26
leaves nothing of it, scikit-image issue 3757).

Sources: Lee 1994, doi:10.1006/cgip.1994.1042 (sides in turn, ends are kept); Bertrand and Malandain 1994,
doi:10.1016/0167-8655(94)90046-9 (when a voxel may go: one object and one background neighbour component).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from itertools import product

import numpy as np
import numpy.typing as npt

from delineate.evaluation.overlap import Mask

Codes = npt.NDArray[np.uint32]  # which of a voxel's 26 neighbours are in the mask: one bit each
Places = npt.NDArray[np.intp]  # of voxels in the flattened array
Steps = npt.NDArray[np.intp]

NEIGHBOURS = tuple(offset for offset in product((-1, 0, 1), repeat=3) if any(offset))
HALF = 13  # bits that one lookup table answers for
LOW = np.uint32((1 << HALF) - 1)
ONE = np.uint32(1)


def centerline(mask: Mask) -> Mask:
    """The voxels of a mask (i, j, k) that are left when it is thinned to lines.

    A solid ball becomes a voxel or a few, a picture is thinned in its plane, and a mask around a cavity
    stays closed around it: topology is kept before thinness. Lines lose about half their width at each end.
    Where a line could run in two places (even widths), which of them is a matter of the order of the sides.
    """
    padded = np.pad(mask, 1).astype(np.uint8)
    jumps = np.array([size // padded.itemsize for size in padded.strides], np.intp)
    steps = np.array(NEIGHBOURS, np.intp) @ jumps
    flat = padded.reshape(-1)
    subset = _subsets(padded.shape)
    # A side and the one opposite to it never follow each other: lines of even width keep their ends better.
    sides = [sign * jumps[axis] for sign in (-1, 1) for axis in range(3) if mask.shape[axis] > 1]
    left = np.flatnonzero(flat)
    while True:
        before = len(left)
        for side in sides:
            _thin(flat, left[flat[left + side] == 0], steps, subset)
            left = left[flat[left] == 1]
        if len(left) == before:
            return padded[1:-1, 1:-1, 1:-1].astype(bool)


def _thin(flat: npt.NDArray[np.uint8], side: Places, steps: Steps, subset: npt.NDArray[np.uint8]) -> None:
    """Takes away what may go of the voxels on one side, subset by subset."""
    codes = _codes(flat, side, steps)
    side = side[_is_simple(codes) & ~_is_end(codes)]
    of_side = subset[side]
    for number in range(8):
        part = side[of_side == number]
        if len(part):
            flat[part[_is_simple(_codes(flat, part, steps))]] = 0


def _subsets(shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
    """For each voxel of the flattened array, whether its indices are even or odd: 0 to 7."""
    i, j, k = (np.arange(count, dtype=np.uint8) & 1 for count in shape)
    return np.asarray(4 * i[:, None, None] + 2 * j[:, None] + k, np.uint8).reshape(-1)


def _codes(flat: npt.NDArray[np.uint8], places: Places, steps: Steps) -> Codes:
    codes = np.zeros(len(places), np.uint32)
    for bit, step in enumerate(steps):
        codes |= flat[places + step].astype(np.uint32) << np.uint32(bit)
    return codes


def _is_end(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether a voxel has one neighbour: there a line ends."""
    return np.asarray((codes & (codes - ONE)) == 0)


def _is_simple(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether a voxel with these neighbours may go without a change of topology."""
    result = np.zeros(len(codes), bool)
    asked = np.flatnonzero(codes)
    asked = asked[_is_one_background(codes[asked])]
    result[asked[_is_one_object(codes[asked])]] = True
    return result


def _is_one_object(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether the neighbours in the mask hang together, by faces, edges or corners."""
    return np.asarray(_reached(codes & (~codes + ONE), codes, _around_26()) == codes)


def _is_one_background(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether the face neighbours outside the mask hang together by faces, going round by edges."""
    faces, near = _bits(1), _bits(2)
    outside = ~codes & near
    touching = outside & faces
    reached = _reached(touching & (~touching + ONE), outside, _around_6())
    return np.asarray((touching != 0) & (touching & ~reached == 0))


def _reached(start: Codes, within: Codes, around: npt.NDArray[np.uint32]) -> Codes:
    """What can be reached from `start` without leaving `within`."""
    low, high = around
    while True:
        grown = (low[start & LOW] | high[start >> np.uint32(HALF)]) & within
        if np.array_equal(grown, start):
            return start
        start = grown


@cache
def _bits(axes: int) -> np.uint32:
    """The neighbours that are off along at most that many axes: 1 faces, 2 also edges."""
    return np.uint32(sum(1 << n for n, offset in enumerate(NEIGHBOURS) if np.count_nonzero(offset) <= axes))


@cache
def _around_26() -> npt.NDArray[np.uint32]:
    return _tables(lambda apart: max(apart) <= 1)


@cache
def _around_6() -> npt.NDArray[np.uint32]:
    return _tables(lambda apart: sum(apart) <= 1)


def _tables(is_near: Callable[[Sequence[int]], bool]) -> npt.NDArray[np.uint32]:
    """(2, 8192): for the lower and the upper 13 neighbours, all neighbours that they touch."""
    apart = np.abs(np.array(NEIGHBOURS)[:, None] - np.array(NEIGHBOURS))
    touched = [sum(1 << n for n in range(26) if is_near(row[n])) for row in apart.tolist()]
    result = np.zeros((2, 1 << HALF), np.uint32)
    for half, row in enumerate(result):
        for bit in range(HALF):
            row[np.arange(1 << HALF) >> bit & 1 == 1] |= np.uint32(touched[HALF * half + bit])
    return result
