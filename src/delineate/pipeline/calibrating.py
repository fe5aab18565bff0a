"""Calibrating: is a model as sure as it is right? Written down, and into the model where asked."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from delineate.errors import DataError
from delineate.evaluation import CalibrationReport, CalibrationRules, calibrate
from delineate.evaluation.calibration.files import ProbabilityFiles
from delineate.evaluation.calibration.plot import READING, reliability_plot
from delineate.evaluation.calibration.report import heat_rows
from delineate.evaluation.folders import is_dataset
from delineate.io.disk import write_text
from delineate.page import Figure, Section, Table, render_page
from delineate.pipeline.watch import Watch
from delineate.space import LabelSchema


@dataclass(frozen=True)
class CalibrateWishes:
    """How calibration is measured.

    labels  what label values mean, where the references do not say it
    facts   a CSV with a line per case: patient, site and further columns
    into    a model folder that shall carry the temperature; its labels are those of the probabilities
    """

    rules: CalibrationRules = field(default_factory=CalibrationRules)
    labels: Path | None = None
    facts: Path | None = None
    into: Path | None = None


def calibrate_folders(
    references: Path, probabilities: Path, out: Path | None, wishes: CalibrateWishes, watch: Watch
) -> CalibrationReport:
    """The calibration of a folder of probabilities; `out` gets it as JSON, Markdown and a page.

    Raises:
        DataError: `out` is one of the two folders, or what `ProbabilityFiles.open` and `calibrate` refuse;
            or the temperature shall go into a model, and makes nothing better.
    """
    if out is not None and out.resolve() in (references.resolve(), probabilities.resolve()):
        raise DataError(f"{out}: holds what is measured. Write the report into another folder.")
    files = ProbabilityFiles.open(
        references, probabilities, labels=_labels(references, wishes), facts=wishes.facts
    )
    _refuse_others(files, wishes.into)
    for note in files.notes:
        watch.say(note)
    dataset = files.references
    with watch.stage("calibrate") as progress:
        report = calibrate(
            dataset.ids,
            files.load,
            title=f"{probabilities.name} against {references.name}",
            groups={case.id: case.group for case in dataset.cases},
            rules=wishes.rules,
            progress=progress,
        )
    if out is not None:
        _write(report, out, files.notes)
    if wishes.into is not None:
        _carry(report, wishes.into)
    return report


def _labels(references: Path, wishes: CalibrateWishes) -> Path | None:
    """What says what values mean: as asked, or the model where the references do not."""
    if wishes.labels is not None or wishes.into is None or is_dataset(references):
        return wishes.labels
    return wishes.into / "labels.json"


def _refuse_others(files: ProbabilityFiles, model: Path | None) -> None:
    """A temperature goes into the model whose probabilities it was fitted to."""
    if model is None:
        return
    theirs, ours = LabelSchema.load(model / "labels.json").outputs, files.references.schema.outputs
    if theirs != ours:
        raise DataError(
            f"{model}: gives the probabilities of {', '.join(theirs)}, but those that were measured are of "
            f"{', '.join(ours)}. Name the model that wrote them."
        )


def _write(report: CalibrationReport, out: Path, notes: tuple[str, ...]) -> None:
    write_text(out / "calibration.json", report.to_json())
    write_text(out / "calibration.md", f"# {report.title}\n\n{report.to_markdown()}")
    page = render_page(
        report.title,
        f"{len(report.cases)} cases. Is the model as sure as it is right?",
        calibration_sections(report),
        figures=_figures(report),
        warnings=notes,
        footer="All numbers, by case: calibration.json beside this page.",
    )
    write_text(out / "calibration.html", page)


def calibration_sections(report: CalibrationReport) -> tuple[Section, ...]:
    """Reliability diagrams, errors by region, and what a temperature would change."""
    plots = tuple(reliability_plot(report, name) for name in report.names)
    heads, rows = report.table()
    return (
        Section("How sure, and how right", (READING, *plots)),
        Section("Errors of the probabilities", (Table(heads, rows, report.reading),)),
        Section("With a temperature", (Table(*heat_rows(report), caption=report.told),)),
    )


def _figures(report: CalibrationReport) -> tuple[Figure, ...]:
    t = report.temperature
    ends = "" if t.low is None or t.high is None else f"95 % interval {t.low:.2f} to {t.high:.2f}"
    name = report.names[0]
    regions = (report.pooled(name, where) for where in ("everywhere", "boundary"))
    errors = [Figure(f"ECE, {s.where}", "-" if s.ece is None else f"{s.ece:.3f}", s.name) for s in regions]
    return (*errors, Figure("temperature", f"{t.value:.2f}", ends))


def _carry(report: CalibrationReport, model: Path) -> None:
    """Writes the temperature into a model folder."""
    from delineate.networks.model import Calibration, write_calibration

    t = report.temperature
    if t.note or not report.is_better:
        why = t.note or "it makes the expected calibration error larger where it was fitted"
        raise DataError(f"{model}: carries no temperature: {why}. Nothing was changed.")
    write_calibration(model, Calibration(temperature=t.value, low=t.low, high=t.high, cases=t.cases))
