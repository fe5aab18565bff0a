"""Overlap: how many voxels two masks share.

Everything follows from four counts. What a ratio says when its denominator is zero is a convention, not a
number, and tools differ (MONAI leaves out cases with an empty reference, nnU-Net only those where both are
empty, BraTS counts them as 1): so the convention is a value that the caller picks, and a missing result is
None, never 0.

Sources: Dice 1945, doi:10.2307/1932409; Maier-Hein and Reinke 2024, doi:10.1038/s41592-023-02151-z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError, GeometryError
from delineate.evaluation.markdown import markdown_table
from delineate.record import Record
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


def emptiness(reference: bool, prediction: bool) -> str | None:
    """Which of two things has nothing in it, in words; None where both have something."""
    match reference, prediction:
        case False, False:
            return "both empty"
        case False, True:
            return "reference empty"
        case True, False:
            return "prediction empty"
    return None


class ConfusionTable(Record):
    """For every label of the reference, what it was called, in one case or in many.

    names   background and the labels, in the order of the schema
    voxels  a row for each label of the reference: how many of its known voxels were called what
    mm3     the same in cubic millimetres: voxels of different scans differ in size
    """

    names: tuple[str, ...]
    cases: int
    voxels: tuple[tuple[int, ...], ...]
    mm3: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, reference: LabelMap, prediction: LabelMap) -> ConfusionTable:
        """The table of two maps on one grid; labels are matched by their names.

        Voxels that either map leaves open (its ignore label) are left out.
        """
        if reference.array.shape != prediction.array.shape:
            raise GeometryError(
                "reference and prediction are on different grids: "
                f"{reference.geometry!r} and {prediction.geometry!r}"
            )
        names = ("background", *(label.name for label in reference.schema.labels))
        rows, columns = _numbered(reference, names), _numbered(prediction, names)
        known = (rows >= 0) & (columns >= 0)
        counts = np.bincount(rows[known] * len(names) + columns[known], minlength=len(names) ** 2)
        voxels = counts.reshape(len(names), -1)
        mm3 = voxels * float(abs(np.linalg.det(reference.geometry.affine[:3, :3])))
        return cls(names=names, cases=1, voxels=_rows(voxels), mm3=_rows(mm3))

    @classmethod
    def total(cls, tables: Sequence[ConfusionTable]) -> ConfusionTable:
        """The sum over cases."""
        names = {table.names for table in tables}
        if len(names) != 1:
            raise DataError(
                "confusion tables are added up where they have the same labels, got "
                f"{' and '.join(', '.join(some) for some in sorted(names)) or 'none'}"
            )
        return cls(
            names=tables[0].names,
            cases=sum(table.cases for table in tables),
            voxels=_rows(np.sum([table.voxels for table in tables], axis=0)),
            mm3=_rows(np.sum([table.mm3 for table in tables], axis=0)),
        )

    def among(self, voxels: int, *, mm3: float) -> ConfusionTable:
        """The same of one case in which `voxels` of `mm3` each were known: the rest is rightly background."""
        counts = np.array(self.voxels)
        counts[0, 0] += voxels - counts.sum()
        return self.but(voxels=_rows(counts), mm3=_rows(counts * mm3))

    def to_csv(self) -> str:
        """A line for each pair of labels: what it is, what it was called, voxels, cubic millimetres."""
        lines = ["reference,called,voxels,mm3"]
        for row, name in enumerate(self.names):
            for column, called in enumerate(self.names):
                pair = f"{quoted(name)},{quoted(called)}"
                lines.append(f"{pair},{self.voxels[row][column]},{self.mm3[row][column]:.6g}")
        return "\n".join(lines) + "\n"

    @property
    def shares(self) -> npt.NDArray[np.float64]:
        """Each row of the volumes as shares of its label; NaN where the reference has none of it."""
        volumes = np.array(self.mm3)
        totals = volumes.sum(axis=1, keepdims=True)
        return np.asarray(np.divide(volumes, totals, out=np.full(volumes.shape, np.nan), where=totals > 0))

    def to_markdown(self) -> str:
        """The shares as a table: a row for each label of the reference, a column for what it was called."""
        rows = [
            (name, *("" if np.isnan(share) else f"{share:.3f}" for share in row), f"{sum(volume) / 1000:.3g}")
            for name, row, volume in zip(self.names, self.shares, self.mm3, strict=True)
        ]
        return markdown_table(("reference \\ called", *self.names, "ml"), rows) + "\n"


def _numbered(labels: LabelMap, names: Sequence[str]) -> npt.NDArray[np.intp]:
    """The place of each voxel's label among the names; -1 for the ignore label."""
    places = {0: 0} | {
        label.value: names.index(label.name) for label in labels.schema.labels if label.name in names
    }
    table = np.full(max(labels.schema.values) + 1, len(names))
    table[list(places)] = list(places.values())
    if labels.schema.ignore is not None:
        table[labels.schema.ignore] = -1
    numbers = table[labels.array]
    if (numbers == len(names)).any():
        strange = sorted(set(labels.array[numbers == len(names)].tolist()))
        raise DataError(
            f"the prediction has labels that the reference does not know: values {strange}; the reference "
            f"knows {', '.join(names[1:])}. Read both maps with the same label schema."
        )
    return numbers


def quoted(text: str) -> str:
    """A cell of a CSV file."""
    return '"' + text.replace('"', '""') + '"' if set(text) & set(',"\n') else text


def _rows(array: npt.NDArray[Any]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row) for row in array.tolist())
