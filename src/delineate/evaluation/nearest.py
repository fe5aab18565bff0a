"""Nearest: how far each voxel of one mask is from the nearest voxel of another, exactly and in mm.

Surfaces that are compared mostly lie within a few voxels of each other. So the steps of the grid are tried
from the shortest in the patient to the longest, for all voxels at once: the first that leads to a voxel of
the other mask is the distance, whatever the grid (oblique, anisotropic, sheared). The voxels that are then
left are few or far away, and are looked for in a k-d tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import gamma, pi
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from delineate.evaluation.overlap import Mask
from delineate.space import Shape

Numbers = npt.NDArray[np.float64]  # (n,)
Indices = npt.NDArray[np.intp]
Matrix = npt.NDArray[np.float64]  # (3, 3), a step of the grid -> mm

STEPS = 600  # tried before a tree is built: those within five voxels of a grid of cubes
SAME = 1e-9  # relative: steps of one length
LEAF = 32  # voxels: the tree is built for few questions
AT_ONCE, SEVERAL = 2**16, 16  # voxels by steps that are tried together; fewer steps are not worth it


def nearest(here: Mask, there: Mask, linear: Matrix) -> Numbers:
    """For each True of `here`, in C order, the distance in mm to the nearest True of `there`.

    linear   the grid's affine without its origin
    Both masks are of one shape, and `there` has a True somewhere.
    """
    places = np.flatnonzero(here)
    found = np.zeros(len(places))
    apart = np.flatnonzero(~there.reshape(-1)[places])
    if len(apart):
        found[apart] = _searched(places[apart], there, linear)
    return found


def in_mm(index: Sequence[npt.NDArray[Any]] | npt.NDArray[Any], linear: Matrix) -> npt.NDArray[np.float64]:
    """Indices along i, j and k, each (...), as places (..., 3) in mm from the first voxel."""
    # Written out: a product of matrices so thin would wake all threads for nothing.
    i, j, k = index
    return np.stack([a * i + b * j + c * k for a, b, c in linear], axis=-1)


def _searched(places: Indices, there: Mask, linear: Matrix) -> Numbers:
    """The distances of voxels, by flat index, that `there` does not have."""
    found = _around(places, there, linear)
    far = np.flatnonzero(np.isnan(found))
    if len(far):
        from_here, to_there = (
            in_mm(np.unravel_index(some, there.shape), linear)
            for some in (places[far], np.flatnonzero(there))
        )
        tree = cKDTree(to_there, leafsize=LEAF, balanced_tree=False, compact_nodes=False)
        found[far] = tree.query(from_here)[0]
    return found


def _around(places: Indices, there: Mask, linear: Matrix) -> Numbers:
    """The distances of voxels that a step leads from to `there`, NaN for the others."""
    steps, lengths = steps_of(there.shape, linear, STEPS)
    margin = np.abs(steps).max(axis=0, initial=0)
    padded = np.pad(there, [(int(m), int(m)) for m in margin])
    index = np.stack(np.unravel_index(places, there.shape))
    around = np.ravel_multi_index(tuple(index + margin[:, None]), padded.shape)
    flags, shifts = padded.reshape(-1), steps @ (np.array(padded.strides) // padded.itemsize)
    shells = np.append(np.flatnonzero(np.diff(lengths) > SAME * lengths[:-1]) + 1, len(lengths))
    found, left, start = np.full(len(places), np.nan), np.arange(len(places)), 0
    while start < len(steps) and len(left):
        several = AT_ONCE // len(left)
        if several < SEVERAL:  # many voxels: the steps of one length, one after the other
            stop = int(shells[np.searchsorted(shells, start, side="right")])
            hit = flags[around + shifts[start]]
            for shift in shifts[start + 1 : stop]:
                hit |= flags[around + shift]
            found[left[hit]] = lengths[start]
        else:  # few voxels: many steps at once, and the first that hits
            stop = min(start + several, len(steps))
            hits = flags[around[:, None] + shifts[start:stop]]
            first = hits.argmax(axis=1)
            hit = hits[np.arange(len(left)), first]
            found[left[hit]] = lengths[start + first[hit]]
        around, left, start = around[~hit], left[~hit], stop
    return found


def steps_of(shape: Shape, linear: Matrix, about: int) -> tuple[Indices, Numbers]:
    """All steps (n, 3) up to a length, about so many, from the shortest; and their lengths in mm.

    Steps that lead out of a grid of this shape from everywhere are left out, and so is the one to itself.
    """
    flat = tuple(count == 1 for count in shape)
    steps, lengths = _ball(tuple(map(float, linear.reshape(-1))), flat, about)
    inside = (np.abs(steps) < shape).all(axis=1)
    return steps[inside], lengths[inside]


@lru_cache(maxsize=32)
def _ball(linear: tuple[float, ...], flat: tuple[bool, ...], about: int) -> tuple[Indices, Numbers]:
    matrix = np.reshape(linear, (3, 3))
    axes = [axis for axis in range(3) if not flat[axis]]
    spans = matrix[:, axes]
    content = np.sqrt(np.linalg.det(spans.T @ spans))  # of a voxel, along the axes that are there
    reach = (about * content * gamma(len(axes) / 2 + 1)) ** (1 / max(len(axes), 1)) / np.sqrt(pi)
    limits = np.zeros(3, int)
    limits[axes] = reach * np.linalg.norm(np.linalg.pinv(spans), axis=1)  # planes of voxels per mm
    steps = np.stack(np.meshgrid(*(np.arange(-n, n + 1) for n in limits), indexing="ij"), axis=-1)
    steps = steps.reshape(-1, 3)
    lengths = np.linalg.norm(steps @ matrix.T, axis=1)
    order = np.argsort(lengths, kind="stable")[1:]
    order = order[lengths[order] <= reach]
    return steps[order], lengths[order]
