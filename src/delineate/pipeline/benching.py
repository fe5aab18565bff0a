"""Benching: networks, losses, optimizers and seeds, each trained on one split with the same compute.

    OUT/
      asked.json        what is the same for all trainings; another wish takes another folder
      prepared/         network-ready arrays, shared
      runs/METHOD-sN/   a run of each: plan.json, weights, report; a killed bench goes on within them
      bench.json .csv .md .html

More networks, losses, optimizers or seeds can be asked for in the same folder: what is trained stays.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from delineate.dataset import Dataset
from delineate.errors import Error, PlanError, RunError
from delineate.evaluation import Report, Rules, write_report
from delineate.evaluation.benchmark import Bench, Trained, bench_of, bench_page, write_bench
from delineate.io.disk import file_digest, write_text
from delineate.pipeline.asked import asked_otherwise
from delineate.pipeline.fold import WEIGHTS
from delineate.pipeline.judge import Judge
from delineate.pipeline.run_folder import Run, signatures
from delineate.pipeline.stages import plan as plan_run
from delineate.pipeline.stages import train as train_run
from delineate.pipeline.taught import SeedKind
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import PlanWishes, SplitWishes, TrainingWishes
from delineate.planning import ConfigurationName, NetworkName, Plan
from delineate.planning.generalize import AugmentName
from delineate.planning.optimizers import STARTS
from delineate.planning.plan import Augmentation, LossName
from delineate.planning.presets import PresetName
from delineate.record import Record

if TYPE_CHECKING:
    from delineate.training.history import Row

ASKED = "asked.json"
PLANNED = "planned"  # the U-Net, the loss or the rule that the planner chooses
METRICS = ("dice", "hd95")
TERA = 1e12
SHAPED = ("rotation_deg", "flat_axis")  # of augmentation: they follow from the shape of a patch
KFOLD = SplitWishes()
PROBE = 1000  # steps of a plan that is only made to count what a step costs
LEFT_OUT = ("pretraining", "ensembles of folds", "mirrored copies", "clean-up")


@dataclass(frozen=True)
class BenchWishes:
    """What is trained, and with how much compute.

    networks    "planned" is the planner's U-Net; presets "M", "L", "XL"; names of `delineate plan --network`
    losses, optimizers   "planned" is what the plan has
    minutes, steps, teraflops  of each training; just one of them
    margin      a difference of the first metric that does not matter
    """

    networks: tuple[str, ...] = (PLANNED,)
    losses: tuple[str, ...] = (PLANNED,)
    optimizers: tuple[str, ...] = (PLANNED,)
    seeds: tuple[int, ...] = (0,)
    minutes: float | None = None
    steps: int | None = None
    teraflops: float | None = None
    memory_gb: float | None = None
    device: str = "cpu"
    use: ConfigurationName | None = None
    fold: int = 0
    splits: SplitWishes = KFOLD
    metrics: tuple[str, ...] = METRICS
    margin: float | None = None
    by_hand: Mapping[str, Any] = field(default_factory=dict)
    augment: AugmentName | None = None

    @property
    def budget(self) -> str:
        """What each training has, in words.

        Raises:
            PlanError: none of the three is given, or several.
        """
        given = [
            f"{value:g} {unit}"
            for value, unit in ((self.minutes, "minutes"), (self.steps, "steps"), (self.teraflops, "TFLOP"))
            if value is not None
        ]
        if len(given) != 1:
            raise PlanError(
                "say how much each training may have, in one way: --minutes 10, --steps 1000 or "
                f"--teraflops 100; got {' and '.join(given) or 'none'}."
            )
        return f"{given[0]} for each training"


class Asked(Record):
    """What is the same for every training of a folder."""

    version: int = 1
    dataset: str
    cases: dict[str, str]
    budget: str
    memory_gb: float | None
    device: str
    use: str | None
    fold: int
    splits: dict[str, str | None]
    metrics: tuple[str, ...]
    by_hand: dict[str, Any]
    augment: str | None = None


class Result(Record):
    """What came out of one training."""

    weights: str  # digest: other weights are measured anew
    trained: Trained


def bench(dataset: Path, out: Path, wishes: BenchWishes, watch: Watch, *, layout: str | None = None) -> Bench:
    """Trains every method with every seed, measures all on the same cases, and compares them.

    A training that fails is told and left out; all others go on.

    Raises:
        PlanError: no such network, loss or optimizer; no budget, or two.
        RunError: the folder holds trainings under other conditions; or not one training came to its end.
    """
    opened = Dataset.open(dataset, layout=layout)
    work = _Bench(dataset, out, wishes, watch, layout)
    work.refuse_strange()
    _refuse_other(out, work.asked(opened))
    _say_length(work, watch)
    results: dict[str, list[tuple[Trained, Report]]] = {}
    failed: dict[str, str] = {}
    plans: list[Plan] = []
    for entry in work.entries:
        try:
            plans.append(work.planned(entry))
            trained, report = work.measured(entry)
        except Error as error:
            failed[f"{entry.method}, seed {entry.seed}"] = str(error).splitlines()[0]
            watch.say(f"{entry.method}, seed {entry.seed}: {error}")
            continue
        results.setdefault(entry.method, []).append((trained, report))
    if not results:
        raise RunError(f"{out}: no training came to its end. {'; '.join(map(': '.join, failed.items()))}")
    found = bench_of(
        results,
        title=f"{opened.name}: {len(results)} methods under equal compute",
        metrics=wishes.metrics,
        budget=wishes.budget,
        fairness=fairness(plans, wishes),
        failed=failed,
        margin=wishes.margin,
    )
    write_bench(found, out)
    write_text(out / "bench.html", bench_page(found))
    return found


def fairness(plans: Sequence[Plan], wishes: BenchWishes) -> tuple[str, ...]:
    """What is the same for all trainings, and what follows from the network, one sentence each.

    Raises:
        RunError: plans differ in something that would make the comparison unfair.
    """
    first, *others = plans
    for other in others:
        mixed = [name for name, same in _unequal(first, other).items() if not same]
        if mixed:
            raise RunError(
                f"the plans differ in {' and '.join(mixed)}: what came out could not be told apart from "
                "that. Set it alike for all with --set, or compare less."
            )
    return (
        f"The same cases learn and the same are measured (fold {wishes.fold}); no patient is in both.",
        f"The same augmentation ({_augmentation(first).preset}), and the same sampling of patches.",
        "Patch and batch are planned by one rule for the same memory"
        f"{'' if wishes.memory_gb is None else f' ({wishes.memory_gb:g} GB)'}"
        + (", and on a CPU for the same time." if wishes.device == "cpu" else "."),
        "No tuning: each network has the rate that its authors or the planner start from.",
        "Training ends by the budget alone, with its last weights: nothing is chosen on measured cases.",
        f"None has {', '.join(LEFT_OUT[:-1])} or {LEFT_OUT[-1]}.",
    )


def _unequal(one: Plan, other: Plan) -> dict[str, bool]:
    """What must be the same -> whether it is."""
    ends = [(p.training.minutes, p.training.ema > 0, p.training.foreground) for p in (one, other)]
    return {
        "labels": one.labels == other.labels,
        "channels and their normalisation": one.channels == other.channels,
        "spacing": one.configuration().spacing == other.configuration().spacing,
        "configuration": one.first == other.first,
        "augmentation": _shapeless(_augmentation(one)) == _shapeless(_augmentation(other)),
        "training time or sampling": ends[0] == ends[1],
    }


def _augmentation(plan: Plan) -> Augmentation:
    return plan.augmentation[plan.first]


def _shapeless(augmentation: Augmentation) -> Augmentation:
    """Augmentation without what follows from the shape of the patch."""
    usual = Augmentation()
    return augmentation.but(**{name: getattr(usual, name) for name in SHAPED})


@dataclass(frozen=True)
class _Entry:
    """One training: a method and a seed."""

    network: str
    loss: str
    optimizer: str
    seed: int
    method: str

    @property
    def folder(self) -> str:
        """The name of its run."""
        return f"{self.network}-{self.loss}-{self.optimizer}-s{self.seed}"


@dataclass(frozen=True)
class _Bench:
    """Who plans, trains and measures."""

    dataset: Path
    out: Path
    wishes: BenchWishes
    watch: Watch
    layout: str | None

    @cached_property
    def entries(self) -> tuple[_Entry, ...]:
        """Every training; seed by seed, so that an early stop leaves all methods."""
        w = self.wishes
        found = []
        for seed, network, loss, optimizer in product(w.seeds, w.networks, w.losses, w.optimizers):
            named = [("U-Net" if network == PLANNED else network, len(w.networks) > 1 or network != PLANNED)]
            named += [(loss, len(w.losses) > 1), (optimizer, len(w.optimizers) > 1)]
            words = [word for word, tells in named if tells] or ["U-Net"]
            found.append(_Entry(network, loss, optimizer, seed, ", ".join(words)))
        return tuple(found)

    def refuse_strange(self) -> None:
        """Refuses names that nobody knows before anything is trained."""
        _ = self.wishes.budget
        known = {
            "network": (PLANNED, *get_args(PresetName)[1:], *get_args(NetworkName), *get_args(SeedKind)),
            "loss": (PLANNED, *get_args(LossName)),
            "optimizer": (PLANNED, *STARTS),
        }
        asked = {
            "network": self.wishes.networks,
            "loss": self.wishes.losses,
            "optimizer": self.wishes.optimizers,
        }
        for what, names in asked.items():
            strange = [name for name in names if name not in known[what]]
            if strange or len(set(names)) != len(names) or not names:
                raise PlanError(
                    f"{what}: expected different names of {', '.join(known[what])}; got {', '.join(names)}."
                )
        if len(set(self.wishes.seeds)) != len(self.wishes.seeds) or not self.wishes.seeds:
            raise PlanError(f"seeds are different whole numbers, got {list(self.wishes.seeds)}.")

    def asked(self, opened: Dataset) -> Asked:
        """What is the same for every training."""
        w = self.wishes
        file = None if w.splits.file is None else str(w.splits.file)
        splits = {"file": file, "mode": w.splits.mode, "by": w.splits.stratify}
        return Asked(
            dataset=str(opened.root.resolve()),
            cases=signatures(opened),
            budget=w.budget,
            memory_gb=w.memory_gb,
            device=w.device,
            use=w.use,
            fold=w.fold,
            splits=splits,
            metrics=w.metrics,
            by_hand=dict(w.by_hand),
            augment=w.augment,
        )

    def run(self, entry: _Entry) -> Run:
        """The run of a training."""
        return Run(self.out / "runs" / entry.folder)

    def planned(self, entry: _Entry) -> Plan:
        """Its plan, made now or earlier."""
        run, opened = self.run(entry), Dataset.open(self.dataset, layout=self.layout)
        Run.start(run.folder, opened)
        self._share(run)
        steps = self.wishes.steps if self.wishes.teraflops is None else self._affordable(run, entry)
        made = self._plan(run, self._wishes(entry, steps))
        changed = self._finished(made)
        if changed != made:
            run.save("plan.json", changed)
        return changed

    def _plan(self, run: Run, wishes: PlanWishes) -> Plan:
        return plan_run(self.dataset, run.folder, wishes, self.watch, layout=self.layout)

    def _affordable(self, run: Run, entry: _Entry) -> int:
        """How many steps the operations pay for; a plan for another number is forgotten."""
        from delineate.networks.operations import operations_of_a_step

        plan = run.plan() if run.has("plan.json") else self._plan(run, self._wishes(entry, PROBE))
        budget = self.wishes.teraflops or 0
        steps = int(budget * TERA / operations_of_a_step(plan, plan.first))
        if steps < 1:
            raise PlanError(f"{budget:g} TFLOP do not pay for one step of {entry.method}.")
        if plan.training.steps != steps:
            run.plan_file.unlink()
        return steps

    def measured(self, entry: _Entry) -> tuple[Trained, Report]:
        """Its training and its report, found now or earlier."""
        run, w = self.run(entry), self.wishes
        train_run(run.folder, TrainingWishes(device=w.device), self.watch, folds=(w.fold,))
        plan = run.plan()
        digest = file_digest(run.fold(plan.first, w.fold) / WEIGHTS)
        kept = run.folder / "result.json"
        if kept.is_file() and (result := Result.load(kept)).weights == digest:
            return result.trained.but(method=entry.method), Report.load(run.evaluation / "report.json")
        rules = Rules(metrics=w.metrics)
        with run.locked():
            judge = Judge(run, plan, run.dataset(), run.splits(), w.device, self.watch, rules)
            report = judge.measured((plan.first,))
            trained = self._trained(entry, run, plan, report)
            write_report(report, run.evaluation)
            run.save("result.json", Result(weights=digest, trained=trained))
        return trained, report

    def _trained(self, entry: _Entry, run: Run, plan: Plan, report: Report) -> Trained:
        from delineate.networks import blueprint, inputs_of, parameters
        from delineate.networks.operations import operations_of_a_step
        from delineate.training import HISTORY
        from delineate.training.history import read

        name, configuration = plan.first, plan.configuration()
        network = blueprint(configuration.network, inputs_of(plan, name), len(plan.labels.outputs))
        rows: Sequence[Row] = read(run.fold(name, self.wishes.fold) / HISTORY)
        steps = rows[-1].step if rows else 0
        return Trained(
            method=entry.method,
            seed=entry.seed,
            network=configuration.network.kind if entry.network == PLANNED else entry.network,
            loss=plan.training.loss,
            optimizer=plan.training.optimizer,
            learning_rate=plan.training.learning_rate,
            configuration=name,
            patch=configuration.edges,
            batch=configuration.batch,
            parameters=parameters(network),
            steps=steps,
            minutes=rows[-1].elapsed_s / 60 if rows else 0.0,
            teraflops=steps * operations_of_a_step(plan, name) / TERA,
            mean=report.mean(self.wishes.metrics[0]),
        )

    def _wishes(self, entry: _Entry, steps: int | None) -> PlanWishes:
        w = self.wishes
        presets: tuple[PresetName, ...] = get_args(PresetName)
        preset = next((p for p in presets if p == entry.network), presets[0])
        names = (*get_args(NetworkName), *get_args(SeedKind))
        by_hand = {"training.seed": entry.seed, **w.by_hand}
        if entry.loss != PLANNED:
            by_hand["training.loss"] = entry.loss
        return PlanWishes(
            minutes=w.minutes,
            steps=steps,
            memory_gb=w.memory_gb,
            device=w.device,
            preset=preset,
            network=next((name for name in names if name == entry.network), None),
            folds=(w.fold,),
            use=None if w.use is None else (w.use,),
            splits=w.splits,
            by_hand=by_hand,
            optimizer=next((name for name in STARTS if name == entry.optimizer), None),
            augment=w.augment,
        )

    def _finished(self, plan: Plan) -> Plan:
        """The plan for one configuration."""
        if len(plan.use) > 1:
            plan = plan.set_by_hand("use", [plan.first])
        if plan.configuration().previous is not None:
            raise PlanError(f"{plan.first} is two networks, one after the other: compare them one by one.")
        return plan

    def _share(self, run: Run) -> None:
        """Lets a run use what another has found out: checks, measurements, prepared arrays."""
        for name in ("check.json", "fingerprint.json", "splits.json"):
            if not run.has(name):
                others = sorted((self.out / "runs").glob(f"*/{name}"))
                if others:
                    shutil.copyfile(others[0], run.folder / name)
        shared = self.out / "prepared"
        shared.mkdir(exist_ok=True)
        if not run.prepared.exists():
            run.prepared.symlink_to(Path("..", "..", "prepared"), target_is_directory=True)


def _say_length(work: _Bench, watch: Watch) -> None:
    count, w = len(work.entries), work.wishes
    total = f", {count * w.minutes:.0f} minutes of training in all" if w.minutes else ""
    watch.say(f"{count} trainings, {w.budget}{total}; what is finished is kept.")


def _refuse_other(out: Path, asked: Asked) -> None:
    """Trainings under other conditions are not compared with these."""
    if different := asked_otherwise(out / ASKED, asked):
        raise RunError(
            f"{out}: holds trainings with another {' and '.join(different)}; compared with these they would "
            "be told apart by that. Name another folder."
        )
