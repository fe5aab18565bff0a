"""Page parts: what the pages of all runs show: decisions, data, curves and warnings."""

from __future__ import annotations

from collections.abc import Iterator

from delineate.dataset import CheckReport, Dataset, Splits
from delineate.io.disk import write_bytes, write_text
from delineate.page import Section, Table, Wide, picture_uri
from delineate.pipeline.judge import Choice
from delineate.pipeline.run_folder import Run
from delineate.planning import Plan, plan_table

SHOWN_WARNINGS = 3  # of a kind


def warned(check: CheckReport) -> Iterator[str]:
    """The warnings of the check, but only a few of a kind."""
    kinds: dict[str, list[str]] = {}
    for problem in check.problems:
        if problem.severity == "warning":
            kinds.setdefault(problem.kind, []).append(problem.message)
    for kind, messages in kinds.items():
        yield from messages[:SHOWN_WARNINGS]
        if len(messages) > SHOWN_WARNINGS:
            yield f"{len(messages) - SHOWN_WARNINGS} more of the kind '{kind}': delineate check lists all."


def plan_section(plan: Plan) -> Section:
    """Every decision with its reason."""
    rows = [(str(field), str(value), str(reason)) for field, value, reason in plan_table(plan)]
    return Section(
        "What was decided, and why", (Table(("what", "value", "why"), rows, words=frozenset({2})),)
    )


def data_section(dataset: Dataset, splits: Splits, measured: int) -> Section:
    """What was learnt from, and on how many cases it was measured."""
    patients = len({case.group for case in dataset.cases})
    rows = [
        ("dataset", f"{dataset.name} ({dataset.layout})"),
        ("labelled", f"{len(dataset.cases)} cases, {patients} patients"),
        ("channels", ", ".join(dataset.channels)),
        ("structures", ", ".join(dataset.schema.structures)),
        ("splits", f"{splits.mode}, {len(splits.folds)} fold(s), seed {splits.seed}"),
        ("measured on", f"{measured} cases that the measured networks never saw"),
    ]
    return Section("Data", (Table((), rows, words=frozenset({1})),))


def learning_section(run: Run, choice: Choice, plan: Plan) -> Section:
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
