"""Checkpoint: everything that a training needs to go on as if it had never stopped.

One safetensors file: the tensors (weights, what the optimizer remembers, the average, the best weights so
far), and in its header two JSON texts in one entry: `state`, the numbers, and `basis`, what the training
was told to do. Written beside its place and moved there, so that a killed process leaves the last one whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor, nn

from delineate.errors import RunError
from delineate.io.disk import replacing
from delineate.record import Record
from delineate.training.mining import Found
from delineate.training.pace import Pace
from delineate.training.patience import Patience

Basis = Mapping[str, Any]  # JSON values: everything that decides what the weights become
Tensors = dict[str, Tensor]

SHOWN = 5  # differences named in a message


class Window(Record):
    """Sums over the steps since the last row of the history."""

    steps: int = 0
    loss: float = 0.0
    region: float = 0.0
    voxel: float = 0.0
    waited_s: float = 0.0
    lasted_s: float = 0.0


class State(Record):
    """The numbers of a training after some steps.

    validated           the step of the last validation
    validation_batches  how many batches a validation has, once that is known
    scaler              the loss scale of fp16
    found               how hard the cases are, where they are drawn by it
    """

    step: int = 0
    progress: float = 0.0
    elapsed_s: float = 0.0
    pace: Pace = Pace()
    window: Window = Window()
    validated: int | None = None
    validation_batches: int | None = None
    patience: Patience | None = None
    scaler: dict[str, int | float] = Field(default_factory=dict)
    found: Found = Found()


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A moment of a training."""

    state: State
    weights: Tensors
    optimizer: Tensors = field(default_factory=dict)
    average: Tensors = field(default_factory=dict)
    best: Tensors = field(default_factory=dict)

    def save(self, path: Path, basis: Basis) -> None:
        """Writes it, whole or not at all."""
        parts = {
            "weights": self.weights,
            "optimizer": self.optimizer,
            "average": self.average,
            "best": self.best,
        }
        tensors = {f"{part}/{name}": tensor for part, some in parts.items() for name, tensor in some.items()}
        write_tensors(path, tensors, {"state": self.state.model_dump_json(), "basis": _canonical(basis)})

    @classmethod
    def load(cls, path: Path, basis: Basis) -> Checkpoint:
        """The moment in a file, if it is one of the same training."""
        tensors, texts = read_tensors(path, basis)
        parts: dict[str, Tensors] = {"weights": {}, "optimizer": {}, "average": {}, "best": {}}
        for name, tensor in tensors.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = tensor
        return cls(State.from_json(texts["state"], where=str(path)), **parts)


TEXTS = "delineate"  # the entry of a file's header that holds our texts, as JSON


def write_tensors(path: Path, tensors: Tensors, texts: Mapping[str, str]) -> None:
    """Writes a safetensors file with texts in its header, whole or not at all."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with replacing(path) as temporary:
        temporary.touch()
        permissions = temporary.stat().st_mode
        # One entry: the library writes several in any order, and equal weights would be unequal files.
        note = {TEXTS: json.dumps(dict(texts), sort_keys=True)}
        safetensors.torch.save_file(held, temporary, metadata=note)
        temporary.chmod(permissions)  # safetensors writes files that others cannot read


def read_tensors(path: Path, basis: Basis) -> tuple[Tensors, dict[str, str]]:
    """Tensors and texts of a file that was written on this basis.

    Raises:
        RunError: it is damaged, or of a training that was told something else.
    """
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            texts = json.loads((file.metadata() or {}).get(TEXTS, "{}"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (safetensors.SafetensorError, OSError) as error:
        raise RunError(
            f"{path}: cannot be read ({error}). Delete the folder {path.parent} and train this fold again."
        ) from None
    _check_basis(path, texts.get("basis", "{}"), basis)
    return tensors, texts


def _check_basis(path: Path, found: str, basis: Basis) -> None:
    if found == _canonical(basis):
        return
    then, now = _leaves(json.loads(found)), _leaves(json.loads(_canonical(basis)))
    changed = [name for name in now | then if then.get(name) != now.get(name)]
    lines = [
        f"  {name}: {then.get(name, 'not there')} then, {now.get(name, 'not there')} now"
        for name in changed[:SHOWN]
    ]
    more = [f"  and {len(changed) - SHOWN} more"] if len(changed) > SHOWN else []
    raise RunError(
        "\n".join(
            [
                f"{path.parent}: this fold was trained with other settings:",
                *lines,
                *more,
                f"To keep what was learnt, put the old values back; to learn anew, delete {path.parent}.",
            ]
        )
    )


def _canonical(basis: Basis) -> str:
    return json.dumps(basis, sort_keys=True)


def _leaves(tree: Any, prefix: str = "") -> dict[str, str]:
    if not isinstance(tree, dict):
        return {prefix: json.dumps(tree)}
    found: dict[str, str] = {}
    for key, item in tree.items():
        found |= _leaves(item, f"{prefix}.{key}" if prefix else key)
    return found


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> Tensors:
    """What an optimizer remembers, as "parameter number/name" -> tensor."""
    state: dict[int, dict[str, Any]] = optimizer.state_dict()["state"]
    return {
        f"{number}/{name}": value
        for number, memory in state.items()
        for name, value in memory.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Tensors) -> None:
    """Gives an optimizer its memory back."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        number, _, name = key.partition("/")
        state.setdefault(int(number), {})[name] = tensor
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def weights_of(network: nn.Module) -> Tensors:
    """The network's numbers by name; they are its own, not copies."""
    return dict(network.state_dict())
