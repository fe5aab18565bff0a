"""Averages: numbers that papers all call "the mean Dice", told apart.

macro     mean over structures of their means over cases; the mean that tables here show
by_case   mean over cases of the mean over the structures that have a value there
micro     in each case all structures' voxels counted together, as if they were one; mean over cases
pooled    each structure's voxels of all cases counted together (aggregated, "global" Dice); mean over
          structures. One case with a large structure outweighs ten with small ones.

A pooled Dice looks better than a mean over cases where small structures are hard, and a micro Dice where
large structures are easy; none of them is wrong, but two of them must not be compared.
Sources: Maier-Hein and Reinke 2024, doi:10.1038/s41592-023-02151-z; Isensee 2021,
doi:10.1038/s41592-020-01008-z (nnU-Net's pseudo Dice in training is a pooled one).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import Numbers
from delineate.record import Record

HEADS = ("Dice", "what is averaged", "value")


class StructureAverages(Record):
    """Dice of one structure: the mean over its cases, and that of all its voxels together."""

    structure: str
    cases: int  # that have a value
    mean: float | None
    pooled: float | None  # None where neither the reference nor the prediction has any


class DiceAverages(Record):
    """Dice of a report, averaged in each of the ways; see the module for what they are."""

    macro: float | None
    by_case: float | None
    micro: float | None
    pooled: float | None
    structures: tuple[StructureAverages, ...]

    @classmethod
    def of(cls, report: Report) -> DiceAverages:
        """The averages of a report that has Dice; voxels are weighed by their volume.

        Where a report has regions, a voxel in several of them counts in each.
        """
        if "dice" not in report.metrics:
            raise DataError(
                f"{report.title}: has no Dice to average; its metrics are {', '.join(report.metrics)}. "
                "Measure again with dice among the metrics."
            )
        dice, reference, prediction = (
            _table(report, metric) for metric in ("dice", "volume_reference", "volume_prediction")
        )
        both = np.where(np.isnan(dice), 0, reference + prediction)  # what the policy leaves out stays out
        shared = np.nan_to_num(dice) * both / 2
        nothing = 1.0 if report.rules.empty == "one" else None

        def together(parts: Numbers, wholes: Numbers) -> float | None:
            return 2 * float(parts.sum() / wholes.sum()) if wholes.sum() else nothing

        structures = tuple(
            StructureAverages(
                structure=structure,
                cases=int(np.count_nonzero(~np.isnan(row))),
                mean=_mean(row),
                pooled=together(shared[n], both[n]),
            )
            for n, (structure, row) in enumerate(zip(report.structures, dice, strict=True))
        )
        return cls(
            macro=_mean([s.mean for s in structures]),
            by_case=_mean([_mean(column) for column in dice.T]),
            micro=_mean([together(s, b) for s, b in zip(shared.T, both.T, strict=True)]),
            pooled=_mean([s.pooled for s in structures]),
            structures=structures,
        )

    @property
    def rows(self) -> tuple[tuple[str, str, str], ...]:
        """Name, meaning and value of each of the four, under `HEADS`."""
        return (
            ("macro", "mean over structures of their means over cases", _cell(self.macro)),
            ("by case", "mean over cases of the mean over their structures", _cell(self.by_case)),
            ("micro", "voxels of all structures of a case together, mean over cases", _cell(self.micro)),
            ("pooled", "voxels of all cases together, mean over structures", _cell(self.pooled)),
        )

    def to_markdown(self) -> str:
        """A table of the four averages, and one of the structures."""
        each = [(s.structure, str(s.cases), _cell(s.mean), _cell(s.pooled)) for s in self.structures]
        return (
            markdown_table(HEADS, self.rows)
            + "\n\n"
            + markdown_table(("structure", "cases", "mean over cases", "pooled"), each)
            + "\n"
        )


def _table(report: Report, metric: str) -> Numbers:
    """(structure, case) values, NaN where missing."""
    rows = [list(report.values(structure, metric).values()) for structure in report.structures]
    return np.array(rows, dtype=float).reshape(len(report.structures), len(report.cases))


def _mean(values: Iterable[float | None]) -> float | None:
    there = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(there)) if there else None


def _cell(value: float | None) -> str:
    return "missing" if value is None else f"{value:.3f}"
