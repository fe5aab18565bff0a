"""Change: what became of a structure between two visits of a patient, and whether that is more than error.

The two scans need not share a grid. The interval of a change is what the repeatability leaves open; the
verdict follows from it alone:

grew, shrank    the whole interval lies on one side of no change
no change beyond measurement error   it does not
not judged      how repeatable the volume is is not known, or the edge of a scan cuts the structure off

A volume that is cut off is never set to zero: it is a part, so the whole is at least as large. What follows
from that is still said: cut off after and grown all the same, it grew; cut off before and shrunk all the
same, it shrank.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from delineate.errors import DataError
from delineate.evaluation.follow_up.repeatability import Repeatability
from delineate.evaluation.shapes.diameter import Diameter
from delineate.evaluation.statistics import Interval
from delineate.evaluation.volume import touches_edge
from delineate.record import Record
from delineate.space import Box, LabelMap

Verdict = Literal["grew", "shrank", "no change beyond measurement error", "not judged"]

YEAR = 365.25  # days
UNKNOWN = "how repeatable this volume is is not known"
APPEARED = "appeared: not there before, or missed then"
DISAPPEARED = "disappeared: not there after, or missed then"


class Size(Record):
    """A structure at one visit; diameters are None where they were not asked for."""

    volume_ml: float
    at_edge: bool = False  # cut off by the edge of the scan
    long_mm: float | None = None
    short_mm: float | None = None

    @classmethod
    def of(cls, labels: LabelMap, structure: str, *, diameters: bool = False) -> Size:
        """The size of a structure of a label map."""
        mask = labels.mask(structure)
        box = Box.around(mask)
        cut = box is not None and touches_edge(box, labels.geometry)
        volume = int(np.count_nonzero(mask)) * labels.geometry.voxel_ml
        if not diameters:
            return cls(volume_ml=volume, at_edge=cut)
        found = Diameter.of(mask, labels.geometry)
        if found is None:
            return cls(volume_ml=0.0, long_mm=0.0, short_mm=0.0)
        return cls(volume_ml=volume, at_edge=cut, long_mm=found.long_mm, short_mm=found.short_mm)


class Change(Record):
    """What became of a structure between two visits.

    ml, ml_interval          after less before
    share, share_interval    the same as a share of the volume before; None where there was none
    ml_per_year, share_per_year   the same divided by the years between, without compound interest; None
                                  where nobody says how long that was
    Intervals are None where the repeatability is not known.
    """

    case: str
    structure: str
    before: Size
    after: Size
    days: float | None
    ml: float
    ml_interval: Interval | None
    share: float | None
    share_interval: Interval | None
    ml_per_year: float | None
    ml_per_year_interval: Interval | None
    share_per_year: float | None
    share_per_year_interval: Interval | None
    verdict: Verdict
    note: str | None = None

    @classmethod
    def of(
        cls,
        before: Size,
        after: Size,
        repeatability: Repeatability | None = None,
        *,
        case: str,
        structure: str,
        days: float | None = None,
    ) -> Change:
        """The change between two sizes, judged by how repeatable they are."""
        if days is not None and not days > 0:
            raise DataError(
                f"{case}: the second visit is {days:g} days after the first; it has to come later. "
                "Exchange BEFORE and AFTER, or correct the dates."
            )
        ml = after.volume_ml - before.volume_ml
        share = ml / before.volume_ml if before.volume_ml else None
        years = None if days is None else days / YEAR
        ends = _intervals(before.volume_ml, after.volume_ml, repeatability)
        verdict, note = _judged(before, after, ends[0])
        return cls(
            case=case,
            structure=structure,
            before=before,
            after=after,
            days=days,
            ml=ml,
            ml_interval=ends[0],
            share=share,
            share_interval=ends[1],
            ml_per_year=_divided(ml, years),
            ml_per_year_interval=_both_divided(ends[0], years),
            share_per_year=_divided(share, years),
            share_per_year_interval=_both_divided(ends[1], years),
            verdict=verdict,
            note=note,
        )


def _intervals(
    before: float, after: float, repeatability: Repeatability | None
) -> tuple[Interval | None, Interval | None]:
    """Of the change in ml, and of its share of the volume that was measured before."""
    if repeatability is None:
        return None, None
    half = repeatability.half
    if repeatability.kind == "absolute":
        low, high = after - before - half, after - before + half
        return (low, high), ((low / before, high / before) if before else None)
    if not before or not after:
        return None, None  # a relative error says nothing of what is not there
    shares = after / before * math.exp(-half) - 1, after / before * math.exp(half) - 1
    return (before * shares[0], before * shares[1]), shares


def _judged(before: Size, after: Size, interval: Interval | None) -> tuple[Verdict, str | None]:
    if not before.volume_ml and not after.volume_ml:
        return "not judged", "there at neither visit"
    came = APPEARED if not before.volume_ml else DISAPPEARED if not after.volume_ml else None
    verdict: Verdict = "not judged"
    if interval is not None:
        verdict = _side(interval)
    elif came is not None:  # no relative error makes something of nothing
        verdict = "grew" if came == APPEARED else "shrank"
    if not before.at_edge and not after.at_edge:
        return verdict, came or (UNKNOWN if interval is None else None)
    return _of_parts(verdict, before, after, came)


def _of_parts(verdict: Verdict, before: Size, after: Size, came: str | None) -> tuple[Verdict, str]:
    """What still holds where a volume is that of a part."""
    visits = [name for name, size in (("before", before), ("after", after)) if size.at_edge]
    note = f"cut off by the edge of the scan {' and '.join(visits)}: its volume is a part"
    holds = (verdict == "grew" and not before.at_edge) or (verdict == "shrank" and not after.at_edge)
    return verdict if holds else "not judged", f"{came}; {note}" if came else note


def _side(interval: Interval) -> Verdict:
    if interval[0] > 0:
        return "grew"
    return "shrank" if interval[1] < 0 else "no change beyond measurement error"


def _divided(value: float | None, years: float | None) -> float | None:
    return None if value is None or years is None else value / years


def _both_divided(interval: Interval | None, years: float | None) -> Interval | None:
    return None if interval is None or years is None else (interval[0] / years, interval[1] / years)
