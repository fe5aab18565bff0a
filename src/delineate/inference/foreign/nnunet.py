"""nnU-Net: a trained model of version 2 becomes a model folder of ours, with the same answers.

    RESULTS/TRAINER__PLANS__CONFIGURATION/{plans.json, dataset.json, fold_0/checkpoint_final.pth, ...}

Isensee 2021, doi:10.1038/s41592-020-01008-z. TotalSegmentator's models are of this kind. What cannot be
carried over exactly is refused: another answer than the one that was measured is no import.
"""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from delineate.dataset.listing import read_json
from delineate.errors import ModelError
from delineate.inference.foreign.nnunet_plans import CONFIGURATIONS, Meaning
from delineate.inference.foreign.nnunet_weights import Checkpoint, translated
from delineate.io.disk import file_digest
from delineate.networks import Facts, Model, Weights, blueprint, card, inputs_of, required, write_model
from delineate.planning import Plan
from delineate.progress import Progress, silent

FOLD = re.compile(r"fold_(\d+|all)")
FOLDER = re.compile(r"(?P<trainer>.+)__(?P<plans>.+)__(?P<configuration>.+)")
CHECKPOINT = "checkpoint_final.pth"


@dataclass(frozen=True)
class Trained:
    """One `TRAINER__PLANS__CONFIGURATION` folder."""

    folder: Path
    configuration: str
    plans: dict[str, Any]
    dataset: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Trained:
        """What the folder says of itself.

        Raises:
            ModelError: it is no such folder, or holds a configuration that nobody knows.
        """
        named = FOLDER.fullmatch(folder.resolve().name)
        missing = [name for name in ("plans.json", "dataset.json") if not (folder / name).is_file()]
        if missing or named is None:
            raise ModelError(
                f"{folder}: is no trained nnU-Net model; expected TRAINER__PLANS__CONFIGURATION with "
                "plans.json, dataset.json and fold_0/checkpoint_final.pth."
            )
        if named["configuration"] not in CONFIGURATIONS:
            raise ModelError(
                f"{folder}: configuration {named['configuration']!r} is none of {', '.join(CONFIGURATIONS)}."
            )
        return cls(
            folder,
            named["configuration"],
            read_json(folder / "plans.json"),
            read_json(folder / "dataset.json"),
        )

    def checkpoints(self, name: str, folds: Sequence[int] | None) -> dict[int, Path]:
        """Fold -> file; a single `fold_all` counts as fold 0.

        Raises:
            ModelError: a fold that was asked for is not there, or none is.
        """
        there = {
            0 if match[1] == "all" else int(match[1]): folder / name
            for folder in sorted(self.folder.iterdir(), reverse=True)
            if (match := FOLD.fullmatch(folder.name)) and (folder / name).is_file()
        }
        wanted = sorted(there) if folds is None else list(folds)
        missing = [fold for fold in wanted if fold not in there]
        if missing or not wanted:
            raise ModelError(
                f"{self.folder}: has no {name} of fold {', '.join(map(str, missing)) or 0}; "
                f"there are {', '.join(map(str, sorted(there))) or 'none'}. "
                "Name others with --folds, or another file with --checkpoint checkpoint_best.pth."
            )
        return {fold: there[fold] for fold in wanted}

    def sibling(self, configuration: str) -> Path:
        """The folder of another configuration of the same training."""
        stem = self.folder.resolve().name[: -len(self.configuration)]
        return self.folder.resolve().parent / f"{stem}{configuration}"


def import_nnunet(
    results: Path | str,
    model: Path | str,
    *,
    configuration: str | None = None,
    folds: Sequence[int] | None = None,
    checkpoint: str = CHECKPOINT,
    progress: Progress = silent,
) -> Model:
    """Writes a model folder with the weights of a trained nnU-Net, and opens it.

    results        a TRAINER__PLANS__CONFIGURATION folder, or the folder of the dataset that holds it
    configuration  which, where the folder holds several: 2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres
    folds          which folds; all that are there unless given
    checkpoint     the file in each fold

    Checkpoints are pickles: they are read once, by a reader that builds tensors, numbers and containers
    and nothing else. The model folder holds none.

    Raises:
        ModelError: the folder holds no such model, or one whose answers we cannot give exactly.
    """
    trained = Trained.open(_chosen(Path(results), configuration))
    meaning = Meaning.of(trained.plans, trained.dataset, trained.configuration, where=trained.folder)
    plan = meaning.plan()
    stages = {
        name: trained if name == trained.configuration else Trained.open(trained.sibling(name))
        for name in required(plan)
    }
    files = {name: stage.checkpoints(checkpoint, folds) for name, stage in stages.items()}
    read = _Reading(plan, meaning, progress, sum(map(len, files.values())))
    weights = {
        name: {fold: read.weights(name, path) for fold, path in its.items()} for name, its in files.items()
    }
    plan = plan.but(training=plan.training.but(mirror_axes=read.mirror_axes))
    facts = _facts(trained, [path for its in files.values() for path in its.values()])
    trained_folds = {name: tuple(sorted(its)) for name, its in weights.items()}
    return write_model(
        Path(model), plan=plan, weights=weights, card=card(plan, facts, trained_folds), facts=facts
    )


@dataclass
class _Reading:
    """Checkpoints as they are read, one after the other."""

    plan: Plan
    meaning: Meaning
    progress: Progress
    total: int
    done: int = 0
    mirrored: list[tuple[int, ...]] = field(default_factory=list)

    def weights(self, name: str, path: Path) -> Weights:
        """The weights in a checkpoint under our names, with axes in our order."""
        self.progress(self.done, self.total, str(path.relative_to(path.parents[2])))
        source = Checkpoint.read(path)
        spec = self.plan.configuration(name).network
        network = blueprint(spec, inputs_of(self.plan, name), len(self.plan.labels.outputs))
        self.mirrored.append(self.meaning.axes(source.mirror_axes, spec.dims))
        self.done += 1
        self.progress(self.done, self.total, "")
        return translated(source.weights, network, self.meaning.kernel_order(spec.dims), where=path)

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """Axes that every one of the trainings mirrored."""
        return tuple(sorted(set.intersection(*map(set, self.mirrored))))


def _chosen(results: Path, configuration: str | None) -> Path:
    """The one trained folder that is meant."""
    if (results / "plans.json").is_file() and FOLDER.fullmatch(results.resolve().name):
        return results
    found = sorted(_trained(results))
    wanted = [folder for folder in found if configuration in (None, _configuration(folder))]
    if len(wanted) == 1:
        return wanted[0]
    names = ", ".join(folder.name for folder in found) or "none"
    raise ModelError(
        f"{results}: holds {len(wanted)} trained nnU-Net models"
        f"{'' if configuration is None else f' of configuration {configuration!r}'}, expected one "
        f"TRAINER__PLANS__CONFIGURATION folder; there are {names}. "
        "Give that folder itself, or name one of them with --configuration."
    )


def _trained(results: Path) -> Iterator[Path]:
    if not results.is_dir():
        return
    for folder in results.iterdir():
        if FOLDER.fullmatch(folder.name) and (folder / "plans.json").is_file():
            yield folder


def _configuration(folder: Path) -> str:
    return folder.name.rsplit("__", 1)[-1]


def _facts(trained: Trained, files: Sequence[Path]) -> Facts:
    cases = max(1, int(trained.dataset.get("numTraining", 1)))
    newest = max(path.stat().st_mtime for path in files)
    return Facts(
        created=datetime.date.fromtimestamp(newest).isoformat(),
        cases=cases,
        patients=cases,
        device="unknown",
        digests={f"{path.parent.name}/{path.name}": file_digest(path) for path in files},
        limits=(
            f"Trained by nnU-Net ({trained.folder.resolve().name}) and imported; it was not measured here.",
            "How many patients the cases are of is not known; each is counted as one.",
            "What nnU-Net removes after prediction (postprocessing.pkl) is not part of this model.",
        ),
    )
