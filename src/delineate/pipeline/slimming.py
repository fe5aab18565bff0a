"""Slimming: a narrower network in place of each of a model's, taught again on the cases of its run.

prune   starts with the most important channels of the network that was there
distil  starts anew, and learns from the labels and from what the network that was there says
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.networks import Model, build_network, card, inputs_of, required, write_model
from delineate.networks.slim import narrower, slimmed
from delineate.pipeline import stages
from delineate.pipeline.run_folder import Run
from delineate.pipeline.teacher import CACHE_GB
from delineate.pipeline.watch import Watch
from delineate.planning import ConfigurationName, Plan
from delineate.preparation import Store, store_name
from delineate.training import train
from delineate.training.distil import Distillation, Taught
from delineate.training.objective import Segmentation

FOLDER = "compressed"
SLOWER = 0.1  # of the learning rate, for weights that were learnt before; Li 2017, arXiv:1608.08710
LEARNER = "learner."  # how the weights of a network that is taught are named


@dataclass(frozen=True)
class Slimming:
    """How networks are made narrower.

    run          the folder of the run that the model is from: its cases are learnt from again
    keep         the share of the channels of every stage
    minutes      of training, all networks together; or else `steps` of each
    temperature  of distilling; None is pruning
    """

    run: Path
    keep: float = 0.7
    minutes: float | None = None
    steps: int | None = None
    temperature: float | None = None
    device: str = "cpu"

    @property
    def how(self) -> str:
        """The method in words."""
        share = f"{self.keep:.0%} of the channels of every stage"
        length = f"{self.minutes:g} minutes" if self.minutes is not None else f"{self.steps} steps each"
        if self.temperature is None:
            return f"The most important {share}, trained on for {length}."
        taught = f"on labels and on what the model before says, at a temperature of {self.temperature:g}"
        return f"{share} from the start, trained for {length} {taught}."


def slim(model: Model, folder: Path, how: Slimming, watch: Watch) -> Model:
    """Writes the model with narrower networks, and opens it. What was trained is kept in the run.

    Raises:
        ModelError: the model is not from this run.
        PlanError: its networks cannot be made narrower.
    """
    run = Run.open(how.run)
    _refuse_other_run(model, run)
    plan = _planned(model, how)
    stages.prepare(how.run, watch)
    with run.locked():
        weights = {
            name: {fold: _learnt(run, model, plan, name, fold, how, watch) for fold in folds}
            for name, folds in model.folds.items()
        }
    facts = model.manifest.facts.but(scores=(), limits=(*model.manifest.facts.limits, how.how))
    folds = model.folds
    return write_model(
        folder,
        plan=plan,
        weights=weights,
        card=card(plan, facts, folds),
        facts=facts,
        cleanup=model.cleanup,
    )


def _refuse_other_run(model: Model, run: Run) -> None:
    theirs = {str(name): configuration for name, configuration in run.plan().configurations.items()}
    for name in required(model.plan):
        if theirs.get(name) != model.plan.configuration(name):
            raise ModelError(
                f"{model.folder}: its {name} is not that of {run.folder}. Name the run that the model was "
                "packed from: its cases are learnt from again."
            )


def _planned(model: Model, how: Slimming) -> Plan:
    """The model's plan with narrower networks and a shorter training."""
    plan = model.plan
    changed = {
        name: plan.configuration(name).but(network=narrower(plan.configuration(name).network, how.keep))
        for name in required(plan)
    }
    count = sum(len(folds) for folds in model.folds.values())
    training = plan.training.but(
        minutes=None if how.minutes is None else how.minutes / count,
        steps=how.steps if how.minutes is None else None,
        learning_rate=plan.training.learning_rate * (SLOWER if how.temperature is None else 1),
    )
    reasons = {f"configurations.{name}.network.features": how.how for name in changed}
    return plan.but(
        configurations={**plan.configurations, **changed},
        training=training,
        reasons={**plan.reasons, **reasons},
    )


def _learnt(
    run: Run, model: Model, plan: Plan, name: str, fold: int, how: Slimming, watch: Watch
) -> Mapping[str, Tensor]:
    """The weights of one narrower network."""
    before = model.network(name, fold)
    configuration: ConfigurationName = next(each for each in plan.configurations if each == name)
    network, objective = _student(before, model.plan, plan, name, fold, how), None
    if how.temperature is not None:
        plain = Segmentation.of(plan.training, plan.labels, batch_dice=plan.configuration(name).batch_dice)
        objective = Distillation(plain, how.temperature)
        network = Taught(network, [before])
    method = "prune" if how.temperature is None else f"distil_{how.temperature:g}"
    place = run.folder / FOLDER / f"{method}_{how.keep:g}_{model.digest[:8]}_{plan.training.digest()[:8]}"
    store = Store.open(run.prepared / store_name(run.plan(), configuration), cache_gb=CACHE_GB)
    with watch.training(f"{method} {name} fold {fold}") as watcher:
        file = train(
            plan,
            store,
            run.splits().folds[fold],
            place / name / f"fold_{fold}",
            name=configuration,
            fold=fold,
            network=network,
            objective=objective,
            device=how.device,
            watch=watcher,
        )
    found = safetensors.torch.load_file(file)
    return {key.removeprefix(LEARNER): tensor for key, tensor in found.items()}


def _student(before: nn.Module, old: Plan, plan: Plan, name: str, fold: int, how: Slimming) -> nn.Module:
    """The network that learns, with its first weights."""
    if how.temperature is None:
        made, _ = slimmed(before, old.configuration(name).network, how.keep)
        return made.requires_grad_(True)
    inputs, outputs = inputs_of(plan, name), len(plan.labels.outputs)
    return build_network(plan.configuration(name).network, inputs, outputs, seed=plan.training.seed + fold)
