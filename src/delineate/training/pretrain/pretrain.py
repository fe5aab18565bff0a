"""Pretrain: a network learns what scans look like, by the loop that trains all others."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from delineate.errors import PlanError
from delineate.networks import PretrainingTask, build_network, inputs_of
from delineate.planning.plan import Augmentation, NetworkSpec, Plan
from delineate.preparation.batches import Batches
from delineate.preparation.patches import Batch, Sampler
from delineate.preparation.store import Store
from delineate.training.checkpoint import Basis
from delineate.training.fold import Split
from delineate.training.loop import Supply, Task, fit
from delineate.training.pace import Clock
from delineate.training.pretrain.blocks import HIDDEN, block_of
from delineate.training.pretrain.puzzles import Puzzles
from delineate.training.pretrain.reconstruction import Reconstruction
from delineate.training.watch import Watch, unwatched
from delineate.training.world import SAVE_EVERY_S, World

APPEARANCE = (  # changes of values: what is to be restored is the scan, not what augmentation made of it
    "noise_probability",
    "blur_probability",
    "brightness_probability",
    "contrast_probability",
    "low_resolution_probability",
    "gamma_inverted_probability",
    "gamma_probability",
)


def pretrain(  # noqa: PLR0913 - as `train`
    plan: Plan,
    store: Store,
    split: Split,
    folder: Path | str,
    *,
    task: PretrainingTask = "mae",
    hidden: float = HIDDEN,
    device: str = "cpu",
    workers: int = 2,
    clock: Clock = time.monotonic,
    watch: Watch = unwatched,
    save_every_s: float = SAVE_EVERY_S,
) -> Path:
    """The file of the weights of a network that fills in or restores scans; goes on where it was left.

    The network is that of the plan's first configuration, with one output for each channel.

    split   which of the prepared cases it learns from, and on which it is watched
    task    "mae": blocks are hidden; "genesis": values are bent, shuffled and painted over
    hidden  share of the blocks (mae)

    Raises:
        PlanError: a network that gives objects, or nothing to see or to hide.
    """
    _check(plan, hidden)
    name = plan.first
    learn = Sampler.of(plan, name, store, split.train, fold=0)
    edges = plan.configuration(name).edges
    puzzles = Puzzles(learn, task, hidden, block_of(edges))
    watched = Puzzles(
        Sampler.of(plan, name, store, split.validation or split.train, fold=0).still,
        task,
        hidden,
        puzzles.block,
    )
    world = World.alone(device, plan.training.precision, clock=clock, watch=watch, save_every_s=save_every_s)

    def supply(made: Puzzles) -> Supply:
        def opened(step: int) -> AbstractContextManager[Iterator[Batch]]:
            return Batches(made, workers=workers, start_step=step, device=world.device)

        return opened

    network = build_network(
        single(plan.configuration(name).network),
        inputs_of(plan, name),
        len(plan.channels),
        seed=plan.training.seed,
    )
    basis = _basis(plan, split, puzzles)
    todo = Task(plan.training, plan.labels, basis=basis, objective=Reconstruction())
    return fit(network, supply(puzzles), supply(watched), todo, Path(folder), world)


def single(spec: NetworkSpec) -> NetworkSpec:
    """The network with its finest output only."""
    return spec.but(deep_supervision=False)


def gentle(augmentation: Augmentation) -> Augmentation:
    """The augmentation without what changes values."""
    return augmentation.but(preset="pretraining", **dict.fromkeys(APPEARANCE, 0.0))


def _check(plan: Plan, hidden: float) -> None:
    if not 0 < hidden < 1:
        raise PlanError(f"a share between 0 and 1 is hidden, got {hidden:g}. Usual is 0.75.")
    if plan.configuration().network.finds_objects:
        raise PlanError("a network that finds objects fills in no scan: pretrain a U-Net, or another one.")


def _basis(plan: Plan, split: Split, puzzles: Puzzles) -> Basis:
    """All that decides what the weights become."""
    whole: dict[str, Any] = plan.model_dump(mode="json")
    return {
        "configuration": whole["configurations"][plan.first],
        "augmentation": whole["augmentation"][plan.first],
        "training": whole["training"],
        "channels": whole["channels"],
        "orientation": whole["orientation"],
        "crop_to_nonzero": whole["crop_to_nonzero"],
        "train": list(split.train),
        "validation": list(split.validation),
        "task": {"name": puzzles.task, "hidden": puzzles.hidden, "block": list(puzzles.block)},
    }
