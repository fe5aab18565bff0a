"""Pretrained: the folder of a network that has learnt what scans look like, and no structure yet.

    ENCODER/
      manifest.json                      kind "pretrained encoder", SHA-256 of every other file
      plan.json                          how scans were prepared, and its network
      pretraining.json                   the task, how well it is done, digests of the scans
      CARD.md                            what it is, for people
      3d_fullres/encoder.safetensors     the weights, without the head that filled scans in

It segments nothing. `--from ENCODER` begins a training with it. Loading runs no code.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor

from delineate.errors import ModelError, RecordError
from delineate.io.disk import file_digest, replacing
from delineate.networks.model import MANIFEST, PRETRAINED, kind_of
from delineate.planning.plan import ConfigurationName, Plan
from delineate.record import Record

PRETRAINING = "pretraining.json"
PretrainingTask = Literal["mae", "genesis"]


class Pretraining(Record):
    """What an encoder was pretrained on, and how well it does its task.

    hidden    share of the voxels that it does not see (mae)
    block     edges of what is hidden at once, in voxels along the network's axes (mae)
    error     mean squared error of what it fills in, on scans that it does not learn from
    baseline  the same of the mean of each patch
    scans     digests of the voxels of every scan, channel by channel, sorted; no scan can be made from them
    """

    version: Literal[1] = 1
    task: PretrainingTask
    created: str  # date, ISO 8601
    configuration: ConfigurationName
    cases: Annotated[int, Field(ge=1)]
    steps: int
    minutes: float
    hidden: float | None = None
    block: tuple[int, ...] | None = None
    error: float
    baseline: float
    scans: tuple[str, ...]


class PretrainedManifest(Record):
    """What the folder of a pretrained encoder holds."""

    version: Literal[1] = 1
    kind: Literal["pretrained encoder"] = "pretrained encoder"
    made_with: dict[str, str]
    files: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Pretrained:
    """The folder of a pretrained encoder that was verified."""

    folder: Path
    plan: Plan
    pretraining: Pretraining
    manifest: PretrainedManifest

    @classmethod
    def open(cls, folder: Path | str) -> Pretrained:
        """The pretrained encoder in a folder, once every file is the one that was written.

        Raises:
            ModelError: it is none, or a file is missing, added or altered.
        """
        folder = Path(folder)
        if kind_of(folder) != PRETRAINED:
            raise ModelError(
                f"{folder}: is no pretrained encoder. Make one from unlabelled scans with:  "
                "delineate pretrain SCANS ENCODER"
            )
        try:
            manifest = PretrainedManifest.load(folder / MANIFEST)
        except RecordError as error:
            raise ModelError(f"{error}\nPretrain again, or copy the folder again from its source.") from None
        there = {
            path.relative_to(folder).as_posix()
            for path in folder.rglob("*")
            if path.is_symlink() or not path.is_dir()
        } - {MANIFEST}
        wrong = sorted(there ^ set(manifest.files)) or [
            name for name, digest in manifest.files.items() if file_digest(folder / name) != digest
        ]
        if wrong:
            raise ModelError(
                f"{folder}: {', '.join(wrong[:5])} is missing, was added, or differs from what was written "
                "(SHA-256). Copy the folder again from its source."
            )
        plan = Plan.load(folder / "plan.json")
        return cls(folder, plan, Pretraining.load(folder / PRETRAINING), manifest)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) that names it: of its manifest, which names every file."""
        return self.manifest.digest()

    def weights(self) -> dict[str, Tensor]:
        """The weights by name."""
        file = self.folder / _weights_file(self.pretraining.configuration)
        content = file.read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.files[_weights_file(file.parent.name)]:
            raise ModelError(f"{file}: was altered after it was opened. Copy it again from its source.")
        try:
            return safetensors.torch.load(content)
        except safetensors.SafetensorError as error:
            raise ModelError(f"{file}: holds no weights: {error}. Pretrain again.") from None


def write_pretrained(
    folder: Path, plan: Plan, pretraining: Pretraining, weights: Mapping[str, Tensor]
) -> Pretrained:
    """Writes the folder of a pretrained encoder, whole or not at all, and opens it.

    weights  of the network, without its head
    """
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder}: is a file. Name a new folder; nothing is overwritten.")
    if folder.is_dir() and any(folder.iterdir()) and kind_of(folder) != PRETRAINED:
        raise ModelError(f"{folder}: is not empty and holds no pretrained encoder. Name a new folder.")
    texts = {
        "plan.json": plan.to_json(),
        PRETRAINING: pretraining.to_json(),
        "CARD.md": card_of(plan, pretraining),
    }
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        file = temporary / _weights_file(pretraining.configuration)
        file.parent.mkdir()
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        safetensors.torch.save_file(tensors, file)
        files = {
            name: file_digest(temporary / name)
            for name in sorted((*texts, _weights_file(pretraining.configuration)))
        }
        made_with = {"delineate": importlib.metadata.version("delineate"), "torch": str(torch.__version__)}
        manifest = PretrainedManifest(made_with=made_with, files=files)
        (temporary / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Pretrained.open(folder)


def card_of(plan: Plan, pretraining: Pretraining) -> str:
    """What a pretrained encoder is, as Markdown."""
    configuration = plan.configuration(pretraining.configuration)
    task = {
        "mae": f"filled in blocks of {_times(pretraining.block)} voxels that hid "
        f"{pretraining.hidden or 0:.0%} of each patch (masked autoencoder)",
        "genesis": "restored patches whose values were bent, shuffled and painted over (Models Genesis)",
    }[pretraining.task]
    return (
        f"# {plan.dataset}: a pretrained encoder\n\n"
        "It has learnt what scans look like. It knows no structure and segments nothing.\n\n"
        f"- made on {pretraining.created} from {pretraining.cases} scans without using their labels, in "
        f"{pretraining.minutes:.1f} minutes and {pretraining.steps} steps\n"
        f"- it {task}; mean squared error {pretraining.error:.3f}, of the mean instead "
        f"{pretraining.baseline:.3f}\n"
        f"- channels {', '.join(channel.name for channel in plan.channels)}; network "
        f"{configuration.network.kind}, {pretraining.configuration}\n\n"
        "Begin a training with it:  delineate run DATASET RUN --from THIS\n\n"
        "Cases that were among its scans are no unseen test cases any more: the training says which.\n"
    )


def _weights_file(configuration: str) -> str:
    return f"{configuration}/encoder.safetensors"


def _times(edges: tuple[int, ...] | None) -> str:
    return " x ".join(map(str, edges or ()))
