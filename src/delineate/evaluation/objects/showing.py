"""Showing: what became of objects, as a section of a page."""

from __future__ import annotations

from delineate.evaluation.objects.instance_report import TABLE, InstanceReport
from delineate.page import Items, Section, Table

COUNT_HEADS = ("structure", "cases", "objects", "predicted", "found", "missed", "invented", "merged", "split")
VALUE_HEADS = ("structure", "measure", "mean of cases", "all objects in one pool")


def instance_section(report: InstanceReport) -> Section:
    """How many objects were found, missed, invented, merged and split; and the measures that sum it up."""
    shown = [name for name in TABLE if name in report.metrics]
    counts = [tuple(map(str, one.model_dump().values())) for one in report.counts]
    found = [report.summary(name, structure) for structure in report.structures for name in shown]
    values = [(s.structure, s.title, s.mean.words, s.pooled.words) for s in found]
    told = tuple(f"{s.title}: {s.definition}" for s in map(report.summary, shown))
    return Section("Objects", (Table(COUNT_HEADS, counts), Table(VALUE_HEADS, values), Items(told)))
