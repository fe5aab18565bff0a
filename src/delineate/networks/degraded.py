"""Degraded: what a model loses where a channel is missing, measured on cases that it did not learn from.

The same validation cases are segmented with all their channels and again without one, and the two Dice are
compared case by case. A scan that lacks a channel is told what that cost there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from delineate.record import Record

MARK = "DEGRADED"  # how the note begins that stands with every such result


class Loss(Record):
    """What one structure loses without some channels.

    missing    names of the channels
    whole      mean Dice with all channels; None where no case has a value
    without    mean Dice of the same cases without them
    loss       mean of whole minus without, case by case
    low, high  its 95 % interval over patients; None for fewer than two
    cases      that had a value both ways
    """

    missing: tuple[str, ...]
    structure: str
    whole: float | None
    without: float | None
    loss: float | None
    low: float | None = None
    high: float | None = None
    cases: int = 0


class Degraded(Record):
    """What each missing channel costs.

    channels   all that the model reads
    cases      that were measured, none of them learnt from by the networks that segmented it
    made_from  digest of the weights that were measured
    """

    version: Literal[1] = 1
    channels: tuple[str, ...]
    cases: int
    losses: tuple[Loss, ...]
    made_from: str = ""

    def without(self, missing: Sequence[str]) -> tuple[Loss, ...]:
        """What was measured without just these channels, by structure."""
        return tuple(loss for loss in self.losses if set(loss.missing) == set(missing))

    def told(self, missing: Sequence[str]) -> str:
        """What is to be expected without these channels, in words."""
        measured = self.without(missing)
        if measured:
            parts = ", ".join(f"{loss.structure} {_signed(loss)}" for loss in measured)
            return f"on {self.cases} validation cases that cost in Dice: {parts}"
        alone = [loss for name in missing for loss in self.without((name,))]
        if not alone:
            return "what that costs was not measured"
        parts = ", ".join(f"{loss.structure} without {loss.missing[0]} {_signed(loss)}" for loss in alone)
        return f"what that costs together was not measured; each alone cost in Dice: {parts}"

    def to_markdown(self) -> str:
        """The table, a row per missing channel and structure."""
        lines = [
            "| missing | structure | Dice with all | without | lost (95 % interval) | cases |",
            "|---|---|---|---|---|---|",
        ]
        for loss in self.losses:
            ends = "" if loss.low is None or loss.high is None else f" [{loss.low:.3f}, {loss.high:.3f}]"
            lines.append(
                f"| {', '.join(loss.missing)} | {loss.structure} | {_number(loss.whole)} | "
                f"{_number(loss.without)} | {_number(loss.loss)}{ends} | {loss.cases} |"
            )
        return "\n".join(lines) + "\n"


def degraded_note(missing: Sequence[str], channels: Sequence[str], measured: Degraded | None) -> str:
    """What is said with every result of a scan that lacks channels."""
    cost = (
        "what that costs was not measured: delineate evaluate RUN --missing-channels, then pack"
        if measured is None
        else measured.told(missing)
    )
    return (
        f"{MARK}: made without {' and '.join(missing)}; the model reads {', '.join(channels)} and was "
        f"trained to do without; {cost}"
    )


def _signed(loss: Loss) -> str:
    if loss.loss is None:
        return "unknown"
    ends = "" if loss.low is None or loss.high is None else f" [{loss.low:.3f}, {loss.high:.3f}]"
    return f"{loss.loss:.3f}{ends}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
