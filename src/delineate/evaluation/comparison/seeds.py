"""Seeds: trainings that differ in nothing but luck, as one report."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.scores import Report, Row, report_of

SEED = 20211  # of the bootstrap: the same report twice


def averaged(reports: Sequence[Report], title: str) -> Report:
    """Each case's values, averaged over trainings of one kind: what is left is how patients differ.

    A value that some of them lack is the mean of the others and says of how many; one that all lack is none.

    Raises:
        DataError: they are not about the same cases, structures and metrics.
    """
    first, *others = reports
    for other in others:
        if (other.cases, other.structures, other.rules) != (first.cases, first.structures, first.rules):
            raise DataError(f"{other.title} and {first.title} are not about the same cases and rules.")
    rows = [_mean(same) for same in zip(*(report.rows for report in reports), strict=True)]
    rng = np.random.default_rng(SEED)
    return report_of(rows, title=title, rules=first.rules, groups=first.groups, rng=rng)


def _mean(rows: Sequence[Row]) -> Row:
    there = [row.value for row in rows if row.value is not None]
    few = f"of {len(there)} of {len(rows)} trainings" if 0 < len(there) < len(rows) else None
    return rows[0].but(value=float(np.mean(there)) if there else None, note=few or rows[0].note)
