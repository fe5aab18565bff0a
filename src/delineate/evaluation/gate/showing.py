"""Showing: a verdict as a section of a page."""

from __future__ import annotations

from delineate.evaluation.gate.verdict import VERDICT_HEADS, Verdict, verdict_notes, verdict_rows
from delineate.page import Items, Section, Table, stacked


def gate_section(verdict: Verdict) -> Section:
    """The table of verdicts, who asks for what, and what the gate is not."""
    said = f"Gate '{verdict.gate}': {verdict.outcome}. {verdict.note}".rstrip()
    rows = [[stacked(cell) for cell in row] for row in verdict_rows(verdict)]
    table = [Table(VERDICT_HEADS, rows, words=frozenset({len(VERDICT_HEADS) - 1}))] if rows else []
    return Section("Is it good enough?", (said, *table, Items(tuple(verdict_notes(verdict)))))
