"""Adaptation: whether a model may take statistics of its norms from a scan, and on what that was measured.

The guard: on cases of the model's own kind, which it did not learn from, adapting may not lower Dice by more
than half a point, and the whole interval has to say so. Unproven is refused.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from delineate.record import Record

LIMIT = 0.005  # of Dice: half a point
SHARE = 0.3  # of the statistics is the scan's; Schneider 2020, arXiv:2006.16971, for few images
MARK = "ADAPTED"  # how the note begins that stands with every such result


class Adaptation(Record):
    """What adapting costs at home.

    share           of the statistics that is the scan's; the rest stays that of training
    clean, adapted  mean Dice of the same cases, over structures
    loss            clean minus adapted, case by case; with its 95 % interval over patients
    """

    version: Literal[1] = 1
    share: Annotated[float, Field(gt=0, le=1)] = SHARE
    cases: int
    patients: int
    clean: float
    adapted: float
    loss: float
    low: float | None
    high: float | None
    limit: float = LIMIT

    @property
    def is_allowed(self) -> bool:
        """Whether it is proven that no more is lost than the limit."""
        return self.high is not None and self.high <= self.limit

    @property
    def told(self) -> str:
        """What was measured, and what follows, in words."""
        ends = (
            "no interval: too few patients"
            if self.low is None or self.high is None
            else f"95 % interval {self.low:+.4f} to {self.high:+.4f}"
        )
        measured = (
            f"adapting with a share of {self.share:g} costs {self.loss:+.4f} Dice on {self.cases} cases of "
            f"{self.patients} patients ({self.clean:.3f} to {self.adapted:.3f}; {ends})"
        )
        if self.is_allowed:
            return f"Allowed: {measured}."
        why = "more" if self.loss > self.limit else "and it is not proven that it costs no more"
        return f"Refused: {measured}, {why} than {self.limit:g}."

    @property
    def note(self) -> str:
        """What stands with every adapted result."""
        return f"{MARK}: {100 * self.share:.0f} % of the norms' statistics are this scan's own"
