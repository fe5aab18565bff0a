"""Pretraining: from scans without labels to an encoder that trainings begin with.

    scans -> fingerprint -> plan -> prepare -> pretrain -> ENCODER

The work is kept beside it, in ENCODER.work, which holds what a run folder holds; it may be deleted when done.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import safetensors.torch

from delineate.dataset import Dataset, open_scans
from delineate.dataset.imprint import mark
from delineate.errors import RunError
from delineate.io.disk import sweep_beside
from delineate.pipeline.run_folder import Run
from delineate.pipeline.teacher import CACHE_GB
from delineate.pipeline.watch import Watch
from delineate.planning import ConfigurationName, NetworkName, Plan, fingerprint, make_plan
from delineate.planning.presets import PresetName
from delineate.record import Record

if TYPE_CHECKING:
    from delineate.networks import Pretrained, Pretraining
    from delineate.training.history import Row

HELD_OUT = 0.1  # of the patients: on these it is watched
MOST_HELD_OUT = 20
ASKED, SCANS = "pretrain.json", "scans.json"


@dataclass(frozen=True)
class PretrainWishes:
    """What is asked of a pretraining, beside what is asked of any plan.

    task      "mae": blocks are hidden and filled in; "genesis": changed patches are restored
    hidden    share of the blocks (mae)
    use       which configuration; None is the planner's first
    channels  names of the scans' channels, where the folder does not say them
    """

    task: Literal["mae", "genesis"] = "mae"
    hidden: float = 0.75
    minutes: float | None = None
    steps: int | None = None
    memory_gb: float | None = None
    device: str = "cpu"
    workers: int = 2
    preset: PresetName = "default"
    network: NetworkName | None = None
    use: ConfigurationName | None = None
    channels: tuple[str, ...] | None = None

    @property
    def asked(self) -> Asked:
        """What cannot change once it has begun."""
        return Asked(**{name: getattr(self, name) for name in Asked.model_fields})


@dataclass(frozen=True)
class Watched:
    """Cases to learn from, and cases to watch on; of none, on the former."""

    train: tuple[str, ...]
    validation: tuple[str, ...] = ()


class Asked(Record):
    """What a pretraining was begun with."""

    task: Literal["mae", "genesis"]
    hidden: float
    minutes: float | None
    steps: int | None
    memory_gb: float | None
    preset: PresetName
    network: NetworkName | None
    use: ConfigurationName | None


class Digests(Record):
    """Of the voxels of every scan, channel by channel, by which leaks are found."""

    scans: tuple[str, ...]


def pretrain(
    scans: Path, folder: Path, wishes: PretrainWishes, watch: Watch, *, layout: str | None = None
) -> Pretrained:
    """Writes a pretrained encoder, and opens it; goes on where it was left.

    Raises:
        RunError: it was begun on other scans, or told something else.
    """
    dataset = open_scans(scans, layout=layout, channels=wishes.channels)
    for note in dataset.notes:
        watch.say(note)
    run = Run.start(folder.with_name(f"{folder.name}.work"), dataset)
    with run.locked():
        plan = _planned(run, dataset, wishes, watch)
        digests = _digests(run, dataset, watch)
        return _taught(run, dataset, plan, digests, folder, wishes, watch)


def _planned(run: Run, dataset: Dataset, wishes: PretrainWishes, watch: Watch) -> Plan:
    if run.has("plan.json"):
        before = Asked.load(run.folder / ASKED)
        if changed := before.differing(wishes.asked):
            words = ", ".join(f"{n} {getattr(before, n)}" for n in changed)
            raise RunError(
                f"{run.folder}: was begun with {words}. Ask for the same to go on, or name a new folder."
            )
        return run.plan()
    with watch.stage("fingerprint") as progress:
        found = fingerprint(dataset, progress=progress)
    made = make_plan(
        found,
        memory_gb=wishes.memory_gb,
        device="cpu" if wishes.device == "cpu" else "gpu",
        preset=wishes.preset,
        network=wishes.network,
        minutes=wishes.minutes,
        steps=wishes.steps,
        folds=(0,),
        use=None if wishes.use is None else (wishes.use,),
    )
    plan = unsupervised(made)
    run.save("fingerprint.json", found)
    run.save(ASKED, wishes.asked)
    run.save("plan.json", plan)
    return plan


def unsupervised(plan: Plan) -> Plan:
    """The plan for a network that fills scans in: one configuration, one output, values left as they are."""
    from delineate.training.pretrain import gentle, single

    name = plan.first
    before = plan.configuration(name)
    place = f"configurations.{name}.network"
    return plan.but(
        use=(name,),
        configurations={**plan.configurations, name: before.but(network=single(before.network))},
        augmentation={**plan.augmentation, name: gentle(plan.augmentation[name])},
        reasons=plan.reasons
        | {
            "use": "one network; trainings of any configuration may begin with it",
            f"{place}.deep_supervision": "the scan is filled in at full resolution only",
            f"augmentation.{name}": "only places are changed: the scan itself is to be restored",
            "training.loss": "not used: the mean squared error of what is filled in",
        },
    )


def _digests(run: Run, dataset: Dataset, watch: Watch) -> tuple[str, ...]:
    if not run.has(SCANS):
        found = []
        with watch.stage("recognise") as progress:
            for done, case in enumerate(dataset.cases, 1):
                found.append(" ".join(mark(dataset.scan(case)).digests))
                progress(done, len(dataset.cases), case.id)
        run.save(SCANS, Digests(scans=tuple(sorted(found))))
    return Digests.load(run.folder / SCANS).scans


def _taught(
    run: Run,
    dataset: Dataset,
    plan: Plan,
    digests: Sequence[str],
    folder: Path,
    wishes: PretrainWishes,
    watch: Watch,
) -> Pretrained:
    from delineate.networks import write_pretrained
    from delineate.preparation import prepare
    from delineate.preparation.store import Store
    from delineate.training.pretrain import pretrain as learn

    with watch.stage("prepare") as progress:
        stores = prepare(dataset, plan, run.prepared, names=plan.use, progress=progress)
    store = Store.open(stores[plan.first].folder, cache_gb=CACHE_GB)
    split = held_out(dataset, plan.training.seed)
    work = run.fold(plan.first, 0)
    with watch.training(f"pretrain {plan.first} ({wishes.task})") as told:
        weights = learn(
            plan,
            store,
            split,
            work,
            task=wishes.task,
            hidden=wishes.hidden,
            device=wishes.device,
            workers=wishes.workers,
            watch=told,
        )
    done = _done(plan, work, wishes, len(dataset.cases), tuple(digests))
    encoder = write_pretrained(folder, plan, done, _body(plan, safetensors.torch.load_file(weights)))
    sweep_beside(folder)
    return encoder


def held_out(dataset: Dataset, seed: int) -> Watched:
    """A tenth of the patients to watch on; of one patient alone, its own scans."""
    groups = sorted({case.group for case in dataset.cases})
    if len(groups) == 1:
        return Watched(dataset.ids)
    count = min(max(1, round(HELD_OUT * len(groups))), MOST_HELD_OUT)
    chosen = set(np.random.default_rng(seed).permutation(groups)[:count].tolist())
    watched = tuple(case.id for case in dataset.cases if case.group in chosen)
    return Watched(tuple(name for name in dataset.ids if name not in watched), watched)


def _body(plan: Plan, weights: dict[str, Any]) -> dict[str, Any]:
    """The weights without the head."""
    from delineate.networks.transfer import Described, heads

    head = heads(Described.of(plan, plan.first, pretrained=True), outputs=len(plan.channels))
    return {name: tensor for name, tensor in weights.items() if name not in head}


def _done(
    plan: Plan, work: Path, wishes: PretrainWishes, cases: int, digests: tuple[str, ...]
) -> Pretraining:
    from delineate.networks import Pretraining
    from delineate.training import HISTORY
    from delineate.training.history import read
    from delineate.training.pretrain import block_of

    rows = read(work / HISTORY)
    error, baseline = _measured(rows)
    masked = wishes.task == "mae"
    return Pretraining(
        task=wishes.task,
        created=datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
        configuration=plan.first,
        cases=cases,
        steps=rows[-1].step,
        minutes=round(rows[-1].elapsed_s / 60, 2),
        hidden=wishes.hidden if masked else None,
        block=block_of(plan.configuration().edges) if masked else None,
        error=error,
        baseline=baseline,
        scans=digests,
    )


def _measured(rows: Sequence[Row]) -> tuple[float, float]:
    """The mean squared error at the last validation, and that of the mean of each patch."""
    from delineate.training.pretrain import EXPLAINED

    last = next(row.validation for row in reversed(rows) if row.validation is not None)
    explained = last.dice[EXPLAINED]
    return last.loss, last.loss if explained is None or explained >= 1 else last.loss / (1 - explained)
