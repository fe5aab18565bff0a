"""Paired: two ways to segment, measured on the same cases.

What matters is the difference in each case: how hard the cases are then falls out. As everywhere, patients
and not scans are the independent units, and a case counts only where both have a value; how many have just
one is counted.

permutation  of the mean difference: under "no difference" each patient's could as well have the other sign.
             All signs are tried for up to 16 patients, 10 000 random ones otherwise
wilcoxon     signed-rank test of one difference per patient (the mean of its cases); zeros are dropped

Sources: Edgington 1995, Randomization Tests (permutation); Phipson and Smyth 2010, doi:10.2202/1544-6115.1585
(the observed signs are one of the draws); Wilcoxon 1945, doi:10.2307/3001968; Holm 1979 (many comparisons);
Kerby 2014, doi:10.2466/11.IT.3.1 (matched-pairs rank-biserial correlation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from delineate.errors import DataError
from delineate.evaluation.statistics import SAME, Bootstrap, Estimate, Numbers

PairedTest = Literal["permutation", "wilcoxon"]

EXACT = 16  # patients: 2^16 signs are quickly tried
FLIPS = 9_999  # random signs, with which the smallest possible p is 0.0001
FLIPS_PER_TEST = 100  # of many tests each needs a smaller p: Holm's smallest is then 0.01
AT_A_TIME = 10_000  # random signs held in memory


@dataclass(frozen=True, eq=False)
class Differences:
    """First less second, of the cases that have both.

    estimate  the mean difference, with what it is in every draw
    shares    (patient,) what each adds to the mean difference; 0 for those without a pair
    means     (patient,) the mean of its differences; NaN for those without a pair
    """

    estimate: Estimate
    shares: Numbers
    means: Numbers

    @classmethod
    def of(cls, first: Numbers, second: Numbers, bootstrap: Bootstrap) -> Differences | None:
        """The differences of two columns (case,) of the cases of the bootstrap; None without any pair."""
        values = first - second
        estimate = bootstrap.mean(values)
        if estimate is None:
            return None
        there = ~np.isnan(values)
        groups = bootstrap.membership[there]
        sums = np.bincount(groups, values[there], bootstrap.groups)
        counts = np.bincount(groups, minlength=bootstrap.groups)
        means = np.divide(sums, counts, out=np.full(bootstrap.groups, np.nan), where=counts > 0)
        return cls(estimate, sums / counts.sum(), means)

    @classmethod
    def average(cls, parts: Sequence[Differences]) -> Differences:
        """The mean over structures of their mean differences."""
        means = np.array([part.means for part in parts])
        there = ~np.isnan(means)
        counts = there.sum(axis=0)
        empty = np.full(means.shape[1], np.nan)
        return cls(
            Estimate.average([part.estimate for part in parts]),
            np.mean([part.shares for part in parts], axis=0),
            np.divide(np.where(there, means, 0).sum(axis=0), counts, out=empty, where=counts > 0),
        )

    @property
    def by_patient(self) -> Numbers:
        """One difference for each patient who has one."""
        return self.means[~np.isnan(self.means)]

    @property
    def signs(self) -> tuple[int, int, int]:
        """In how many patients the first is larger, the second is, and neither."""
        found = self.by_patient
        return int(np.sum(found > 0)), int(np.sum(found < 0)), int(np.sum(found == 0))

    @property
    def effect(self) -> float | None:
        """Rank-biserial correlation: 1 if the first is larger in all patients, -1 if the second is.

        The share of the ranks of |difference| that speaks for the first less that for the second; patients
        without a difference are left out. None where there is no other.
        """
        from scipy.stats import rankdata

        found = self.by_patient[self.by_patient != 0]
        if not len(found):
            return None
        ranks = rankdata(np.abs(found))
        return float(np.sum(np.sign(found) * ranks) / ranks.sum())


def permutation_p(found: Sequence[Differences], rng: np.random.Generator) -> list[float]:
    """The two-sided p-value of each mean difference; the same random signs serve all of them."""
    result = [1.0] * len(found)
    drawn = [n for n, each in enumerate(found) if len(each.by_patient) > EXACT]
    for number, each in enumerate(found):
        if number not in drawn:
            result[number] = _exact_p(each.shares[~np.isnan(each.means)])
    if drawn:
        for number, p in zip(drawn, _drawn_p([found[n].shares for n in drawn], rng), strict=True):
            result[number] = p
    return result


def wilcoxon_p(found: Differences) -> float:
    """The two-sided p-value of the signed ranks, as `scipy.stats.wilcoxon` finds it."""
    from scipy.stats import wilcoxon

    values = found.by_patient[found.by_patient != 0]
    return float(wilcoxon(values).pvalue) if len(values) else 1.0


def smallest_p(patients: int) -> float:
    """The smallest p-value that the signs of so many patients can give, without counting random draws."""
    return float(min(1.0, 2.0 ** (1 - patients)))


def holm(found: Sequence[float | None]) -> tuple[float | None, ...]:
    """P-values adjusted for how many there are (Holm); None, where nothing was tested, stays None.

    Of all that is called proven where the adjusted p is below 0.05, with a chance of 95 % all is true.
    """
    tested = [(p, n) for n, p in enumerate(found) if p is not None]
    adjusted: list[float | None] = [None] * len(found)
    largest = 0.0
    for place, (p, number) in enumerate(sorted(tested)):
        if not 0 <= p <= 1:
            raise DataError(f"a p-value lies between 0 and 1, got {p:g}")
        largest = max(largest, min(1.0, p * (len(tested) - place)))
        adjusted[number] = largest
    return tuple(adjusted)


def _exact_p(shares: Numbers) -> float:
    """The share of all signs whose sum lies at least as far from zero."""
    sums = np.array([shares[0]])  # the other half are its negatives
    for share in shares[1:]:
        sums = np.concatenate([sums + share, sums - share])
    return float(np.mean(np.abs(sums) >= _limit(shares)))


def _drawn_p(shares: Sequence[Numbers], rng: np.random.Generator) -> list[float]:
    columns = np.array(shares).T  # (patient, test)
    limits = np.array([_limit(each) for each in shares])
    flips = max(FLIPS, FLIPS_PER_TEST * len(shares) - 1)
    beyond: npt.NDArray[np.intp] = np.ones(len(shares), np.intp)  # the observed signs
    for start in range(0, flips, AT_A_TIME):
        count = min(AT_A_TIME, flips - start)
        signs = rng.integers(0, 2, (count, len(columns))) * 2.0 - 1
        beyond += np.count_nonzero(np.abs(signs @ columns) >= limits, axis=0)
    return [float(n) / (flips + 1) for n in beyond]


def _limit(shares: Numbers) -> float:
    """How far from zero the observed sum lies, less what rounding may add or take."""
    return float(abs(shares.sum()) - SAME * np.abs(shares).sum())
