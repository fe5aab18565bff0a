"""Measuring: predictions of any tool held against references, and written down for people and machines."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from delineate.dataset import label_files
from delineate.dataset.provenance import refuse_as_evidence
from delineate.dataset.table_file import read_facts
from delineate.errors import DataError
from delineate.evaluation import (
    CalibrationReport,
    Folders,
    InstanceMap,
    InstanceReport,
    LesionReport,
    Report,
    Rules,
    Verdict,
    columns_of,
    evaluate,
    evaluate_instances,
    evaluate_lesions,
    judge,
    read_gate,
    read_instances,
    write_report,
)
from delineate.evaluation.folders import NoPrediction, keeps_no_grid, matched
from delineate.evaluation.gate.showing import gate_section
from delineate.evaluation.objects.lesions import LESION_RULES
from delineate.evaluation.objects.showing import instance_section, lesion_section
from delineate.evaluation.overlap_plot import confusion_section
from delineate.evaluation.showing import case_section, headline, rule_section, score_section
from delineate.evaluation.volume_plot import volume_section
from delineate.io.disk import write_json, write_text
from delineate.page import Figure, Section, render_page
from delineate.pipeline.calibrating import CalibrateWishes, calibrate_folders, calibration_sections
from delineate.pipeline.dividing import Divided, DivideWishes, divided_by, group_section
from delineate.pipeline.watch import Watch

DIVIDED = ("dice", "hd95", "nsd", "volume_error_relative")  # `delineate subgroups` divides all others too
LESION_METRICS = ("lesion_dice", "lesion_hd95", "lesion_recall", "lesion_precision", "lesion_f1")
SHOWN_OF_OBJECTS = ("pq", "aji", "f1@0.5", "ap")


@dataclass(frozen=True)
class MeasureWishes:
    """How predictions are measured.

    labels   what label values mean, where the references do not say it
    facts    a CSV with a line per case: patient, site and further columns
    scans    scans named as the cases, to be seen in pictures
    without  what a reference without a prediction is
    by       columns of the cases (and 'size') that divide every table, with edges for numbers
    gate     thresholds that the report is held against: a file, or 'literature'
    lesions  a name of `LESION_RULES`: every structure is also measured lesion by lesion, by these rules
    probabilities  a folder of probabilities: is the model as sure as it is right?
    count_models   references that a model made and nobody reviewed are counted, too
    """

    rules: Rules = field(default_factory=Rules)
    labels: Path | None = None
    facts: Path | None = None
    scans: Path | None = None
    without: NoPrediction = "refuse"
    by: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    gate: str | None = None
    lesions: str | None = None
    probabilities: Path | None = None
    count_models: bool = False

    @property
    def all_rules(self) -> Rules:
        """The rules, with lesions among the metrics where they were asked for.

        Raises:
            DataError: there are no lesion rules of this name.
        """
        if self.lesions is None:
            return self.rules
        known = {name.lower(): rules for name, rules in LESION_RULES.items()}
        if self.lesions.lower() not in known:
            raise DataError(
                f"there are no lesion rules {self.lesions!r}; there are {', '.join(LESION_RULES)}."
            )
        further = tuple(name for name in LESION_METRICS if name not in self.rules.metrics)
        return self.rules.but(lesions=known[self.lesions.lower()], metrics=(*self.rules.metrics, *further))


@dataclass(frozen=True)
class Measured:
    """A report, and what was said of lesions, groups, thresholds and probabilities where that was asked."""

    report: Report
    lesions: LesionReport | None
    groups: Divided | None
    verdict: Verdict | None
    calibration: CalibrationReport | None

    def to_markdown(self) -> str:
        """All tables."""
        parts = (self.lesions, self.groups, self.verdict, self.calibration)
        further = [part.to_markdown() for part in parts if part is not None]
        return "\n".join([self.report.to_markdown(), *further])


def evaluate_folders(
    references: Path, predictions: Path, out: Path, wishes: MeasureWishes, watch: Watch
) -> Measured:
    """The report of two folders of label files; `out` holds it as JSON, CSV, Markdown and a page.

    Raises:
        DataError: `out` is one of the two folders, or what `Folders.open` and `evaluate` refuse.
    """
    _refuse_among_labels(out, references, predictions)
    rules = wishes.all_rules
    gate = None if wishes.gate is None else read_gate(wishes.gate)
    folders = Folders.open(
        references,
        predictions,
        labels=wishes.labels,
        facts=wishes.facts,
        scans=wishes.scans,
        without=wishes.without,
    )
    if not wishes.count_models:
        remedy = "Leave them out, or count them all the same:  --count-model-labels"
        refuse_as_evidence(folders.references.cases, str(references), remedy)
    for note in folders.notes:
        watch.say(note)
    dataset = folders.references
    title = f"{predictions.name} against {references.name}"
    groups = {case.id: case.group for case in dataset.cases}
    how: dict[str, Any] = {"title": title, "groups": groups, "rules": rules, "workers": os.cpu_count() or 1}
    with watch.stage("evaluate") as progress:
        report = evaluate(dataset.ids, folders.load, **how, progress=progress)
    lesions = None
    if wishes.lesions is not None:
        with watch.stage("lesions") as progress:
            lesions = evaluate_lesions(dataset.ids, folders.load, **how, progress=progress)
    usual = tuple(metric for metric in DIVIDED if metric in report.metrics)
    wanted = DivideWishes(by=wishes.by, metrics=usual or None)
    measured = Measured(
        report,
        lesions,
        divided_by(report, columns_of(dataset), wanted, where=str(references)) if wishes.by else None,
        None if gate is None else judge(report, gate),
        _calibration(references, wishes, watch),
    )
    write_measured(measured, out)
    with watch.stage("pictures") as progress:
        cases = case_section(report, folders.look, progress)
    page = render_page(
        report.title,
        f"{len(report.cases)} cases, {len(report.structures)} structures.",
        (*measured_sections(measured), cases, rule_section(report)),
        figures=headline(report),
        warnings=(*folders.notes, *report.warnings),
        footer="One row per case, structure and metric: scores.csv beside this page.",
    )
    write_text(out / "report.html", page)
    return measured


def evaluate_objects(
    references: Path, predictions: Path, out: Path, wishes: MeasureWishes, watch: Watch
) -> InstanceReport:
    """The report of two folders of instance maps, in which every value is one object; see `InstanceMap`.

    Of the wishes only `facts` (for the patients) and `without` are about objects.

    Raises:
        DataError: as `evaluate_folders`.
    """
    _refuse_among_labels(out, references, predictions)
    there, here = label_files(references), label_files(predictions)
    kept, notes = matched(tuple(there), here, predictions, wishes.without)
    for note in notes:
        watch.say(note)
    known = {} if wishes.facts is None else read_facts(wishes.facts)

    def load(case: str) -> tuple[InstanceMap, InstanceMap]:
        reference = read_instances(there[case])
        if case not in here:
            return reference, replace(reference, array=np.zeros_like(reference.array))
        found = read_instances(here[case])
        if keeps_no_grid(here[case]) and found.array.shape == reference.array.shape:
            found = replace(found, geometry=reference.geometry)
        return reference, found

    with watch.stage("evaluate") as progress:
        report = evaluate_instances(
            kept,
            load,
            title=f"{predictions.name} against {references.name}",
            groups={case: known[case].group for case in kept if case in known},
            workers=os.cpu_count() or 1,
            progress=progress,
        )
    write_text(out / "instances.json", report.to_json())
    write_text(out / "scores.csv", report.to_csv())
    write_text(out / "summary.md", f"# {report.title}\n\n{report.to_markdown()}")
    shown = [report.summary(name) for name in SHOWN_OF_OBJECTS if name in report.metrics]
    page = render_page(
        report.title,
        f"{len(report.cases)} cases; every value of a map is one object.",
        (instance_section(report),),
        figures=[Figure(s.title, s.pooled.words, "all objects in one pool") for s in shown],
        warnings=notes,
        footer="One row per case and measure: scores.csv beside this page.",
    )
    write_text(out / "report.html", page)
    return report


def _calibration(references: Path, wishes: MeasureWishes, watch: Watch) -> CalibrationReport | None:
    if wishes.probabilities is None:
        return None
    how = CalibrateWishes(labels=wishes.labels, facts=wishes.facts)
    return calibrate_folders(references, wishes.probabilities, None, how, watch)


def measured_sections(measured: Measured) -> tuple[Section, ...]:
    """Everything about the numbers; pictures are not among it."""
    report = measured.report
    sections = [score_section(report)]
    if measured.lesions is not None:
        sections.append(lesion_section(measured.lesions))
    if measured.verdict is not None:
        sections.append(gate_section(measured.verdict))
    if measured.groups is not None:
        sections.append(group_section(measured.groups))
    sections.append(volume_section(report))
    if report.confusion is not None and len(report.confusion.names) > 2:
        sections.append(confusion_section(report.confusion))
    if measured.calibration is not None:
        sections += calibration_sections(measured.calibration)
    return tuple(sections)


def write_measured(measured: Measured, out: Path) -> None:
    """Writes the report, and all that was said beside it, into a folder."""
    write_report(measured.report, out)
    if measured.lesions is not None:
        write_text(out / "lesions.csv", measured.lesions.to_csv())
        write_text(out / "findings.csv", measured.lesions.findings_csv())
    if measured.groups is not None:
        write_json(out / "subgroups.json", measured.groups.to_json())
    if measured.verdict is not None:
        write_text(out / "gate.json", measured.verdict.to_json())
    if measured.calibration is not None:
        write_text(out / "calibration.json", measured.calibration.to_json())
    write_text(out / "summary.md", f"# {measured.report.title}\n\n{measured.to_markdown()}")


def _refuse_among_labels(out: Path, *folders: Path) -> None:
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise DataError(f"{out}: holds the labels that are measured. Write the report into another folder.")
