"""Page: RUN/report.html, one file that holds everything a person wants to see of a run.

What was decided and why, how the training went, how good the result is with its uncertainty, what to be
warned of, and cases as pictures: the worst first, because they teach most.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from delineate.dataset import CheckReport, Dataset, Splits
from delineate.errors import RunError
from delineate.evaluation import Report
from delineate.evaluation.overlap_plot import confusion_section
from delineate.evaluation.showing import case_section, headline, score_section
from delineate.evaluation.volume_plot import volume_section
from delineate.io.disk import write_bytes, write_text
from delineate.page import Items, Section, Table, Wide, picture_uri, render_page
from delineate.pipeline.judge import CHOICE, Choice, Judge
from delineate.pipeline.run_folder import Run
from delineate.pipeline.start import start_of
from delineate.pipeline.watch import Unwatched
from delineate.planning import Plan, plan_table
from delineate.progress import Progress, silent
from delineate.space import LabelMap, Volume

SHOWN_WARNINGS = 3  # of a kind
WHERE = "The figures are in evaluation/ beside this page, one row per case, structure and metric."


def write_page(run: Run, progress: Progress = silent) -> Path:
    """Writes the page of a run that was evaluated, and returns its path.

    Raises:
        RunError: the run was not evaluated yet.
    """
    if not run.has(CHOICE):
        raise RunError(f"{run.folder}: was not evaluated yet. Do so with:  delineate evaluate {run.folder}")
    choice = Choice.load(run.folder / CHOICE)
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
            _learning(run, choice, plan),
            _plan(plan),
            _data(dataset, splits, report),
            Section("Clean-up", (Items(tuple(f"{n}: {why}" for n, why in choice.cleanup.reasons.items())),)),
        ),
        figures=headline(report),
        warnings=(*choice.notes, *_begun(run), *report.warnings, *_warned(check)),
        footer=WHERE,
    )
    write_text(run.report, html)
    return run.report


def _begun(run: Run) -> Iterator[str]:
    """What the weights that a run began with mean for its figures."""
    start = start_of(run)
    if start is not None:
        yield from start.warnings()


def _warned(check: CheckReport) -> Iterator[str]:
    """The warnings of the check, but only a few of a kind."""
    kinds: dict[str, list[str]] = {}
    for problem in check.problems:
        if problem.severity == "warning":
            kinds.setdefault(problem.kind, []).append(problem.message)
    for kind, messages in kinds.items():
        yield from messages[:SHOWN_WARNINGS]
        if len(messages) > SHOWN_WARNINGS:
            yield f"{len(messages) - SHOWN_WARNINGS} more of the kind '{kind}': delineate check lists all."


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


def _plan(plan: Plan) -> Section:
    rows = [(str(field), str(value), str(reason)) for field, value, reason in plan_table(plan)]
    return Section(
        "What was decided, and why", (Table(("what", "value", "why"), rows, words=frozenset({2})),)
    )


def _data(dataset: Dataset, splits: Splits, report: Report) -> Section:
    patients = len({case.group for case in dataset.cases})
    rows = [
        ("dataset", f"{dataset.name} ({dataset.layout})"),
        ("labelled", f"{len(dataset.cases)} cases, {patients} patients"),
        ("channels", ", ".join(dataset.channels)),
        ("structures", ", ".join(dataset.schema.structures)),
        ("splits", f"{splits.mode}, {len(splits.folds)} fold(s), seed {splits.seed}"),
        ("measured on", f"{len(report.cases)} cases that the measured networks never saw"),
    ]
    return Section("Data", (Table((), rows, words=frozenset({1})),))


def _learning(run: Run, choice: Choice, plan: Plan) -> Section:
    """The curves of every trained fold, kept beside its weights too."""
    from delineate.networks import required
    from delineate.training import HISTORY, curves
    from delineate.training.history import read, to_csv

    shown = []
    for name in required(plan.but(use=choice.use)):
        for fold in range(plan.folds):
            folder = run.fold(name, fold)
            rows = read(folder / HISTORY)
            if rows:
                picture = curves(rows, f"{name}, fold {fold}")
                write_bytes(folder / "curves.png", picture)
                write_text(folder / "curves.csv", to_csv(rows))
                shown.append(Wide(picture_uri(picture), f"Training curves of {name}, fold {fold}"))
    return Section("How it learnt", tuple(shown))
