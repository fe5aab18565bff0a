"""Teacher: trains the networks of a run, one fold after the other."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from delineate.dataset import Fold, Splits
from delineate.errors import RunError
from delineate.pipeline.cascade import hand_down
from delineate.pipeline.run_folder import Run
from delineate.pipeline.start import first_network
from delineate.pipeline.watch import Watch
from delineate.pipeline.wishes import TrainingWishes
from delineate.planning import ConfigurationName, Plan

if TYPE_CHECKING:
    from delineate.training import World

CACHE_GB = 2.0  # prepared cases that are kept in memory, so that small datasets are read once


@dataclass(frozen=True)
class Teacher:
    """Who trains what, on which cases, and on which device.

    world  where a launcher has started several processes: this one among them
    """

    run: Run
    plan: Plan
    splits: Splits
    how: TrainingWishes
    watch: Watch
    world: World | None = None

    def teach(
        self, *, folds: Sequence[int] | None = None, use: Sequence[ConfigurationName] | None = None
    ) -> None:
        """Trains what is not finished; by default all that the plan wants, and what that builds on."""
        from delineate.networks import required

        needed = [name for want in required(self.plan) for name in self.plan.configurations if name == want]
        names = use or needed
        built_on = {self.plan.configuration(name).previous for name in names}
        for name in names:
            if self.plan.configuration(name).previous is not None:
                self._hand_down(name)
            wanted = range(len(self.splits.folds)) if name in built_on else self.plan.train_folds
            for fold in wanted if folds is None else folds:
                self._teach_fold(name, fold)

    def _hand_down(self, name: ConfigurationName) -> None:
        """By the first process; the others wait for it."""
        if self.world is None or self.world.leads:
            hand_down(self.run, self.plan, name, self.splits, self.how.device, self.watch)
        if self.world is not None:
            self.world.fabric.barrier()

    def _teach_fold(self, name: ConfigurationName, fold: int) -> Path:
        from delineate.preparation import Store, store_name
        from delineate.training import Step, TensorBoard, train

        split = self._split(fold)
        folder = self.run.fold(name, fold)
        store = Store.open(self.run.prepared / store_name(self.plan, name), cache_gb=CACHE_GB)
        network, origin = first_network(self.run, self.plan, name, fold)
        with ExitStack() as stack:
            watchers = [stack.enter_context(self.watch.training(f"train {name} fold {fold}"))]
            if self.how.tensorboard and (self.world is None or self.world.leads):
                watchers.append(stack.enter_context(TensorBoard(folder / "tensorboard")))

            def watch(step: Step) -> None:
                for watcher in watchers:
                    watcher(step)

            return train(
                self.plan,
                store,
                split,
                folder,
                name=name,
                fold=fold,
                network=network,
                origin=origin,
                device=self.how.device,
                devices=self.how.devices,
                workers=self.how.workers,
                watch=watch,
                world=self.world,
            )

    def _split(self, fold: int) -> Fold:
        if fold >= len(self.splits.folds):
            raise RunError(
                f"there is no fold {fold}: the splits have {len(self.splits.folds)}, counted from 0. "
                f"They are in {self.run.folder / 'splits.json'}."
            )
        return self.splits.folds[fold]
