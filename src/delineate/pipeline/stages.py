"""Stages: the whole story. A folder of labelled scans becomes a model that was measured.

    check -> plan -> prepare -> train -> evaluate -> report -> pack

Each stage is one function. It takes a run folder, does what is not done yet, and leaves records that the
next stage reads; `run` is all of them in order. Deciding happens in `planning`, nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.dataset import (
    Dataset,
    Splits,
    check,
    find_leaks,
    make_splits,
)
from delineate.dataset.provenance import made_by_models, refuse_as_evidence
from delineate.errors import DataError, PlanError, RunError
from delineate.evaluation import InstanceReport, Report, Rules
from delineate.networks import Degraded
from delineate.pipeline.judge import Judge
from delineate.pipeline.object_judge import ObjectJudge
from delineate.pipeline.package import write_package
from delineate.pipeline.page import write_page
from delineate.pipeline.run_folder import Run
from delineate.pipeline.start import START, begun
from delineate.pipeline.styles import styled
from delineate.pipeline.taught import with_network
from delineate.pipeline.teacher import Teacher
from delineate.pipeline.watch import Unwatched, Watch
from delineate.pipeline.wishes import Basis, PlanWishes, SplitWishes, StartWishes, TrainingWishes
from delineate.planning import ConfigurationName, Plan, fingerprint, make_plan
from delineate.planning.planner import FOLDS

if TYPE_CHECKING:
    from delineate.training import World

ASKED = "asked.json"
TEACH_ONLY = "Move them to the training part of every fold, or count them all the same:  --count-model-labels"


def run(
    dataset: Path,
    folder: Path,
    wishes: PlanWishes,
    watch: Watch,
    *,
    layout: str | None = None,
    tensorboard: bool = False,
) -> Report | InstanceReport:
    """Everything from a folder of labelled scans to a packed model; goes on where it was left."""
    made = plan(dataset, folder, wishes, watch, layout=layout)
    watch.say(f"plan: {_in_words(made)}; why: {folder / 'plan.json'}")
    train(folder, TrainingWishes(device=wishes.device, tensorboard=tensorboard), watch)
    measured = evaluate(folder, watch, device=wishes.device)
    report(folder, watch)
    pack(folder)
    return measured


def plan(
    path: Path,
    folder: Path,
    wishes: PlanWishes,
    watch: Watch,
    *,
    layout: str | None = None,
    again: bool = False,
) -> Plan:
    """The plan of a run: checked, measured, split, decided. What was decided earlier stays, but for wishes.

    again  decide anew, forgetting what was set by hand

    Raises:
        DataError: the dataset has problems that stop training; all of them are listed.
        PlanError: a network is asked for, and another to begin with.
    """
    _refuse_two_networks(wishes)
    dataset = Dataset.open(path, layout=layout)
    started = Run.start(folder, dataset)
    with started.locked():
        if not started.has("check.json"):
            _refuse_problems(started, dataset, watch)
        if not started.has("fingerprint.json"):
            with watch.stage("fingerprint") as progress:
                started.save("fingerprint.json", fingerprint(dataset, progress=progress))
        splits = _split(started, dataset, wishes.splits, again=again)
        if again or not started.has("plan.json"):
            made = _decided(started, splits, wishes)
            started.save(ASKED, wishes.basis)
        else:
            _refuse_other_basis(started, wishes)
            made = wishes.changed(started.plan())
        if wishes.taught is not None:
            made = with_network(made, wishes.taught)
        if again:
            (folder / START).unlink(missing_ok=True)
        if wishes.start.folder is not None:
            made = begun(started, dataset, made, wishes.start.folder, watch, adopt=True)
        made = wishes.start.changed(made)
        made = styled(made, dataset, wishes, watch)
        made = wishes.labels.changed(made)
        for field, value in wishes.by_hand.items():
            made = made.set_by_hand(field, value)
        started.save("plan.json", made)
        return made


def prepare(folder: Path, watch: Watch, *, workers: int | None = None) -> None:
    """Writes the network-ready arrays of every case; keeps those that still fit the plan."""
    from delineate.preparation import prepare as prepare_cases

    opened = Run.open(folder)
    with opened.locked(), watch.stage("prepare") as progress:
        prepare_cases(opened.dataset(), opened.plan(), opened.prepared, workers=workers, progress=progress)


def train(
    folder: Path,
    how: TrainingWishes,
    watch: Watch,
    *,
    folds: Sequence[int] | None = None,
    use: Sequence[ConfigurationName] | None = None,
    start: StartWishes | None = None,
) -> None:
    """Finds the weights of the folds that are not finished; prepares what is not prepared.

    start  what they begin with, where the plan does not say it already
    """
    opened = Run.open(folder)
    if how.place is not None and not how.place.leads:
        with _joined(opened, how) as world:  # when the first process has prepared and joined
            plan, splits = opened.plan(), opened.splits()
            Teacher(opened, plan, splits, how, Unwatched(), world).teach(folds=folds, use=use)
        return
    if start is not None and start != StartWishes():
        _begin(opened, start, watch)
    prepare(folder, watch)
    with opened.locked(), _joined(opened, how) as world:
        Teacher(opened, opened.plan(), opened.splits(), how, watch, world).teach(folds=folds, use=use)


@contextmanager
def _joined(run: Run, how: TrainingWishes) -> Iterator[World | None]:
    """This process among those that a launcher has started, where one has."""
    if how.place is None:
        yield None
        return
    from delineate.training.processes import among

    with among(how.place, how.device, run.plan().training.precision) as world:
        yield world


def _begin(run: Run, start: StartWishes, watch: Watch) -> None:
    """Writes down what the trainings of a run begin with; its plan keeps its network."""
    with run.locked():
        plan = run.plan()
        if start.folder is not None:
            plan = begun(run, run.dataset(), plan, start.folder, watch, adopt=False)
        run.save("plan.json", start.changed(plan))


def evaluate(
    folder: Path, watch: Watch, *, device: str = "cpu", rules: Rules | None = None
) -> Report | InstanceReport:
    """Segments each fold's validation cases, measures them, and chooses the best configuration.

    Of a network that finds single objects, these are measured; `rules` are about labels, and not used then.
    """
    opened = Run.open(folder)
    with opened.locked():
        if opened.plan().finds_objects:
            return ObjectJudge(
                opened, opened.plan(), opened.dataset(), opened.splits(), device, watch
            ).verdict()
        judge = Judge(
            opened, opened.plan(), opened.dataset(), opened.splits(), device, watch, rules or Rules()
        )
        return judge.verdict()


def evaluate_missing(folder: Path, watch: Watch, *, device: str = "cpu") -> Degraded:
    """What a run that was evaluated loses without each channel that a scan may lack."""
    from delineate.pipeline.missing import measure_missing

    opened = Run.open(folder)
    with opened.locked():
        return measure_missing(opened, device, watch)


def report(folder: Path, watch: Watch) -> Path:
    """Writes RUN/report.html, the page to look at, and returns its path."""
    opened = Run.open(folder)
    with opened.locked(), watch.stage("report"):
        return write_page(opened)


def pack(folder: Path, model: Path | None = None) -> Path:
    """Writes the model folder, RUN/model unless named, and returns its path."""
    opened = Run.open(folder)
    with opened.locked():
        return write_package(opened, model or opened.model)


def _refuse_two_networks(wishes: PlanWishes) -> None:
    """What a run begins with has its network already."""
    other = wishes.network or (f"of preset {wishes.preset}" if wishes.preset != "default" else None)
    if wishes.start.folder is not None and other is not None:
        raise PlanError(
            f"a run that begins with {wishes.start.folder} has its network: leave out the network "
            f"{other}, or begin at random with it."
        )


def _refuse_other_basis(run: Run, wishes: PlanWishes) -> None:
    """Memory and preset decide the whole plan: another wish is not passed over in silence."""
    plain, before = PlanWishes().basis, Basis.load(run.folder / ASKED)
    if wishes.basis not in (plain, before):
        raise RunError(
            f"{run.folder}: has a plan made for {_words(before)}, now {_words(wishes.basis)} is asked for. "
            "Decide anew with  delineate plan ... --again  (settings by hand are forgotten), or start a "
            "new run."
        )


def _words(basis: Basis) -> str:
    memory = "its memory" if basis.memory_gb is None else f"{basis.memory_gb:g} GB"
    network = "" if basis.network is None else f", network {basis.network}"
    return f"preset {basis.preset} and {memory}{network}"


def _decided(run: Run, splits: Splits, wishes: PlanWishes) -> Plan:
    return make_plan(
        run.fingerprint(),
        memory_gb=wishes.memory_gb,
        device="cpu" if wishes.device == "cpu" else "gpu",
        preset=wishes.preset,
        network=wishes.planned_network,
        minutes=wishes.minutes,
        steps=wishes.steps,
        folds=wishes.folds,
        channel_dropout=wishes.channel_dropout,
        fold_count=len(splits.folds),
        use=wishes.use,
    )


def _in_words(plan: Plan) -> str:
    """What will be trained, in a line."""
    names = [
        f"{name} ({' x '.join(map(str, plan.configuration(name).patch))} voxels, "
        f"batch of {plan.configuration(name).batch})"
        for name in plan.use
    ]
    training = plan.training
    length = f"{training.steps} steps" if training.minutes is None else f"{training.minutes:.3g} min"
    each = " each" if len(plan.use) * len(plan.train_folds) > 1 else ""
    return f"{', '.join(names)}, fold {', '.join(map(str, plan.train_folds))}, {length}{each}"


def _refuse_problems(run: Run, dataset: Dataset, watch: Watch) -> None:
    with watch.stage("check") as progress:
        found = check(dataset, progress=progress)
    if not found.ok:
        lines = "\n".join(found.lines())
        raise DataError(f"{dataset.root}: has problems that stop training.\n{lines}")
    for line in found.lines():
        watch.say(line)
    run.save("check.json", found)


def _split(run: Run, dataset: Dataset, wishes: SplitWishes, *, again: bool) -> Splits:
    if run.has("splits.json") and not again and wishes.file is None:
        return run.splits()
    if wishes.file is not None:
        splits = Splits.read(wishes.file, dataset)
        if not wishes.count_models:
            judged = {name for fold in splits.folds for name in (*fold.validation, *fold.test)}
            refuse_as_evidence(dataset.subset(judged).cases, str(wishes.file), TEACH_ONLY)
    else:
        models = () if wishes.count_models else made_by_models(dataset.cases)
        splits = make_splits(
            dataset,
            mode=wishes.mode,
            folds=max(2, min(FOLDS, len(dataset.cases) - len(models))),
            stratify=wishes.stratify,
            count_model_labels=wishes.count_models,
        )
    if run.has("splits.json") and splits != run.splits() and (run.folder / "folds").is_dir():
        raise RunError(
            f"{run.folder}: networks were trained on other splits. Start a new run folder for these ones."
        )
    leaks = find_leaks(dataset, splits) if wishes.file is not None else ()  # ours keep patients together
    errors = [problem for problem in leaks if problem.severity == "error"]
    if errors:
        raise DataError("these splits leak:\n" + "\n".join(problem.message for problem in errors))
    run.save("splits.json", splits)
    return splits
