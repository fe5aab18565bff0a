"""Measuring: predictions of any tool held against references, and written down for people and machines."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from delineate.errors import DataError
from delineate.evaluation import Folders, Report, Rules, evaluate, write_report
from delineate.evaluation.folders import NoPrediction
from delineate.evaluation.showing import case_section, heading, headline, score_section
from delineate.io.disk import write_text
from delineate.page import Items, Section, render_page
from delineate.pipeline.watch import Watch


@dataclass(frozen=True)
class MeasureWishes:
    """How predictions are measured.

    labels   what label values mean, where the references do not say it
    facts    a CSV with a line per case: patient, site and further columns
    scans    scans named as the cases, to be seen in pictures
    without  what a reference without a prediction is
    """

    rules: Rules = field(default_factory=Rules)
    labels: Path | None = None
    facts: Path | None = None
    scans: Path | None = None
    without: NoPrediction = "refuse"


def evaluate_folders(
    references: Path, predictions: Path, out: Path, wishes: MeasureWishes, watch: Watch
) -> Report:
    """The report of two folders of label files; `out` holds it as JSON, CSV, Markdown and a page.

    Raises:
        DataError: `out` is one of the two folders, or what `Folders.open` and `evaluate` refuse.
    """
    if out.resolve() in (references.resolve(), predictions.resolve()):
        raise DataError(f"{out}: holds the labels that are measured. Write the report into another folder.")
    folders = Folders.open(
        references,
        predictions,
        labels=wishes.labels,
        facts=wishes.facts,
        scans=wishes.scans,
        without=wishes.without,
    )
    for note in folders.notes:
        watch.say(note)
    dataset = folders.references
    with watch.stage("evaluate") as progress:
        report = evaluate(
            dataset.ids,
            folders.load,
            title=f"{predictions.name} against {references.name}",
            groups={case.id: case.group for case in dataset.cases},
            rules=wishes.rules,
            workers=os.cpu_count() or 1,
            progress=progress,
        )
    write_report(report, out)
    with watch.stage("pictures") as progress:
        sections = (score_section(report), case_section(report, folders.look, progress), _rules(report))
    page = render_page(
        report.title,
        f"{len(report.cases)} cases, {len(report.structures)} structures.",
        sections,
        figures=headline(report),
        warnings=(*folders.notes, *report.warnings),
        footer="One row per case, structure and metric: scores.csv beside this page.",
    )
    write_text(out / "report.html", page)
    return report


def _rules(report: Report) -> Section:
    """What every number means."""
    measures = report.rules.measures
    return Section(
        "What the numbers mean",
        (Items(tuple(f"{heading(m)}: {report.rules.definition(m)}" for m in measures)),),
    )
