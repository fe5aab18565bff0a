"""Locations: where each structure is, as a sample of its voxels.

Training centres some patches on a structure. So that no label map is searched then, up to a few thousand
voxels of each structure are drawn once, when the case is prepared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from delineate.space import LabelSchema

Indices = npt.NDArray[np.signedinteger[Any]]  # (i, j, k): 0 background, n the n-th label, -1 unknown

# How many voxels are enough: nnU-Net 2, default preprocessor (10 000, and 1 % of large structures).
ENOUGH = 10_000
SHARE = 0.01

ANNOTATED = 0  # the class of every voxel that somebody annotated, where a schema has an ignore label
BACKGROUND = -1  # the class of what somebody said is background, where classes are drawn alike


@dataclass(frozen=True)
class Target:
    """What patches are centred on: a class number, its name and the label indices that belong to it."""

    number: int
    name: str
    members: tuple[int, ...]


def targets(schema: LabelSchema, *, background: bool = False) -> tuple[Target, ...]:
    """One target per label or, where there are any, per region, numbered from 1.

    With an ignore label there is also number 0: everything annotated, background included; and with
    `background` number -1, the background itself.
    """
    index = {label.value: n for n, label in enumerate(schema.labels, 1)}
    found = [
        Target(n, name, tuple(sorted(index[value] for value in values)))
        for n, (name, values) in enumerate(schema.structures.items(), 1)
    ]
    if schema.ignore is not None:
        found.insert(0, Target(ANNOTATED, "annotated", (0, *index.values())))
    if background:
        found.insert(0, Target(BACKGROUND, "background", (0,)))
    return tuple(found)


@dataclass(frozen=True)
class Locations:
    """Sampled voxels of each target.

    voxels   how many voxels each target has, one entry per target
    rows     (n, 4) int32: target number, i, j, k; in the order of the targets
    """

    voxels: tuple[int, ...]
    rows: npt.NDArray[np.int32]


def locate(labels: Indices, wanted: tuple[Target, ...], rng: np.random.Generator) -> Locations:
    """Voxels of each target, drawn without replacement: all of a small one, 1 % of a large one."""
    flat = labels.reshape(-1)
    lowest = min(min(target.members) for target in wanted)  # 0 where background counts
    places = np.flatnonzero(flat >= lowest)
    order = np.argsort(flat[places], kind="stable")
    present, starts = np.unique(flat[places][order], return_index=True)
    bounds = [*starts.tolist(), len(order)]
    runs = {int(n): places[order[a:b]] for n, (a, b) in zip(present, pairwise(bounds), strict=True)}
    voxels, rows = [], [np.empty((0, 4), np.int32)]
    for target in wanted:
        mine = np.concatenate([runs.get(n, places[:0]) for n in target.members])
        voxels.append(len(mine))
        drawn = rng.choice(mine, size=enough(len(mine)), replace=False, shuffle=False)
        coordinates = np.unravel_index(np.sort(drawn), labels.shape)
        number = np.full(len(drawn), target.number)
        rows.append(np.stack([number, *coordinates], axis=1).astype(np.int32))
    return Locations(tuple(voxels), np.concatenate(rows))


def enough(voxels: int) -> int:
    """How many of a structure's voxels are kept."""
    return max(min(ENOUGH, voxels), math.ceil(voxels * SHARE))
