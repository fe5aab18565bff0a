"""Overlap: how many voxels two masks share.

Everything follows from four counts. What a ratio says when its denominator is zero is a convention, not a
number, and tools differ (MONAI leaves out cases with an empty reference, nnU-Net only those where both are
empty, BraTS counts them as 1): so the convention is a value that the caller picks, and a missing result is
None, never 0.

Sources: Dice 1945, doi:10.2307/1932409; Maier-Hein and Reinke 2024, doi:10.1038/s41592-023-02151-z.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from delineate.errors import GeometryError
from delineate.space import LabelMap

Mask = npt.NDArray[np.bool_]

EmptyPolicy = Literal["missing", "one", "reference"]
"""What overlap is where nothing is to be found.

missing    both empty: no value (nnU-Net); only one of them empty: 0
one        both empty: 1 (BraTS, MetricsReloaded); only one of them empty: 0
reference  reference empty: no value, whatever was predicted (MONAI); this hides false positives
"""


@dataclass(frozen=True)
class Confusion:
    """Voxels by what they are and what they were called."""

    true_positive: int
    false_positive: int
    false_negative: int
    true_negative: int

    @classmethod
    def of(cls, reference: Mask, prediction: Mask, known: Mask | None = None) -> Confusion:
        """The counts of two masks of one shape; voxels that are not `known` do not count."""
        if reference.shape != prediction.shape:
            raise GeometryError(
                f"masks of one grid have one shape, got {reference.shape} and {prediction.shape}"
            )
        if known is not None:
            reference, prediction = reference & known, prediction & known
        voxels = reference.size if known is None else int(np.count_nonzero(known))
        shared = int(np.count_nonzero(reference & prediction))
        missed = int(np.count_nonzero(reference)) - shared
        extra = int(np.count_nonzero(prediction)) - shared
        return cls(shared, extra, missed, voxels - shared - missed - extra)

    def among(self, voxels: int) -> Confusion:
        """The same where `voxels` were looked at in all: the rest is background in both."""
        return replace(self, true_negative=voxels - self.reference - self.false_positive)

    @property
    def reference(self) -> int:
        """Voxels of the reference."""
        return self.true_positive + self.false_negative

    @property
    def prediction(self) -> int:
        """Voxels of the prediction."""
        return self.true_positive + self.false_positive

    def dice(self, empty: EmptyPolicy = "missing") -> float | None:
        """2 TP / (2 TP + FP + FN)."""
        return self._overlap(2 * self.true_positive, self.reference + self.prediction, empty)

    def iou(self, empty: EmptyPolicy = "missing") -> float | None:
        """TP / (TP + FP + FN), also called Jaccard."""
        union = self.reference + self.false_positive
        return self._overlap(self.true_positive, union, empty)

    def precision(self, empty: EmptyPolicy = "missing") -> float | None:
        """TP / (TP + FP): how much of the prediction is right. None where nothing was predicted."""
        return self._overlap(self.true_positive, self.prediction, empty)

    def recall(self, empty: EmptyPolicy = "missing") -> float | None:
        """TP / (TP + FN): how much of the reference was found. None where there is nothing to find."""
        return self._overlap(self.true_positive, self.reference, empty)

    def specificity(self) -> float | None:
        """TN / (TN + FP). Near 1 by construction where the background is large."""
        negative = self.true_negative + self.false_positive
        return self.true_negative / negative if negative else None

    def accuracy(self) -> float | None:
        """(TP + TN) / all. Near 1 by construction where the background is large."""
        voxels = self.reference + self.false_positive + self.true_negative
        return (self.true_positive + self.true_negative) / voxels if voxels else None

    def _overlap(self, part: int, whole: int, empty: EmptyPolicy) -> float | None:
        if empty == "reference" and not self.reference:
            return None
        if not self.reference and not self.prediction:
            return 1.0 if empty == "one" else None
        return part / whole if whole else None


@dataclass(frozen=True, eq=False)
class ConfusionTable:
    """For every label of the reference, what it was called.

    names   background and the labels, in the order of the schema
    voxels  (reference label, predicted label) counts of known voxels
    """

    names: tuple[str, ...]
    voxels: npt.NDArray[np.int64]
    voxel_ml: float

    @classmethod
    def of(cls, reference: LabelMap, prediction: LabelMap) -> ConfusionTable:
        """The table of two maps on one grid with the same label values."""
        schema = reference.schema
        if reference.array.shape != prediction.array.shape:
            raise GeometryError(
                "reference and prediction are on different grids: "
                f"{reference.geometry!r} and {prediction.geometry!r}"
            )
        values = np.array([0, *(label.value for label in schema.labels)])
        known = np.isin(reference.array, values) & np.isin(prediction.array, values)
        order = np.argsort(values)
        rows, columns = (
            order[np.searchsorted(values, array[known], sorter=order)]
            for array in (reference.array, prediction.array)
        )
        counts = np.bincount(rows * len(values) + columns, minlength=len(values) ** 2)
        names = ("background", *(label.name for label in schema.labels))
        return cls(names, counts.reshape(len(values), -1), reference.geometry.voxel_ml)

    @property
    def ml(self) -> npt.NDArray[np.float64]:
        """The table in millilitres."""
        return np.asarray(self.voxels * self.voxel_ml)

    @property
    def shares(self) -> npt.NDArray[Any]:
        """Each row as shares of its label; NaN for a label that the reference does not have."""
        totals = self.voxels.sum(axis=1, keepdims=True)
        empty = np.full(self.voxels.shape, np.nan)
        return np.asarray(np.divide(self.voxels, totals, out=empty, where=totals > 0))
