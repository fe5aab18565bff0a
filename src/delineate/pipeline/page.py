"""Page: RUN/report.html, one file that holds everything a person wants to see of a run.

What was decided and why, how the training went, how good the result is with its uncertainty, what to be
warned of, and cases as pictures: the worst first, because they teach most.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import jinja2

from delineate import __version__
from delineate.dataset import CheckReport, Dataset, Splits
from delineate.errors import RunError
from delineate.evaluation import (
    MEASURES,
    Overall,
    Report,
    Summary,
    best_view,
    colors,
    png,
    slice_figure,
)
from delineate.io.disk import write_bytes, write_text
from delineate.pipeline.judge import CHOICE, Choice, Judge
from delineate.pipeline.plots import box_plot
from delineate.pipeline.run_folder import Run
from delineate.pipeline.watch import Unwatched
from delineate.planning import Plan, plan_table
from delineate.progress import Progress, silent

TABLE = ("dice", "iou", "hd95", "assd", "nsd", "volume_error_relative")
PLOTTED = ("dice", "hd95")
HEADLINE = ("dice", "hd95", "nsd")
SHOWN_WARNINGS = 3  # of a kind
WORST, MEDIAN, BEST = 3, 2, 1  # cases shown


@dataclass(frozen=True)
class Shown:
    """One case as a picture."""

    case: str
    place: str  # "worst", "median", "best"
    scores: str
    picture: str  # data URI


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
    html = _template().render(
        version=__version__,
        plan=plan,
        report=report,
        choice=choice,
        headline=_headline(report),
        table=_table(report),
        plots=[box_plot(report, metric) for metric in PLOTTED],
        curves=list(_curves(run, choice, plan)),
        shown=list(_shown(judge, report, choice, progress)),
        colors=colors(plan.labels),
        plan_rows=plan_table(plan),
        baselines=_baselines(choice, report),
        candidates=choice.scores,
        warnings=(
            *choice.notes,
            *report.warnings,
            *_warned(check),
        ),
        data=_data(dataset, splits, report),
    )
    write_text(run.report, html)
    return run.report


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


def _template() -> jinja2.Template:
    text = resources.files("delineate.pipeline").joinpath("page.html.j2").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True)
    return environment.from_string(text)


def _headline(report: Report) -> list[tuple[str, str, str]]:
    """The few figures at the top: title, value, interval."""
    shown = []
    for overall in report.overall:
        if overall.metric in HEADLINE and overall.mean is not None:
            digits = 1 if overall.unit == "mm" else 3
            unit = "" if overall.unit == "1" else f" {overall.unit}"
            interval = ""
            if overall.ci_low is not None and overall.ci_high is not None:
                interval = f"95 % interval {overall.ci_low:.{digits}f} to {overall.ci_high:.{digits}f}{unit}"
            title = f"mean {MEASURES[overall.metric].title}"
            shown.append((title, f"{overall.mean:.{digits}f}{unit}", interval))
    return shown


Cell = tuple[str, str]  # a value, and its interval below it


def _table(report: Report) -> tuple[list[str], list[list[Cell]]]:
    """Heads and rows of the table of means."""
    measures = [m for m in report.rules.measures if m.name in TABLE]
    heads = ["structure", "with it", "missed", "invented"]
    heads += [m.title + ("" if m.unit == "1" else f" ({m.unit})") for m in measures]
    rows = []
    for counts in report.counts:
        there = f"{counts.cases - counts.empty_reference} of {counts.cases}"
        numbers = (counts.structure, there, str(counts.missed), str(counts.false_positive_on_empty))
        summaries = [(report.summary(counts.structure, m.name), 1 if m.unit == "mm" else 3) for m in measures]
        rows.append([*((text, "") for text in numbers), *(_cell(s, digits=d) for s, d in summaries)])
    return heads, rows


def _cell(summary: Summary | Overall, *, digits: int) -> Cell:
    if summary.mean is None:
        return "-", ""
    if summary.ci_low is None or summary.ci_high is None:
        return f"{summary.mean:.{digits}f}", ""
    return f"{summary.mean:.{digits}f}", f"{summary.ci_low:.{digits}f} to {summary.ci_high:.{digits}f}"


def _baselines(choice: Choice, report: Report) -> list[tuple[str, str]]:
    rows = [(name, "-" if dice is None else f"{dice:.3f}") for name, dice in choice.baselines.items()]
    network = report.mean()
    return [*rows, ("this network", "-" if network is None else f"{network:.3f}")]


def _data(dataset: Dataset, splits: Splits, report: Report) -> list[tuple[str, str]]:
    patients = len({case.group for case in dataset.cases})
    return [
        ("dataset", f"{dataset.name} ({dataset.layout})"),
        ("labelled", f"{len(dataset.cases)} cases, {patients} patients"),
        ("channels", ", ".join(dataset.channels)),
        ("structures", ", ".join(dataset.schema.structures)),
        ("splits", f"{splits.mode}, {len(splits.folds)} fold(s), seed {splits.seed}"),
        ("measured on", f"{len(report.cases)} cases that the measured networks never saw"),
    ]


def _curves(run: Run, choice: Choice, plan: Plan) -> Iterator[tuple[str, str]]:
    """Title and picture (data URI) of the curves of every trained fold, kept beside its weights too."""
    from delineate.networks import required
    from delineate.training import HISTORY, curves
    from delineate.training.history import read, to_csv

    for name in required(plan.but(use=choice.use)):
        for fold in range(plan.folds):
            folder = run.fold(name, fold)
            rows = read(folder / HISTORY)
            if rows:
                picture = curves(rows, f"{name}, fold {fold}")
                write_bytes(folder / "curves.png", picture)
                write_text(folder / "curves.csv", to_csv(rows))
                yield f"{name}, fold {fold}", _uri(picture)


def _shown(judge: Judge, report: Report, choice: Choice, progress: Progress) -> Iterator[Shown]:
    ranked = report.ranked("dice")
    picks = _picked(ranked)
    for number, (place, case) in enumerate(picks):
        progress(number, len(picks), case)
        scan = judge.dataset.scan(judge.dataset.case(case))
        reference, prediction = judge.pair(choice.use, case, choice.cleanup)
        view = best_view(scan, reference, prediction)
        picture = slice_figure(scan, view, reference=reference, prediction=prediction, edge=420)
        scores = ", ".join(
            f"{structure} {value:.2f}"
            for structure in report.structures
            if (value := report.values(structure, "dice")[case]) is not None
        )
        yield Shown(case, place, scores, _uri(png(picture)))


def _picked(ranked: Sequence[str]) -> list[tuple[str, str]]:
    """Which cases to show: place and case, none twice."""
    middle = len(ranked) // 2
    wanted = [("worst", case) for case in ranked[:WORST]]
    wanted += [("median", case) for case in ranked[middle : middle + MEDIAN]]
    wanted += [("best", case) for case in ranked[-BEST:]]
    seen: dict[str, str] = {}
    for place, case in wanted:
        seen.setdefault(case, place)
    return [(place, case) for case, place in seen.items()]


def _uri(picture: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(picture).decode()
