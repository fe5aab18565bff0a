"""Sites: what to expect of a model where it has never been.

In leave-one-site-out cross-validation each site is judged by networks that learnt from the others only. Its
cases say how the model does there; the spread between the sites says what to expect at one that was not among
them. That range is wider than the interval of the mean, and does not shrink with more cases per site: only
more sites make it narrower.

Sources: Higgins 2009, doi:10.1111/j.1467-985X.2008.00552.x (prediction intervals); Student 1908 (t).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from scipy.special import stdtrit

from delineate.dataset import Splits
from delineate.errors import DataError
from delineate.evaluation.markdown import markdown_table
from delineate.evaluation.measures import MEASURES
from delineate.evaluation.scores import Report
from delineate.evaluation.statistics import LEVEL
from delineate.evaluation.subgroups.split import SplitTable, Subgroups, split
from delineate.record import Record

FEW_SITES = 3  # with two, the range is 18 times their distance: it says nothing


class Elsewhere(Record):
    """What to expect of one structure by one metric at a site that was not among these.

    mean       of the means of the sites, each counting once
    low, high  the mean of a further site lies there with 95 %; None with fewer than three sites
    worst      the site with the worst mean, and that mean
    """

    structure: str
    metric: str
    sites: int
    mean: float | None = None
    low: float | None = None
    high: float | None = None
    worst: str | None = None
    worst_mean: float | None = None


class LeftOut(Record):
    """Every site, judged by networks that have never seen it.

    verified  whether the splits were looked at: no site both taught and judged in a fold
    """

    version: Literal[1] = 1
    verified: bool
    by_site: Subgroups
    elsewhere: tuple[Elsewhere, ...]

    @property
    def trust(self) -> str:
        """Whether anybody looked at how the sites were judged."""
        if self.verified:
            return "Every site was judged by networks that have not learnt from it."
        return "Nobody checked that the networks that judged a site had not learnt from it."

    def table(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """Heads and rows of what to expect elsewhere."""
        heads = ("structure", "metric", "sites", "mean of sites", "expected at another site", "worst site")
        return heads, [_row(each) for each in self.elsewhere]

    def to_markdown(self) -> str:
        """What to expect elsewhere, and the table of the sites."""
        return f"{markdown_table(*self.table())}\n\n{self.trust}\n\n{self.by_site.to_markdown()}"


def leave_one_site_out(
    report: Report,
    sites: Mapping[str, str],
    *,
    splits: Splits | None = None,
    metrics: Sequence[str] | None = None,
    margins: Mapping[str, float] | None = None,
    rng: np.random.Generator | None = None,
) -> LeftOut:
    """The report by site, and what to expect at another one.

    sites   case -> site
    splits  of the run that made the predictions; they are checked

    Raises:
        DataError: in a fold of the splits a site both teaches and judges.
    """
    if splits is not None:
        _refuse_shared(splits, sites)
    by_site = split(report, sites, column="site", metrics=metrics, margins=margins, rng=rng)
    return LeftOut(
        verified=splits is not None,
        by_site=by_site,
        elsewhere=tuple(_elsewhere(table) for table in by_site.tables),
    )


def _refuse_shared(splits: Splits, sites: Mapping[str, str]) -> None:
    for number, fold in enumerate(splits.folds):
        taught = {sites[case] for case in fold.train if case in sites}
        judged = {sites[case] for case in fold.validation if case in sites}
        if taught & judged:
            raise DataError(
                f"fold {number}: {', '.join(sorted(taught & judged))} both teaches and judges, so nothing "
                "here tells how the model does at a new site. Plan the run with:  "
                "delineate plan DATASET RUN --split-by leave_one_site_out"
            )


def _elsewhere(table: SplitTable) -> Elsewhere:
    means = {group.name: group.mean for group in table.groups if group.mean is not None}
    values = np.array(list(means.values()))
    blank = Elsewhere(structure=table.structure, metric=table.metric, sites=len(means))
    if not means:
        return blank
    worst = _worst(means, table.metric)
    found = blank.but(mean=float(values.mean()), worst=worst, worst_mean=means[worst])
    if len(means) < FEW_SITES:
        return found
    n = len(values)
    half = stdtrit(n - 1, (1 + LEVEL) / 2) * values.std(ddof=1) * np.sqrt(1 + 1 / n)
    low, high = values.mean() - half, values.mean() + half
    match MEASURES[table.metric].best:
        case "high":  # a share
            low, high = max(low, 0.0), min(high, 1.0)
        case "low":  # a distance
            low = max(low, 0.0)
    return found.but(low=float(low), high=float(high))


def _worst(means: Mapping[str, float], metric: str) -> str:
    match MEASURES[metric].best:
        case "high":
            return min(means, key=lambda site: means[site])
        case "low":
            return max(means, key=lambda site: means[site])
        case "zero":
            return max(means, key=lambda site: abs(means[site]))


def _row(found: Elsewhere) -> tuple[str, ...]:
    measure = MEASURES[found.metric]
    digits, unit = (1 if measure.unit == "mm" else 3), ("" if measure.unit == "1" else f" {measure.unit}")
    mean = "-" if found.mean is None else f"{found.mean:.{digits}f}{unit}"
    there = f"needs {FEW_SITES} sites"
    if found.low is not None and found.high is not None:
        there = f"{found.low:.{digits}f} to {found.high:.{digits}f}{unit}"
    worst = "-" if found.worst_mean is None else f"{found.worst}: {found.worst_mean:.{digits}f}{unit}"
    return found.structure, measure.title, str(found.sites), mean, there, worst
