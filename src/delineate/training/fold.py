"""Fold: the training of one configuration on one split of the cases."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from delineate.io.disk import write_text
from delineate.networks import Transfer, build_network, device_of
from delineate.networks.build import inputs_of
from delineate.planning.plan import ConfigurationName, Plan
from delineate.preparation.batches import Batches
from delineate.preparation.patches import Batch, Sampler
from delineate.preparation.store import Store
from delineate.training.checkpoint import Basis
from delineate.training.loop import Supply, Task, fit
from delineate.training.mining import Hardness, Mined
from delineate.training.objective import Objective
from delineate.training.objects import Objects
from delineate.training.pace import Clock
from delineate.training.precision import mode_of
from delineate.training.watch import Watch, unwatched
from delineate.training.world import SAVE_EVERY_S, World

TRANSFER = "transfer.json"  # beside the weights: what they began with

# Fields that plans did not have at first: named in a basis where they say something, so that what was
# trained before goes on.
LATER = {
    "accumulate": 1,
    "class_weights": None,
    "hard_cases": 0.0,
    "channel_dropout": 0.0,
    "patches": "foreground",
    "targets": "reference",
    "pseudo_weight": 1.0,
    "freeze": "none",
    "thaw_after": 1.0,
    "encoder_rate": 1.0,
}


class Split(Protocol):
    """Cases to learn from and cases to watch, by id."""

    @property
    def train(self) -> tuple[str, ...]: ...  # noqa: D102
    @property
    def validation(self) -> tuple[str, ...]: ...  # noqa: D102


def train(  # noqa: PLR0913 - each of these is a decision of its own
    plan: Plan,
    store: Store,
    split: Split,
    folder: Path | str,
    *,
    name: ConfigurationName | None = None,
    fold: int = 0,
    network: nn.Module | None = None,
    objective: Objective | None = None,
    origin: Transfer | None = None,
    device: str = "cpu",
    devices: int = 1,
    workers: int = 2,
    clock: Clock = time.monotonic,
    watch: Watch = unwatched,
    save_every_s: float = SAVE_EVERY_S,
    world: World | None = None,
) -> Path:
    """The file of the weights that one fold of a configuration learns; goes on where it was left.

    In `folder` grow `history.jsonl` and `checkpoint.safetensors`, which `weights.safetensors` replaces at
    the end. A fold that is finished comes back at once.

    store    the prepared cases of the configuration; `split` says which of them to learn from
    name     of the configuration; None is the first that the plan uses
    fold     its number: other folds begin with other weights and draw other patches
    network  in place of the plan's: takes (batch, channel, *edges), returns logits (batch, output, *edges)
    objective  in place of the plan's: for networks that give more than logits
    origin   what the network took over from another (`Start.network`): kept beside the weights
    device   "cpu", "cuda", "cuda:1"
    devices  how many share each batch: that many processes
    workers  threads that make batches, per process
    world    this process is one of several that a launcher started (`processes.among`): in place of `device`,
             `devices` and `clock`
    """
    job = _Job(
        plan=plan,
        name=name or plan.first,
        fold=fold,
        cases=store.folder,
        train=split.train,
        validation=split.validation,
        folder=Path(folder),
        workers=workers,
        network=network,
        objective=objective,
        origin=origin,
    )
    if world is not None:
        return job.run(replace(world, watch=watch, save_every_s=save_every_s), store)
    world = World.alone(device, plan.training.precision, clock=clock, watch=watch, save_every_s=save_every_s)
    if devices == 1:
        return job.run(world, store)
    from delineate.training.processes import Team, free_port, together

    place = device_of(device)
    team = Team(devices, place.type, mode_of(plan.training.precision, place), free_port())
    return together(job, team, world)


@dataclass(frozen=True)
class _Job:
    """A fold to be trained, as a value that other processes can be given."""

    plan: Plan
    name: ConfigurationName
    fold: int
    cases: Path
    train: tuple[str, ...]
    validation: tuple[str, ...]
    folder: Path
    workers: int
    network: nn.Module | None
    objective: Objective | None
    origin: Transfer | None

    def __call__(self, world: World) -> Path:
        return self.run(world, Store.open(self.cases))

    def run(self, world: World, store: Store) -> Path:
        """Trains in a world, from the cases of a store."""
        plan, name = self.plan, self.name
        configuration = plan.configuration(name)
        learn = Sampler.of(plan, name, store, self.train, fold=self.fold)
        watch = Sampler.of(plan, name, store, self.validation or self.train, fold=self.fold).still
        kept = [axis for axis in range(3) if axis != configuration.slice_axis]
        task = Task(
            plan.training,
            plan.labels,
            configuration.batch_dice,
            self.fold,
            self._basis(),
            tuple(configuration.spacing[axis] for axis in kept),
            self.objective or (Objects(plan.labels) if configuration.network.finds_objects else None),
        )
        network = self.network or build_network(
            configuration.network,
            inputs_of(plan, name),
            len(plan.labels.outputs),
            seed=plan.training.seed + self.fold,
        )
        if self.origin is not None and world.leads:
            write_text(self.folder / TRANSFER, self.origin.to_json())
        batches = self._mined(learn, world) if learn.hard_cases else self._supply(learn, world)
        return fit(network, batches, self._supply(watch, world), task, self.folder, world)

    def _mined(self, sampler: Sampler, world: World) -> Mined:
        def drawn(step: int, hardness: Hardness) -> AbstractContextManager[Iterator[Batch]]:
            return self._supply(sampler.mined(hardness), world)(step)

        return Mined(sampler.ids, drawn)

    def _supply(self, sampler: Sampler, world: World) -> Supply:
        mine = sampler.shared(world.rank, int(world.fabric.world_size))

        def opened(step: int) -> AbstractContextManager[Iterator[Batch]]:
            return Batches(mine, workers=self.workers, start_step=step, device=world.device)

        return opened

    def _basis(self) -> Basis:
        plan = self.plan
        whole: dict[str, Any] = plan.model_dump(mode="json")
        network = None if self.network is None or self.origin is not None else str(self.network)
        start = {} if self.origin is None else {"start": self.origin.source.model_dump(mode="json")}
        for field, plain in LATER.items():
            if whole["training"][field] == plain:
                del whole["training"][field]
        return {
            "configuration": self.name,
            self.name: whole["configurations"][self.name],
            "augmentation": whole["augmentation"][self.name],
            **{
                key: whole[key]
                for key in ("training", "labels", "channels", "orientation", "crop_to_nonzero")
            },
            "fold": self.fold,
            "train": list(self.train),
            "validation": list(self.validation),
            "network": network,
            **start,
        }
