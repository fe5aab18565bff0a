"""Page: RUN/report.html, one file that holds everything a person wants to see of a run.

What was decided and why, how the training went, how good the result is with its uncertainty, what to be
warned of, and cases as pictures: the worst first, because they teach most.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from delineate.dataset import CheckReport
from delineate.errors import RunError
from delineate.evaluation import Report
from delineate.evaluation.overlap_plot import confusion_section
from delineate.evaluation.showing import case_section, headline, score_section
from delineate.evaluation.volume_plot import volume_section
from delineate.io.disk import write_text
from delineate.page import Items, Section, Table, render_page
from delineate.pipeline.judge import CHOICE, Choice, Judge
from delineate.pipeline.object_page import write_object_page
from delineate.pipeline.page_parts import data_section, learning_section, plan_section, warned
from delineate.pipeline.run_folder import Run
from delineate.pipeline.start import start_of
from delineate.pipeline.watch import Unwatched
from delineate.progress import Progress, silent
from delineate.space import LabelMap, Volume

WHERE = "The figures are in evaluation/ beside this page, one row per case, structure and metric."


def write_page(run: Run, progress: Progress = silent) -> Path:
    """Writes the page of a run that was evaluated, and returns its path.

    Raises:
        RunError: the run was not evaluated yet.
    """
    if not run.has(CHOICE):
        raise RunError(f"{run.folder}: was not evaluated yet. Do so with:  delineate evaluate {run.folder}")
    choice = Choice.load(run.folder / CHOICE)
    if run.plan().finds_objects:
        write_object_page(run, choice, progress)
        return run.report
    report = Report.load(run.evaluation / "report.json")
    plan, dataset, splits = run.plan(), run.dataset(), run.splits()
    judge = Judge(run, plan, dataset, splits, "cpu", Unwatched())
    check = CheckReport.load(run.folder / "check.json")

    def look(case: str) -> tuple[Volume, LabelMap, LabelMap]:
        return dataset.scan(dataset.case(case)), *judge.pair(choice.use, case, choice.cleanup)

    measured_on = f"measured on {len(report.cases)} cases that it did not learn from"
    html = render_page(
        plan.dataset,
        f"{' + '.join(choice.use)}, {measured_on}.",
        (
            score_section(report),
            case_section(report, look, progress),
            volume_section(report),
            *([confusion_section(report.confusion)] if report.confusion is not None else []),
            _without_learning(choice, report),
            learning_section(run, choice, plan),
            plan_section(plan),
            data_section(dataset, splits, len(report.cases)),
            Section("Clean-up", (Items(tuple(f"{n}: {why}" for n, why in choice.cleanup.reasons.items())),)),
        ),
        figures=headline(report),
        warnings=(*choice.notes, *_begun(run), *report.warnings, *warned(check)),
        footer=WHERE,
    )
    write_text(run.report, html)
    return run.report


def _begun(run: Run) -> Iterator[str]:
    """What the weights that a run began with mean for its figures."""
    start = start_of(run)
    if start is not None:
        yield from start.warnings()


def _without_learning(choice: Choice, report: Report) -> Section:
    rows = [(name, _dice(value)) for name, value in choice.baselines.items()]
    rows.append(("this network", _dice(report.mean())))
    parts = [Table(("method", "mean Dice"), rows)]
    if len(choice.scores) > 1:
        candidates = [(name, _dice(value)) for name, value in choice.scores.items()]
        parts.append(Table(("configurations and their averages", "mean Dice"), candidates))
    return Section("Beside methods without learning", tuple(parts))


def _dice(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
