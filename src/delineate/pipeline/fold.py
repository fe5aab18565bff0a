"""Fold: the networks that were trained without a group of cases, ready to segment them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from delineate.errors import RunError
from delineate.io.disk import file_digest
from delineate.pipeline.run_folder import Run
from delineate.planning import Plan

if TYPE_CHECKING:
    from delineate.inference import Segmenter

WEIGHTS = "weights.safetensors"


def fold_segmenter(run: Run, plan: Plan, use: Sequence[str], fold: int, device: str) -> Segmenter:
    """The segmenter of one fold: of each configuration in `use`, and what it builds on, that fold's network.

    Raises:
        RunError: one of them is not trained yet.
    """
    from delineate.inference import Segmenter
    from delineate.networks import required

    chosen = plan.but(use=tuple(use))
    weights = {name: (run.fold(name, fold) / WEIGHTS,) for name in required(chosen)}
    for name, (file,) in weights.items():
        if not file.is_file():
            raise RunError(
                f"{run.folder}: fold {fold} of {name} is not trained. Train it with:  "
                f"delineate train {run.folder} --fold {fold} --use {name}"
            )
    return Segmenter.of(chosen, weights, device=device)


def fold_digest(run: Run, plan: Plan, use: Sequence[str], fold: int) -> str:
    """What the predictions of a fold depend on: the weights of its networks."""
    from delineate.networks import required

    names = required(plan.but(use=tuple(use)))
    return "+".join(file_digest(run.fold(name, fold) / WEIGHTS) for name in names)
