"""Showing: a verdict as a section of a page."""

from __future__ import annotations

from delineate.evaluation.gate.verdict import VERDICT_HEADS, Verdict, verdict_notes, verdict_rows
from delineate.page import Items, Section, Table


def gate_section(verdict: Verdict) -> Section:
    """The table of verdicts, who asks for what, and what the gate is not."""
    said = f"Gate '{verdict.gate}': {verdict.outcome}. {verdict.note}".rstrip()
    table = Table(VERDICT_HEADS, verdict_rows(verdict), words=frozenset({len(VERDICT_HEADS) - 1}))
    return Section("Is it good enough?", (said, table, Items(tuple(verdict_notes(verdict)))))
