"""Sequences: which channels a scan may lack, and how a network learns to do without them.

Nothing is dropped unless it is asked for: a network that sees whole stacks only is a little better on whole
stacks. What each missing channel costs is measured, not guessed: `delineate evaluate RUN --missing-channels`.
"""

from __future__ import annotations

from delineate.errors import PlanError
from delineate.planning.fingerprint import Fingerprint


def sequences(found: Fingerprint, dropout: float | None) -> tuple[tuple[str, ...], dict[str, str]]:
    """Channels that some case lacks, and why they and the dropout are as they are, by field.

    Raises:
        PlanError: the dropout is no share below 1, or there is one channel only.
    """
    if dropout is not None and not 0 <= dropout < 1:
        raise PlanError(f"channel_dropout is a share of at least 0 and below 1, got {dropout:g}.")
    if dropout and len(found.channels) < 2:
        raise PlanError(
            f"the scans have one channel, {found.channels[0]}: it cannot be dropped. Leave the dropout out."
        )
    lacking = {name: found.lacking(n) for n, name in enumerate(found.channels) if found.lacking(n)}
    return tuple(lacking), _why_lacking(found, lacking) | {"training.channel_dropout": _why_dropped(dropout)}


def _why_lacking(found: Fingerprint, lacking: dict[str, int]) -> dict[str, str]:
    if not lacking:
        return {}
    counts = ", ".join(f"{count} of {len(found.cases)} lack {name}" for name, count in lacking.items())
    return {"may_lack": f"declared optional, and {counts}: such scans are told from whole ones"}


def _why_dropped(dropout: float | None) -> str:
    if not dropout:
        return "none: nobody asked that scans may lack what the training cases have"
    return (
        f"asked for: each channel of a sample is dropped with a chance of {dropout:g}, never the last one: "
        "a scan may then lack any of them"
    )
