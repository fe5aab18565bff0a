"""Raters: what most of several people said."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from delineate.space import LabelMap


def majority(maps: Sequence[LabelMap]) -> LabelMap:
    """In each voxel the value that most raters gave it; of equally many, the one of the earliest of them.

    Who left a voxel open (the ignore label) has no vote there; where all did, it stays open.
    """
    first = maps[0]
    if len(maps) == 1:
        return first
    ignore = first.schema.ignore
    stack = np.stack([one.array for one in maps])
    votes = np.zeros(stack.shape, np.int16)  # what each rater's value got, in each voxel
    for value in np.unique(stack).tolist():
        said = stack == value
        votes[said] = 0 if value == ignore else np.broadcast_to(said.sum(axis=0), said.shape)[said]
    best = votes.argmax(axis=0)  # the first of equals
    array = np.take_along_axis(stack, best[None], axis=0)[0]
    note = f"what most of {len(maps)} raters said; of equally many, the earliest of them"
    return LabelMap(array, first.geometry, first.schema, (*first.notes, note))
