"""Package: what a run gives away. The chosen networks, the plan, the figures; no case is named in it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path

import safetensors.torch
from torch import Tensor

from delineate.dataset import Dataset
from delineate.errors import RunError
from delineate.evaluation import InstanceReport, Report
from delineate.io.disk import sweep_beside
from delineate.networks import Degraded, Facts, Score, card, required, write_model
from delineate.pipeline.fold import WEIGHTS
from delineate.pipeline.judge import CHOICE, Choice
from delineate.pipeline.missing import measured_missing
from delineate.pipeline.object_judge import REPORT as OBJECTS
from delineate.pipeline.run_folder import Run
from delineate.pipeline.start import StartRecord, start_of
from delineate.planning import Plan
from delineate.training import HISTORY
from delineate.training.history import read

SHOWN = {"dice": ("Dice", ""), "hd95": ("HD95", "mm")}
SHOWN_OF_OBJECTS = ("pq", "aji", "ap_ranked", "ap_ranked@0.5")  # of all objects in one pool


def write_package(run: Run, folder: Path) -> Path:
    """Writes the model folder of a run that was evaluated, and returns it.

    Raises:
        RunError: the run was not evaluated yet, or what it loses without channels is of other networks.
    """
    if not run.has(CHOICE):
        raise RunError(f"{run.folder}: was not evaluated yet. Do so with:  delineate evaluate {run.folder}")
    choice = Choice.load(run.folder / CHOICE)
    plan = run.plan().but(use=choice.use)
    weights = {name: dict(_trained(run, name, plan)) for name in required(plan)}
    facts = _facts(run, plan, run.dataset(), choice)
    folds = {name: tuple(sorted(found)) for name, found in weights.items()}
    degraded = measured_missing(run, choice.use)
    write_model(
        folder,
        plan=plan,
        weights=weights,
        card=card(plan, facts, folds) + _without_channels(plan, degraded),
        facts=facts,
        cleanup=choice.cleanup,
        degraded=degraded,
    )
    sweep_beside(folder)
    return folder


def _without_channels(plan: Plan, measured: Degraded | None) -> str:
    """What the card says of scans that lack channels."""
    if not plan.dispensable:
        return ""
    table = "What that costs was not measured.\n" if measured is None else measured.to_markdown()
    return (
        f"\n## Without a channel\n\nIt learnt to do without {', '.join(plan.dispensable)}, one at a time or "
        f"several; results made so say that they are degraded.\n\n{table}"
    )


def _trained(run: Run, name: str, plan: Plan) -> Iterator[tuple[int, Mapping[str, Tensor]]]:
    """The folds of a configuration that are trained, with their weights."""
    for fold in range(plan.folds):
        file = run.fold(name, fold) / WEIGHTS
        if file.is_file():
            yield fold, safetensors.torch.load_file(file)


def _minutes(run: Run, name: str, plan: Plan) -> float:
    """How long the folds of a configuration were trained, all together."""
    rows = [read(run.fold(name, fold) / HISTORY) for fold in range(plan.folds)]
    return sum(row[-1].elapsed_s / 60 for row in rows if row)


def _facts(run: Run, plan: Plan, dataset: Dataset, choice: Choice) -> Facts:
    scores, warnings = _measured(run, plan)
    groups = {case.group for case in dataset.cases}
    sites = {case.site for case in dataset.cases if case.site}
    start = start_of(run)
    return Facts(
        created=datetime.date.fromtimestamp((run.folder / CHOICE).stat().st_mtime).isoformat(),
        cases=len(dataset.cases),
        patients=len(groups),
        sites=len(sites) or None,
        minutes=round(sum(_minutes(run, name, plan) for name in required(plan)), 1),
        digests={
            "fingerprint": run.fingerprint().digest(),
            "splits": run.splits().digest(),
            "plan": run.plan().digest(),
            "data": run.record().digest(),
            **({} if start is None else {"start": start.sha256}),
        },
        scores=scores,
        limits=(*choice.notes, *_begun(start), *warnings),
    )


def _begun(start: StartRecord | None) -> Iterator[str]:
    """Where its weights came from, and what that means for its figures."""
    if start is not None:
        yield f"It began with the weights of the {start.kind} {start.dataset} ({start.sha256[:12]})."
        for line in start.warnings(named=False):
            yield f"{line[0].upper()}{line[1:]}."


def _measured(run: Run, plan: Plan) -> tuple[tuple[Score, ...], tuple[str, ...]]:
    """The figures of the report, and what it warns of."""
    if plan.finds_objects:
        return tuple(_object_scores(InstanceReport.load(run.folder / OBJECTS))), ()
    report = Report.load(run.evaluation / "report.json")
    return tuple(_scores(report)), report.warnings


def _object_scores(report: InstanceReport) -> Iterator[Score]:
    for structure in report.structures:
        for summary in (report.summary(metric, structure) for metric in SHOWN_OF_OBJECTS):
            value = summary.pooled
            if value.value is not None:
                yield Score(
                    structure=structure,
                    metric=summary.title,
                    mean=value.value,
                    low=value.low,
                    high=value.high,
                    cases=len(report.cases),
                )


def _scores(report: Report) -> Iterator[Score]:
    for summary in report.summaries:
        if summary.metric in SHOWN and summary.mean is not None:
            title, unit = SHOWN[summary.metric]
            yield Score(
                structure=summary.structure,
                metric=title,
                unit=unit,
                mean=summary.mean,
                low=summary.ci_low,
                high=summary.ci_high,
                cases=summary.n,
            )
