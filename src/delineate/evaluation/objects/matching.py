"""Matching: which objects of two maps are the same one.

Everything follows from one table: how many voxels each object of the reference shares with each object of
the prediction. It is sparse and found in one pass, whatever the number of objects; ids may have gaps.

Two objects of which the intersection is more than half of the union cannot have a second such partner, so
above one half pairs are unique by themselves. Below, each object gets at most one partner, such that the
sum of all IoU is largest.

Sources: Kirillov 2019, arXiv:1801.00868 (uniqueness; predictions in the void); Kuhn 1955,
doi:10.1002/nav.3800020109 (assignment); Graham 2019, doi:10.1016/j.media.2019.101563 (below one half).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import fastremap
import numpy as np
import numpy.typing as npt

from delineate.errors import DataError, GeometryError
from delineate.evaluation.overlap import Mask

Ids = npt.NDArray[np.integer[Any]]  # 0 is background, any other value is one object
Indices = npt.NDArray[np.intp]
Numbers = npt.NDArray[np.float64]

Assignment = Literal["overlapping", "exceeding"]
"""Which pairs are assigned where partners are not unique by themselves.

overlapping  all, and then those whose IoU is above the threshold count (HoVer-Net, MONAI)
exceeding    only those whose IoU is above the threshold (panoptica)
"""

UNIQUE = 0.5  # IoU above which an object has no second partner
DENSE = 1 << 22  # cells of a table that is still counted whole
EQUAL = 1e-6  # voxels: of pairs with equal IoU the larger comes first, as in HoVer-Net's definition


@dataclass(frozen=True, eq=False)
class Overlaps:
    """How many voxels the objects of a reference and of a prediction share.

    reference_ids, prediction_ids      ascending
    reference_sizes, prediction_sizes  known voxels of each
    rows, columns, shared              (pair,) places in the two lists, and how many voxels are in both;
                                       only pairs that share some
    unjudged                           (prediction,) whether most of the object lies where nobody looked:
                                       without a partner it is not wrong
    """

    reference_ids: Ids
    prediction_ids: Ids
    reference_sizes: Indices
    prediction_sizes: Indices
    rows: Indices
    columns: Indices
    shared: Indices
    unjudged: Mask

    @classmethod
    def of(cls, reference: Ids, prediction: Ids, known: Mask | None = None) -> Overlaps:
        """The overlaps of two maps of one shape; voxels that are not `known` do not count."""
        if reference.shape != prediction.shape:
            raise GeometryError(
                f"maps of one grid have one shape, got {reference.shape} and {prediction.shape}"
            )
        there = (reference != 0) | (prediction != 0)
        ours, theirs = reference[there], prediction[there]
        _refuse_negative(ours, theirs)
        seen = np.ones(len(ours), bool) if known is None else known[there]
        names, rows = _numbered(ours[seen])
        all_names, all_columns = _numbered(theirs)
        columns = all_columns[seen]
        left = np.bincount(columns, minlength=len(all_names))
        whole = np.bincount(all_columns, minlength=len(all_names))
        row, column, shared = _table(rows, columns, (len(names), len(all_names)))
        is_there = left[1:] > 0  # an object that nobody could judge is not
        return cls(
            reference_ids=names[1:],
            prediction_ids=all_names[1:][is_there],
            reference_sizes=np.bincount(rows, minlength=len(names))[1:],
            prediction_sizes=left[1:][is_there],
            rows=row,
            columns=(np.cumsum(is_there) - 1)[column],
            shared=shared,
            unjudged=(2 * left < whole)[1:][is_there],
        )

    def among(self, reference: Mask, prediction: Mask) -> Overlaps:
        """The overlaps of some of the objects: (reference,) and (prediction,) say of which."""
        both = reference[self.rows] & prediction[self.columns]
        return Overlaps(
            reference_ids=self.reference_ids[reference],
            prediction_ids=self.prediction_ids[prediction],
            reference_sizes=self.reference_sizes[reference],
            prediction_sizes=self.prediction_sizes[prediction],
            rows=(np.cumsum(reference) - 1)[self.rows[both]],
            columns=(np.cumsum(prediction) - 1)[self.columns[both]],
            shared=self.shared[both],
            unjudged=self.unjudged[prediction],
        )

    @cached_property
    def iou(self) -> Numbers:
        """(pair,) intersection over union."""
        return np.asarray(self.shared / self.unions)

    @cached_property
    def unions(self) -> Indices:
        """(pair,) voxels in either object."""
        sizes = self.reference_sizes[self.rows] + self.prediction_sizes[self.columns]
        return np.asarray(sizes - self.shared)

    @cached_property
    def assigned(self) -> Indices:
        """Places of the pairs that are chosen when each object has at most one partner.

        The sum of their IoU is the largest there is.
        """
        return self._assigned(np.arange(len(self.rows)))

    @cached_property
    def nearest(self) -> Indices:
        """For each object of the reference that meets any, the pair of largest IoU, in ascending order.

        A prediction may be the nearest of several.
        """
        order = np.lexsort((self.columns, -self.shared / (self.unions + EQUAL), self.rows))
        first = np.ones(len(order), bool)
        first[1:] = np.diff(self.rows[order]) > 0
        return order[first]

    def matched(self, threshold: float, assignment: Assignment = "overlapping") -> Matching:
        """The partners whose IoU is above `threshold`, and how many objects have none."""
        if not 0 <= threshold < 1:
            raise DataError(f"an IoU to be exceeded is at least 0 and below 1, got {threshold}")
        above = self.iou > threshold
        if threshold >= UNIQUE:
            pairs = np.flatnonzero(above)
        elif assignment == "overlapping":
            pairs = self.assigned[above[self.assigned]]
        else:
            pairs = self._assigned(np.flatnonzero(above))
        alone = np.ones(len(self.prediction_ids), bool)
        alone[self.columns[pairs]] = False
        return Matching(
            rows=self.rows[pairs],
            columns=self.columns[pairs],
            iou=self.iou[pairs],
            missed=len(self.reference_ids) - len(pairs),
            invented=int(np.count_nonzero(alone & ~self.unjudged)),
        )

    def claimed(self, scores: Numbers, threshold: float) -> Mask:
        """Which predictions get a partner when they choose in the order of their scores (COCO).

        Each takes, of the references that are free, the one of largest IoU above `threshold`.
        """
        pairs = np.flatnonzero(self.iou > threshold)
        return claimed(self.rows[pairs], self.columns[pairs], self.iou[pairs], scores)

    def _assigned(self, among: Indices) -> Indices:
        """Of the pairs named, those that are chosen when each object has at most one partner."""
        weights = self.shared / (self.unions + EQUAL)
        chosen = [
            pairs[_best(self.rows[pairs], self.columns[pairs], weights[pairs])]
            for pairs in self._separate_groups(among)
        ]
        return np.sort(np.concatenate(chosen)) if chosen else np.zeros(0, np.intp)

    def _separate_groups(self, among: Indices) -> list[Indices]:
        """The pairs named, divided such that no object is in two groups."""
        from scipy.sparse import coo_array  # as below
        from scipy.sparse.csgraph import connected_components

        if not len(among):
            return []
        count = len(self.reference_ids) + len(self.prediction_ids)
        ends = (self.rows[among], self.columns[among] + len(self.reference_ids))
        graph = coo_array((np.ones(len(among), bool), ends), shape=(count, count))
        _, group = connected_components(graph, directed=False)
        mine = group[self.rows[among]]
        order = np.argsort(mine, kind="stable")
        return np.split(among[order], np.flatnonzero(np.diff(mine[order])) + 1)


@dataclass(frozen=True, eq=False)
class Matching:
    """Partners, and those without.

    rows, columns, iou  (pair,) places of the partners in the reference and in the prediction
    missed              objects of the reference without a partner
    invented            objects of the prediction without a partner, those unjudged left out
    """

    rows: Indices
    columns: Indices
    iou: Numbers
    missed: int
    invented: int


def claimed(rows: Indices, columns: Indices, worth: Numbers, scores: Numbers) -> Mask:
    """Which predictions get a partner when they choose in the order of their scores, the best that is free.

    rows, columns, worth  (pair,) a reference, a prediction that may have it, and how much it is wanted
    """
    right = np.zeros(len(scores), bool)
    taken: set[int] = set()
    order = np.lexsort((rows, -worth, -scores[columns]))
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in taken and not right[column]:
            taken.add(row)
            right[column] = True
    return right


def _numbered(ids: Ids) -> tuple[Ids, Indices]:
    """The ids in ascending order, 0 always the first of them, and the place of each voxel's."""
    names, places = fastremap.unique(ids, return_inverse=True)
    places = places.astype(np.intp)
    if not len(names) or names[0] != 0:
        return np.concatenate([np.zeros(1, ids.dtype), names]), places + 1
    return names, places


def _refuse_negative(*maps: Ids) -> None:
    lowest = min((int(values.min()) for values in maps if len(values)), default=0)
    if lowest < 0:
        raise DataError(f"ids of objects are positive and 0 is background, got {lowest}")


def _table(rows: Indices, columns: Indices, shape: tuple[int, int]) -> tuple[Indices, Indices, Indices]:
    """The cells of the joint histogram that are not empty, background left out: row, column, count.

    Rows and columns are numbered from the first object on.
    """
    cells = rows * shape[1] + columns
    if shape[0] * shape[1] <= DENSE:
        counts = np.bincount(cells, minlength=shape[0] * shape[1])
        filled = np.flatnonzero(counts)
        counts = counts[filled]
    else:
        filled, counts = np.unique(cells, return_counts=True)
    row, column = np.divmod(filled, shape[1])
    both = (row > 0) & (column > 0)
    return row[both] - 1, column[both] - 1, counts[both]


def _best(rows: Indices, columns: Indices, weights: Numbers) -> Indices:
    """Places of the pairs with the largest sum of weights, no row and no column twice."""
    from scipy.optimize import linear_sum_assignment  # a tenth of a second, for those who assign

    if len(rows) == 1:
        return np.zeros(1, np.intp)
    row_names, row = np.unique(rows, return_inverse=True)
    column_names, column = np.unique(columns, return_inverse=True)
    block = np.zeros((len(row_names), len(column_names)))
    block[row, column] = weights
    place = np.full(block.shape, -1, np.intp)
    place[row, column] = np.arange(len(rows))
    chosen = place[linear_sum_assignment(block, maximize=True)]
    return np.asarray(chosen[chosen >= 0])
