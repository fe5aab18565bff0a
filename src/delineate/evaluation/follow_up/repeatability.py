"""Repeatability: how far two measurements of the same thing lie apart although nothing has changed.

It is the standard deviation within a patient, found from repeated measurements: scans of one day (test and
retest), or labels by several raters of the same scans. Two measurements then differ by up to
1.96 sqrt(2) = 2.77 standard deviations in 95 of 100 cases: the repeatability coefficient.

absolute   errors of some ml, whatever the size
relative   errors of some percent: the standard deviation is that of the logarithm of the volume, so that
           100 to 125 ml and 125 to 100 ml are the same step (+25 % and -20 %)

Where the standard deviation was found from few cases, Student's t takes the place of 1.96, so that a change
is claimed without cause in 5 of 100 cases, however few they were.

Sources: Bland and Altman 1996, doi:10.1136/bmj.313.7059.744 (measurement error); 1996,
doi:10.1136/bmj.313.7066.1200 (its logarithm); Raunig 2015, doi:10.1177/0962280214537344 (QIBA); Obuchowski
and Bullen 2018, doi:10.1177/0962280217718867 (35 cases are enough to judge by).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Annotated, Literal

import numpy as np
from pydantic import Field
from scipy.special import chdtri, ndtri, stdtrit

from delineate.errors import DataError
from delineate.evaluation.statistics import Interval
from delineate.record import Record

Kind = Literal["relative", "absolute"]

HIGH = 0.975  # the upper end of a 95 % interval
REACH = float(ndtri(HIGH)) * math.sqrt(2)  # 2.77: two measurements differ by so many sd at most
ENOUGH = 35  # cases, Obuchowski and Bullen 2018
GIVEN = re.compile(r"\s*(?P<number>\d+(\.\d*)?|\.\d+)\s*(?P<unit>%|ml)\s*")


class Repeatability(Record):
    """The error of one measurement of a volume.

    sd       standard deviation within a patient: in ml, or of the logarithm of the volume
    freedom  degrees of freedom that it was found with; None where it is given, and taken as known
    cases    it was found from
    """

    kind: Kind
    sd: Annotated[float, Field(gt=0)]
    freedom: int | None = None
    cases: int | None = None
    source: str

    @classmethod
    def given(cls, text: str) -> Repeatability:
        """The repeatability coefficient in words: "0.8 ml", or "25 %", which is +25 % and -20 %."""
        match = GIVEN.fullmatch(text)
        if match is None or float(match["number"]) == 0:
            raise DataError(
                f"a repeatability coefficient is a number of ml or percent above 0, got {text!r}. "
                "For example: 0.8ml, or 25%."
            )
        number, unit = float(match["number"]), match["unit"]
        if unit == "ml":
            return cls(kind="absolute", sd=number / REACH, source=f"given: {number:g} ml")
        return cls(kind="relative", sd=math.log1p(number / 100) / REACH, source=f"given: {number:g} %")

    @classmethod
    def of(cls, repeats: Sequence[Sequence[float]], kind: Kind, *, source: str) -> Repeatability:
        """The error that repeated measurements in ml show: for each case two or more.

        Cases measured once say nothing, and relative errors leave out those with a volume of 0.
        """
        used = [case for case in repeats if len(case) > 1 and (kind == "absolute" or min(case) > 0)]
        if not used:
            raise DataError(
                f"{source}: no case has two measurements{' above 0 ml' * (kind == 'relative')} to tell how "
                f"repeatable they are, of {len(repeats)} cases. Give scans or labels of the same state twice."
            )
        values = [np.log(case) if kind == "relative" else np.asarray(case, float) for case in used]
        freedom = sum(len(case) - 1 for case in used)
        variance = sum(float(((case - case.mean()) ** 2).sum()) for case in values) / freedom
        if variance == 0:
            raise DataError(
                f"{source}: repeated measurements are all equal in {len(used)} cases, which says nothing "
                "about their error. Are they the same files?"
            )
        return cls(kind=kind, sd=math.sqrt(variance), freedom=freedom, cases=len(used), source=source)

    @property
    def sd_interval(self) -> Interval | None:
        """The 95 % interval of the standard deviation; None where it is given."""
        if self.freedom is None:
            return None
        low, high = (self.sd * math.sqrt(self.freedom / chdtri(self.freedom, p)) for p in (1 - HIGH, HIGH))
        return low, high

    @property
    def half(self) -> float:
        """How far the change that was measured may be from the true one: in ml, or of the log ratio."""
        if self.freedom is None:
            return REACH * self.sd
        return float(stdtrit(self.freedom, HIGH)) * math.sqrt(2) * self.sd

    @property
    def limits(self) -> Interval:
        """The changes between which nothing is proven: in ml, or as shares of the volume before."""
        if self.kind == "absolute":
            return -self.half, self.half
        return math.expm1(-self.half), math.expm1(self.half)

    @property
    def words(self) -> str:
        """What changes are within the error, and how that is known."""
        low, high = self.limits
        told = f"{low:+.3g} to {high:+.3g} ml" if self.kind == "absolute" else f"{low:+.1%} to {high:+.1%}"
        few = f", fewer than {ENOUGH}" if self.cases is not None and self.cases < ENOUGH else ""
        found = f"found from {self.cases} cases{few}, {self.source}" if self.cases else self.source
        return f"{told} ({found})"
