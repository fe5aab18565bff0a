"""Response: the category of RECIST 1.1 from the diameters of target lesions at two visits.

For lesions the longest diameter counts, for lymph nodes the short axis; both in the slice. The sum before is
the baseline; the nadir is the smallest sum so far, the baseline itself unless a smaller one is given.

CR  every lesion is gone, and every node has a short axis below 10 mm
PD  the sum is at least 20 % and at least 5 mm above the nadir, or above a nadir of 0
PR  the sum is at least 30 % below the baseline
SD  none of these
NE  not evaluable: a target is cut off by the edge of a scan, and the rest does not decide

PD goes before PR. Only target lesions are looked at: new lesions and non-target lesions, which can make
any response PD, and the confirmation of a response are for the reader. The thresholds are those of RECIST,
whatever the repeatability of a measurement is.

Source: Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026, sections 3.1.1, 4.1, 4.3.1 and 4.3.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from delineate.errors import DataError
from delineate.evaluation.follow_up.change import Size
from delineate.record import Record

Category = Literal["CR", "PD", "PR", "SD", "NE"]

SOURCE = "RECIST 1.1, Eisenhauer 2009, doi:10.1016/j.ejca.2008.10.026"
SHRUNK, GROWN, LEAST_MM = 0.30, 0.20, 5.0  # section 4.3.1
NORMAL_NODE_MM = 10.0  # short axis of a node that is no longer pathological
MEASURABLE_MM, MEASURABLE_NODE_MM = 10.0, 15.0  # section 3.1.1
MOST_TARGETS = 5
SAME = 1e-9  # of a sum: 30 % less is 30 % less, whatever rounding says


class Target(Record):
    """A target lesion at two visits: its longest diameter, or the short axis of a lymph node."""

    name: str
    is_node: bool
    before_mm: float
    after_mm: float
    at_edge_before: bool = False
    at_edge_after: bool = False

    @classmethod
    def of(cls, name: str, before: Size, after: Size, *, is_node: bool = False) -> Target:
        """The target that a structure is; its sizes have diameters."""
        millimetres = [size.short_mm if is_node else size.long_mm for size in (before, after)]
        if millimetres[0] is None or millimetres[1] is None:
            raise DataError(f"{name}: was measured without its diameters. Measure it with diameters=True.")
        return cls(
            name=name,
            is_node=is_node,
            before_mm=millimetres[0],
            after_mm=millimetres[1],
            at_edge_before=before.at_edge,
            at_edge_after=after.at_edge,
        )

    @property
    def is_gone(self) -> bool:
        """Whether nothing pathological is left of it."""
        return self.after_mm < NORMAL_NODE_MM if self.is_node else self.after_mm == 0


class Response(Record):
    """The category of a patient, and the sums that it follows from."""

    case: str
    category: Category
    reason: str
    sum_before_mm: float
    sum_after_mm: float
    nadir_mm: float
    targets: tuple[Target, ...]
    notes: tuple[str, ...] = ()
    source: str = SOURCE

    @classmethod
    def of(cls, targets: Sequence[Target], *, case: str, nadir_mm: float | None = None) -> Response:
        """The response of these targets.

        Raises:
            DataError: there is no target, or one was not there before.
        """
        absent = [target.name for target in targets if target.before_mm == 0]
        if not targets or absent:
            raise DataError(
                f"{case}: {', '.join(absent) or 'no target lesion is named'}"
                f"{' is not there before' * bool(absent)}. Target lesions are chosen at baseline, where "
                "they are at least 10 mm long, nodes 15 mm across; what appears later is a new lesion."
            )
        before = sum(target.before_mm for target in targets)
        after = sum(target.after_mm for target in targets)
        nadir = before if nadir_mm is None else min(nadir_mm, before)
        category, reason = _category(targets, before, after, nadir)
        return cls(
            case=case,
            category=category,
            reason=reason,
            sum_before_mm=before,
            sum_after_mm=after,
            nadir_mm=nadir,
            targets=tuple(targets),
            notes=tuple(_notes(targets)),
        )

    @property
    def share(self) -> float:
        """The change of the sum as a share of the baseline."""
        return (self.sum_after_mm - self.sum_before_mm) / self.sum_before_mm


def _category(targets: Sequence[Target], before: float, after: float, nadir: float) -> tuple[Category, str]:
    """The first that holds, of CR, PD, PR and SD; NE where a part of a lesion could be the reason."""
    is_part_before = any(target.at_edge_before for target in targets)
    is_part_after = any(target.at_edge_after for target in targets)
    grown = after - nadir
    progressed = grown >= LEAST_MM * (1 - SAME) and grown >= GROWN * nadir * (1 - SAME)
    if nadir == 0 and after > 0:
        return "PD", f"lesions that were gone are back, {after:.1f} mm"
    if progressed and not is_part_before:  # a sum of parts is at least as large as a whole
        return "PD", f"the sum is {grown:.1f} mm, {grown / nadir:.0%}, above its smallest value"
    if is_part_before or is_part_after:
        names = ", ".join(t.name for t in targets if t.at_edge_before or t.at_edge_after)
        return "NE", f"cut off by the edge of a scan: {names}"
    if all(target.is_gone for target in targets):
        return "CR", "no target lesion is left"
    fallen = before - after
    if fallen >= SHRUNK * before * (1 - SAME):
        return "PR", f"the sum is {fallen:.1f} mm, {fallen / before:.0%}, below the baseline"
    return "SD", "neither 30 % below the baseline nor 20 % and 5 mm above the smallest value"


def _notes(targets: Sequence[Target]) -> list[str]:
    notes = []
    if len(targets) > MOST_TARGETS:
        notes.append(f"{len(targets)} target lesions; RECIST counts at most five, two of an organ")
    for target in targets:
        least = MEASURABLE_NODE_MM if target.is_node else MEASURABLE_MM
        if target.before_mm < least:
            notes.append(
                f"{target.name}: {target.before_mm:.1f} mm before is not measurable, below {least:g} mm"
            )
    return notes
