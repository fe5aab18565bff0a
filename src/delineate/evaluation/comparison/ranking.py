"""Ranking: which of several models comes first, and whether it would with other patients.

A table of means always has a winner. Whether the order says something is seen by drawing patients again: how
often does each model come first, and how alike are the orders? An order that also depends on whether means
are ranked, or ranks are averaged, says little.

Sources: Wiesenfarth 2021, doi:10.1038/s41598-021-82017-6 (bootstrapped rankings, challengeR); Maier-Hein
2018, doi:10.1038/s41467-018-07619-7 (how fragile orders are); Kendall 1945, doi:10.1093/biomet/33.3.239
(tau-b, with ties).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate.evaluation.statistics import Bootstrap, Estimate, Numbers
from delineate.record import Record

Bools = npt.NDArray[np.bool_]


class Place(Record):
    """One model in a ranking.

    mean    over structures of the means over cases that every model has a value in
    shares  of the draws in which it comes first, second, ...; equal models share the better place
    rank    its mean rank in single cases, 1 the best; a missing value is the last
    """

    name: str
    place: int
    mean: float
    shares: tuple[float, ...]
    rank: float

    @property
    def first(self) -> float:
        """The share of the draws in which it comes first."""
        return self.shares[0]


class Ranking(Record):
    """Models by one metric, the best first.

    cases     that every model has a value in, of some structure; of `patients`
    tau       Kendall's tau between the order of all patients and that of a draw: the mean over draws; 1 is
              the same order, 0 none; None where all models are equal
    tau_low   the tau that 95 % of the draws reach
    """

    metric: str
    best: Literal["high", "low"]
    cases: int
    patients: int
    places: tuple[Place, ...]
    tau: float | None
    tau_low: float | None

    @property
    def names(self) -> tuple[str, ...]:
        """The models, the best first."""
        return tuple(place.name for place in self.places)

    @property
    def is_the_same_by_ranks(self) -> bool:
        """Whether averaging ranks instead of values gives the same order."""
        ranks = [place.rank for place in self.places]
        return ranks == sorted(ranks)


def rank(
    names: Sequence[str], values: Numbers, bootstrap: Bootstrap, *, metric: str, best: Literal["high", "low"]
) -> Ranking | None:
    """The ranking of models by values (model, structure, case); NaN is a missing value.

    None where no case has a value of every model.
    """
    there: Bools = ~np.any(np.isnan(values), axis=0)  # (structure, case)
    shared = np.where(there, values, np.nan)[:, there.any(axis=1)]
    if not shared.shape[1]:
        return None
    estimates = [_over_structures(columns, bootstrap) for columns in shared]
    sign = 1 if best == "high" else -1
    means = sign * np.array([estimate.value for estimate in estimates])
    draws = sign * np.array([estimate.draws for estimate in estimates]).T  # (draw, model)
    draws = draws[~np.isnan(draws).any(axis=1)]
    placed = _places(draws)
    shares = [[float(np.mean(column == place + 1)) for place in range(len(names))] for column in placed.T]
    tau = _taus(draws, means)
    ranks, places = mean_ranks(sign * values), _places(means[None])[0]
    order = np.lexsort((ranks, places))
    cases = there.any(axis=0)
    return Ranking(
        metric=metric,
        best=best,
        cases=int(cases.sum()),
        patients=len(np.unique(bootstrap.membership[cases])),
        places=tuple(
            Place(
                name=names[n],
                place=int(places[n]),
                mean=sign * float(means[n]),
                shares=tuple(shares[n]),
                rank=float(ranks[n]),
            )
            for n in order
        ),
        tau=float(tau.mean()) if len(tau) else None,
        tau_low=float(np.quantile(tau, 0.05)) if len(tau) else None,
    )


def mean_ranks(values: Numbers) -> Numbers:
    """The mean rank of each model (model, structure, case), 1 the highest value; missing is the last.

    Ranks are found in each case, then averaged over cases and over structures; equal values share the mean
    of their places. Cases that no model has a value in are left out.
    """
    known = np.where(np.isnan(values), -np.inf, values)
    better = (known[None] > known[:, None]).sum(axis=1)  # (model, structure, case): how many are
    equal = (known[None] == known[:, None]).sum(axis=1)
    ranks = np.where(np.isnan(values).all(axis=0), np.nan, better + (equal + 1) / 2)
    seen = ~np.isnan(ranks).all(axis=(0, 2))
    return np.asarray(np.nanmean(ranks[:, seen], axis=2).mean(axis=1))


def _over_structures(columns: Numbers, bootstrap: Bootstrap) -> Estimate:
    found = [bootstrap.mean(column) for column in columns]
    return Estimate.average([estimate for estimate in found if estimate is not None])


def _places(scores: Numbers) -> Numbers:
    """The place of each model in each row (row, model): 1 and how many are better."""
    return np.asarray(1 + (scores[:, None, :] > scores[:, :, None]).sum(axis=2))


def _taus(draws: Numbers, means: Numbers) -> Numbers:
    """Kendall's tau-b of each draw (draw, model) with the means (model,); where it is defined."""
    one, other = np.triu_indices(len(means), 1)
    here, there = np.sign(draws[:, one] - draws[:, other]), np.sign(means[one] - means[other])
    size = np.sqrt((here != 0).sum(axis=1) * (there != 0).sum())
    return np.asarray((here @ there)[size > 0] / size[size > 0])
