"""Findings: when a lesion counts as found, and when a predicted component counts as right.

There is no one answer: a component may cover two lesions, and two may cover one. So the answer is named, and
recall is counted among lesions, precision among components.

Sources: Bilic 2023, doi:10.1016/j.media.2022.102680, and the evaluation script of LiTS (merged); Commowick
2018, doi:10.1038/s41598-018-31911-7 (the share that is covered).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from delineate.evaluation.objects.matching import Indices, Numbers, Overlaps
from delineate.evaluation.overlap import EmptyPolicy, Mask

Found = Literal["reached", "covered", "paired", "merged"]
"""When a lesion counts as found, and a predicted component as right.

reached  a component touches the lesion or its margin (BraTS)
covered  more than `overlap` of the lesion is covered by the prediction; a component is right if more than
         `overlap` of it lies in lesions
paired   one component for one lesion, IoU above `overlap`: assigned below one half, unique from there
merged   lesions that lie mostly in one component are taken together, then components that lie mostly in
         one of those; found if the IoU of the two is above `overlap` (LiTS, at one half)
"""


@dataclass(frozen=True)
class Detected:
    """How many lesions were found, and how many components are right.

    found, missed  lesions that count
    right, wrong   components of the prediction
    """

    found: int
    missed: int
    right: int
    wrong: int

    def recall(self, empty: EmptyPolicy = "missing") -> float | None:
        """The share of the lesions that was found; None where there is none to find."""
        return self._share(self.found, self.found + self.missed, empty)

    def precision(self, empty: EmptyPolicy = "missing") -> float | None:
        """The share of the components that is right; None where nothing was predicted."""
        return self._share(self.right, self.right + self.wrong, empty)

    def f1(self, empty: EmptyPolicy = "missing") -> float | None:
        """The harmonic mean of recall and precision; 0 where one of them has nothing to count."""
        lesions, findings = self.found + self.missed, self.right + self.wrong
        both = self.found * findings + self.right * lesions
        if not lesions or not findings:
            return self._share(0, lesions + findings, empty)
        return 2 * self.found * self.right / both if both else 0.0

    def _share(self, part: int, whole: int, empty: EmptyPolicy) -> float | None:
        lesions, findings = self.found + self.missed, self.right + self.wrong
        if empty == "reference" and not lesions:
            return None
        if not lesions and not findings:
            return 1.0 if empty == "one" else None
        return part / whole if whole else None


def covered(overlaps: Overlaps, overlap: float) -> tuple[Mask, Mask]:
    """Which lesions are covered by more than `overlap` of them, and which components lie in lesions so."""
    shared = overlaps.shared.astype(float)
    of_lesion = np.bincount(overlaps.rows, shared, len(overlaps.reference_ids))
    of_finding = np.bincount(overlaps.columns, shared, len(overlaps.prediction_ids))
    return (
        np.asarray(of_lesion > overlap * overlaps.reference_sizes),
        np.asarray(of_finding > overlap * overlaps.prediction_sizes),
    )


def paired(overlaps: Overlaps, overlap: float) -> tuple[Mask, Mask]:
    """Which lesions and which components have a partner, one for one, with an IoU above `overlap`."""
    matching = overlaps.matched(overlap)
    is_found, is_right = (
        np.zeros(len(overlaps.reference_ids), bool),
        np.zeros(len(overlaps.prediction_ids), bool),
    )
    is_found[matching.rows] = True
    is_right[matching.columns] = True
    return is_found, is_right


def merged(overlaps: Overlaps, overlap: float) -> tuple[Mask, Mask]:
    """Which lesions and which components are in groups whose IoU is above `overlap`.

    Lesions are in the group of the component that has most of them, components in the group of which they
    have most.
    """
    lesions, findings = len(overlaps.reference_ids), len(overlaps.prediction_ids)
    nowhere = findings  # the number of a group without members
    group, member = np.full(lesions, nowhere), np.full(findings, nowhere)
    mostly = _first(overlaps.rows, -overlaps.shared, overlaps.columns)
    group[overlaps.rows[mostly]] = overlaps.columns[mostly]
    # How many voxels each component shares with each group, its lesions together:
    cells = np.stack([overlaps.columns, group[overlaps.rows]])
    cells, place = np.unique(cells, axis=1, return_inverse=True)
    shared = np.bincount(place.ravel(), overlaps.shared.astype(float), cells.shape[1])
    mostly = _first(cells[0], -shared, cells[1])
    member[cells[0, mostly]] = cells[1, mostly]
    both = np.bincount(cells[1, mostly], shared[mostly], findings + 1)
    whole = np.bincount(group, overlaps.reference_sizes, findings + 1) + np.bincount(
        member, overlaps.prediction_sizes, findings + 1
    )
    is_met = both > overlap * (whole - both)
    is_met[nowhere] = False
    return is_met[group], is_met[member]


def _first(owner: Indices, *keys: Numbers | Indices) -> Indices:
    """For each owner that there is, the place of its first entry in the order of the keys."""
    order = np.lexsort((*reversed(keys), owner))
    is_first = np.ones(len(order), bool)
    is_first[1:] = np.diff(owner[order]) > 0
    return np.asarray(order[is_first])
