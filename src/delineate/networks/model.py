"""Model: the folder in which trained networks are given away.

    MODEL/
      manifest.json                      version, facts, SHA-256 of every other file
      plan.json labels.json cleanup.json what was decided, as records
      calibration.json                   how sure it should be, where that was measured
      degraded.json                      what a missing channel costs, where that was measured
      adaptation.json                    whether it may adapt to a scan, where that was measured
      CARD.md                            what it is, for people
      3d_fullres/fold_0.safetensors ...  the weights, one file per fold
      3d_fullres/fold_0.xml, .bin ...    instead, networks with int8 layers, for OpenVINO
      compression.json                   what int8, pruning or distilling changed

Loading reads JSON, safetensors and OpenVINO's graphs, and runs no code. A folder in which anything is
missing, added or altered is refused.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
import torch
from pydantic import Field
from torch import Tensor, nn

from delineate.errors import ModelError, RecordError
from delineate.io.disk import file_digest, replacing, write_text
from delineate.networks.adaptation import Adaptation
from delineate.networks.build import blueprint, inputs_of
from delineate.networks.degraded import Degraded
from delineate.networks.facts import Facts
from delineate.networks.precision import device_of
from delineate.planning.plan import Plan
from delineate.record import Record
from delineate.space import LabelSchema

MANIFEST = "manifest.json"
VERSION = 1
RECORDS = ("plan.json", "labels.json", "cleanup.json", "CARD.md")
CALIBRATION, DEGRADED = "calibration.json", "degraded.json"  # may be there
COMPRESSION, ADAPTATION = "compression.json", "adaptation.json"  # may be there
WEIGHTS = re.compile(r"(2d|3d_fullres|3d_lowres|3d_cascade_fullres)/fold_(\d+)\.(safetensors|xml|bin)")
PRETRAINED = "pretrained encoder"  # the kind of a folder that is no model, `pretrained`
REPACK = "Copy the model folder from its source again, or make it anew with:  delineate pack RUN MODEL"

Weights = Mapping[str, Tensor]  # a state_dict


class CleanUp(Record):
    """What is removed from a prediction: everything but the largest connected component (26 neighbours).

    foreground  first, of all structures together
    structures  then of each of these, by name
    reasons     the figures behind each decision
    """

    foreground: bool = False
    structures: tuple[str, ...] = ()
    reasons: dict[str, str] = Field(default_factory=dict)


class Calibration(Record):
    """How sure a model should be: its probabilities p become p^(1/temperature). Labels stay.

    low, high  the 95 % interval of the temperature
    cases      on which it was fitted
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    low: float | None = None
    high: float | None = None
    cases: int = Field(ge=1)


class Manifest(Record):
    """What a model folder holds: SHA-256 (hex) by path, with what it was made, and the facts."""

    version: Literal[1] = 1
    made_with: dict[str, str]
    facts: Facts
    files: dict[str, str] = Field(min_length=1)


@dataclass(frozen=True)
class Model:
    """A model folder that was verified."""

    folder: Path
    plan: Plan
    cleanup: CleanUp
    manifest: Manifest
    card: str
    calibration: Calibration | None = None
    degraded: Degraded | None = None
    adaptation: Adaptation | None = None

    @classmethod
    def open(cls, folder: Path | str) -> Model:
        """The model in a folder, once every file is the one that was packed.

        Raises:
            ModelError: a file is missing, added, altered or of a kind that has no place in a model.
        """
        folder = Path(folder)
        manifest = _manifest(folder)
        _check_names(folder, manifest)
        _check_complete(folder, manifest)
        _check_content(folder, manifest)
        plan = Plan.load(folder / "plan.json")
        if LabelSchema.load(folder / "labels.json") != plan.labels:
            raise ModelError(f"{folder}: labels.json and plan.json list different labels. {REPACK}")
        model = cls(
            folder=folder,
            plan=plan,
            cleanup=CleanUp.load(folder / "cleanup.json"),
            manifest=manifest,
            card=(folder / "CARD.md").read_text(encoding="utf-8"),
            calibration=_calibration(folder, manifest),
            degraded=Degraded.load(folder / DEGRADED) if DEGRADED in manifest.files else None,
            adaptation=Adaptation.load(folder / ADAPTATION) if ADAPTATION in manifest.files else None,
        )
        _check_weights(folder, plan, model.folds)
        return model

    @property
    def folds(self) -> dict[str, tuple[int, ...]]:
        """Which folds of which configuration there are."""
        found: dict[str, set[int]] = {}
        for name in self.manifest.files:
            if match := WEIGHTS.fullmatch(name):
                found.setdefault(match[1], set()).add(int(match[2]))
        return {name: tuple(sorted(folds)) for name, folds in found.items()}

    @property
    def is_quantised(self) -> bool:
        """Whether its networks have int8 layers, which OpenVINO runs and torch does not."""
        return any(name.endswith(".xml") for name in self.manifest.files)

    @property
    def digest(self) -> str:
        """SHA-256 (hex) that names this model: of its manifest, which names every file."""
        return self.manifest.digest()

    def networks(self, device: str = "cpu") -> dict[str, tuple[nn.Module, ...]]:
        """Per configuration the networks of its folds, on `device`, ready to predict."""
        return {
            name: tuple(self.network(name, fold, device) for fold in folds)
            for name, folds in self.folds.items()
        }

    def network(self, name: str, fold: int, device: str = "cpu") -> nn.Module:
        """The network of one fold of a configuration, ready to predict."""
        if self.is_quantised:
            raise ModelError(
                f"{self.folder}: holds int8 networks, which the engine openvino runs, and none for torch. "
                "Use the model that it was made from."
            )
        path = f"{name}/fold_{fold}.safetensors"
        return _loaded(self._content(path), self.plan, name, device, self.folder / path, REPACK)

    def quantised(self, name: str, fold: int) -> tuple[bytes, bytes]:
        """A network with int8 layers as OpenVINO reads it: its graph (XML) and its numbers."""
        return self._content(f"{name}/fold_{fold}.xml"), self._content(f"{name}/fold_{fold}.bin")

    def last(self, name: str, fold: int) -> tuple[Tensor, Tensor] | None:
        """Weight (class, feature) and bias of the last layer of an int8 network, if it is apart."""
        path = f"{name}/fold_{fold}.safetensors"
        if path not in self.manifest.files:
            return None
        kept = safetensors.torch.load(self._content(path))
        return kept["weight"], kept["bias"]

    def _content(self, path: str) -> bytes:
        """A file of the model, which is still the one that was packed."""
        if path not in self.manifest.files:
            raise ModelError(f"{self.folder}: has no {path}: it holds networks for torch.")
        content = (self.folder / path).read_bytes()
        if hashlib.sha256(content).hexdigest() != self.manifest.files[path]:
            raise ModelError(f"{self.folder / path}: was altered after it was opened. {REPACK}")
        return content


def load_network(plan: Plan, name: str, weights: Path, *, device: str = "cpu") -> nn.Module:
    """The network of a configuration with the weights in a safetensors file, ready to predict.

    Raises:
        ModelError: the file does not hold the weights of that network.
    """
    remedy = "Was the plan edited after training? Train again in a new run folder."
    return _loaded(weights.read_bytes(), plan, name, device, weights, remedy)


def _loaded(content: bytes, plan: Plan, name: str, device: str, where: Path, remedy: str) -> nn.Module:
    spec = plan.configuration(name).network
    network = blueprint(spec, inputs_of(plan, name), len(plan.labels.outputs))
    try:
        network.load_state_dict(safetensors.torch.load(content), assign=True)
    except (safetensors.SafetensorError, RuntimeError) as error:
        raise ModelError(
            f"{where}: does not hold the weights of {name} in the plan: "
            f"{str(error).splitlines()[-1].strip()}. {remedy}"
        ) from None
    return network.float().requires_grad_(False).to(device_of(device)).eval()


def write_model(
    folder: Path,
    *,
    plan: Plan,
    weights: Mapping[str, Mapping[int, Weights]],
    card: str,
    facts: Facts,
    cleanup: CleanUp | None = None,
    degraded: Degraded | None = None,
) -> Model:
    """Writes a model folder, whole or not at all, and opens it.

    weights  per configuration and fold the network's `state_dict`
    """
    _refuse_other(folder)
    _check_weights(folder, plan, {name: tuple(folds) for name, folds in weights.items()})
    texts = {
        "plan.json": plan.to_json(),
        "labels.json": plan.labels.to_json(),
        "cleanup.json": (cleanup or CleanUp()).to_json(),
        "CARD.md": card,
        **({} if degraded is None else {DEGRADED: degraded.to_json()}),
    }
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name, text in texts.items():
            (temporary / name).write_text(text, encoding="utf-8")
        for name, folds in weights.items():
            (temporary / name).mkdir()
            for fold, state in folds.items():
                tensors = {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}
                safetensors.torch.save_file(tensors, temporary / name / f"fold_{fold}.safetensors")
        files = {name: file_digest(temporary / name) for name in sorted(_files(temporary))}
        manifest = Manifest(made_with=_made_with(), facts=facts, files=files)
        (temporary / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Model.open(folder)


def write_calibration(folder: Path, calibration: Calibration) -> Model:
    """Adds to a model how sure it should be, and opens it.

    Raises:
        ModelError: the model is not whole, or carries a calibration: its probabilities are changed already.
    """
    model = Model.open(folder)
    if model.calibration is not None:
        raise ModelError(
            f"{folder}: carries a temperature already, {model.calibration.temperature:.3f}. Probabilities "
            "that it wrote are changed by it, and a second one would be on top of it. Pack the model anew:  "
            "delineate pack RUN MODEL"
        )
    write_text(folder / CALIBRATION, calibration.to_json())
    files = model.manifest.files | {CALIBRATION: file_digest(folder / CALIBRATION)}
    write_text(folder / MANIFEST, model.manifest.but(files=dict(sorted(files.items()))).to_json())
    return Model.open(folder)


def write_adaptation(folder: Path, adaptation: Adaptation) -> Model:
    """Adds to a model whether it may adapt to a scan, in place of what was measured before, and opens it."""
    model = Model.open(folder)
    write_text(folder / ADAPTATION, adaptation.to_json())
    files = model.manifest.files | {ADAPTATION: file_digest(folder / ADAPTATION)}
    write_text(folder / MANIFEST, model.manifest.but(files=dict(sorted(files.items()))).to_json())
    return Model.open(folder)


def write_quantised(
    folder: Path,
    model: Model,
    graphs: Mapping[str, Mapping[int, tuple[bytes, bytes]]],
    lasts: Mapping[str, Mapping[int, Weights]] | None = None,
) -> Model:
    """Writes a model whose networks are OpenVINO's, with int8 layers, and opens it.

    graphs  per configuration and fold the graph (XML) and its numbers
    lasts   the last layers of those that are computed apart: "weight" (class, feature) and "bias" (class,)

    What was measured on the model that it is made from (its temperature, what a missing channel costs) is
    left out: it has to be measured again.
    """
    _refuse_other(folder)
    with replacing(folder) as temporary:
        temporary.mkdir()
        for name in RECORDS:
            (temporary / name).write_bytes((model.folder / name).read_bytes())
        for name, folds in graphs.items():
            (temporary / name).mkdir()
            for fold, (graph, numbers) in folds.items():
                (temporary / name / f"fold_{fold}.xml").write_bytes(graph)
                (temporary / name / f"fold_{fold}.bin").write_bytes(numbers)
            for fold, state in (lasts or {}).get(name, {}).items():
                safetensors.torch.save_file(dict(state), temporary / name / f"fold_{fold}.safetensors")
        files = {name: file_digest(temporary / name) for name in sorted(_files(temporary))}
        manifest = model.manifest.but(made_with=_made_with(), files=files)
        (temporary / MANIFEST).write_text(manifest.to_json(), encoding="utf-8")
    return Model.open(folder)


def write_compression(folder: Path, compression: Record, told: str) -> Model:
    """Adds to a model what compressing it changed, as a record and as a part of its card, and opens it."""
    model = Model.open(folder)
    texts = {COMPRESSION: compression.to_json(), "CARD.md": f"{model.card.rstrip()}\n\n{told.rstrip()}\n"}
    for name, text in texts.items():
        write_text(folder / name, text)
    files = model.manifest.files | {name: file_digest(folder / name) for name in texts}
    write_text(folder / MANIFEST, model.manifest.but(files=dict(sorted(files.items()))).to_json())
    return Model.open(folder)


def _calibration(folder: Path, manifest: Manifest) -> Calibration | None:
    return Calibration.load(folder / CALIBRATION) if CALIBRATION in manifest.files else None


def _refuse_other(folder: Path) -> None:
    """A model takes the place of an older one, and of nothing else."""
    if folder.is_dir() and any(folder.iterdir()) and not (folder / MANIFEST).is_file():
        raise ModelError(
            f"{folder}: is not empty and holds no model. Name a new folder; nothing is overwritten."
        )
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder}: is a file. Name a new folder; nothing is overwritten.")


def _made_with() -> dict[str, str]:
    return {
        "delineate": importlib.metadata.version("delineate"),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }


def kind_of(folder: Path) -> str | None:
    """What the manifest of a folder calls it: None for a model, and where there is no manifest."""
    try:
        content: Any = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        return None
    return str(content["kind"]) if isinstance(content, dict) and "kind" in content else None


def _refuse_pretrained(folder: Path) -> None:
    if kind_of(folder) == PRETRAINED:
        raise ModelError(
            f"{folder}: is a pretrained encoder: it has learnt what scans look like, and knows no structure "
            f"to look for. Train a model from it:  delineate run DATASET RUN --from {folder}"
        )


def _manifest(folder: Path) -> Manifest:
    path = folder / MANIFEST
    _refuse_pretrained(folder)
    if not path.is_file():
        raise ModelError(
            f"{folder}: holds no model: expected a folder with {MANIFEST}. "
            f"Make one with:  delineate pack RUN MODEL"
        )
    try:
        content: Any = json.loads(path.read_bytes())
    except ValueError as error:
        raise ModelError(f"{path}: is not JSON ({error}). {REPACK}") from None
    version = content.get("version") if isinstance(content, dict) else None
    if version != VERSION:
        raise ModelError(
            f"{path}: expected a model of version {VERSION}, got {version!r}. "
            f"If it was made by a newer delineate, update:  pip install --upgrade delineate"
        )
    try:
        return Manifest.load(path)
    except RecordError as error:
        raise ModelError(f"{error}\n{REPACK}") from None


def _check_names(folder: Path, manifest: Manifest) -> None:
    """Every name is one of ours: so none leads out of the folder, and none is a file that runs code."""
    ours = {*RECORDS, ADAPTATION, CALIBRATION, COMPRESSION, DEGRADED}
    foreign = [n for n in manifest.files if n not in ours and not WEIGHTS.fullmatch(n)]
    if foreign:
        raise ModelError(
            f"{folder / MANIFEST}: lists files that have no place in a model: {', '.join(foreign[:5])}. "
            f"Expected {', '.join(RECORDS)} and CONFIGURATION/fold_N.safetensors. Do not use this folder "
            f"unless you know who made it."
        )


def _check_complete(folder: Path, manifest: Manifest) -> None:
    there = set(_files(folder)) - {MANIFEST}
    missing = sorted((set(manifest.files) | set(RECORDS)) - there)
    extra = sorted(there - set(manifest.files))
    if missing:
        raise ModelError(f"{folder}: is incomplete, without {', '.join(missing[:5])}. {REPACK}")
    if extra:
        raise ModelError(
            f"{folder}: holds files that were not packed: {', '.join(extra[:5])}. Remove them if you know "
            f"them; otherwise do not use this folder. {REPACK}"
        )


def _check_content(folder: Path, manifest: Manifest) -> None:
    altered = [name for name, digest in manifest.files.items() if file_digest(folder / name) != digest]
    if altered:
        raise ModelError(
            f"{folder}: {', '.join(altered[:5])} differ from what was packed (SHA-256). {REPACK}"
        )


def _check_weights(folder: Path, plan: Plan, folds: Mapping[str, tuple[int, ...]]) -> None:
    """Every configuration that the plan uses, and what it builds on, has weights; no other has."""
    needed = set(required(plan))
    missing = sorted(needed - {name for name, some in folds.items() if some})
    if missing:
        raise ModelError(
            f"{folder}: the plan uses {', '.join(missing)}, for which there are no weights. "
            f"Train it, or take it out of the plan's `use`."
        )
    extra = sorted(set(folds) - needed)
    if extra:
        raise ModelError(
            f"{folder}: there are weights for {', '.join(extra)}, which the plan does not use "
            f"(it uses {', '.join(plan.use)}). Leave them out, or add them to the plan's `use`."
        )


def required(plan: Plan) -> tuple[str, ...]:
    """The configurations to run, each after the one whose labels it reads."""
    ordered: dict[str, None] = {}
    for name in plan.use:
        before = plan.configuration(name).previous
        ordered |= dict.fromkeys([name] if before is None else [before, name])
    return tuple(ordered)


def _files(folder: Path) -> Iterator[str]:
    """Names below `folder`, "/" between the parts; a link counts as a file, whatever it leads to."""
    for path in folder.rglob("*"):
        if path.is_symlink() or not path.is_dir():
            if path.is_symlink():
                raise ModelError(f"{path}: is a link; a model holds only files. {REPACK}")
            yield path.relative_to(folder).as_posix()
