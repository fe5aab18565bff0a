"""Runtime: which engine computes, in which numbers, and the networks of a model opened in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from delineate.errors import PlanError
from delineate.inference.engine import Engine, EngineName, Last, Parted
from delineate.inference.engines.graph import check_same, difference, exported, windows
from delineate.inference.engines.onnx_engine import OnnxRuntime
from delineate.inference.engines.openvino_engine import Numbers, OpenVino
from delineate.inference.engines.packages import versions
from delineate.io.disk import write_bytes, write_json
from delineate.networks.build import inputs_of
from delineate.networks.model import Model
from delineate.networks.precision import Precision, autocast_type, device_of
from delineate.networks.split import last_layer, without_last_layer


@dataclass(frozen=True)
class Runtime:
    """How networks are computed.

    cache    where converted networks are kept, so that each is converted and compared once; None: nowhere
    threads  None: as many as torch uses
    """

    engine: EngineName = "torch"
    precision: Precision = "auto"
    device: str = "cpu"
    cache: Path | None = None
    threads: int | None = None

    def __post_init__(self) -> None:
        device = device_of(self.device)
        if self.engine != "torch" and device.type != "cpu":
            raise PlanError(
                f"the engine {self.engine} computes on the CPU, not on {self.device!r}. Use the engine torch."
            )
        if self.engine == "onnx" and self.precision not in ("auto", "fp32"):
            raise PlanError(
                f"the engine onnx computes in fp32, not in {self.precision}. Use 'auto' or 'fp32', or "
                f"another engine."
            )
        if self.engine != "onnx" and self.precision != "int8":
            autocast_type(self.precision, device)

    def networks(self, model: Model) -> dict[str, tuple[Engine, ...]]:
        """Per configuration what computes each of its folds.

        Raises:
            ModelError: a network cannot be converted, or gives other logits once it is.
            MissingPackage: the engine is not installed.
        """
        self._check_form(model)
        return {
            name: tuple(self.network(model, name, fold) for fold in folds)
            for name, folds in model.folds.items()
        }

    def network(self, model: Model, name: str, fold: int) -> Engine:
        """What computes one network of a model."""
        self._check_form(model)
        if self.engine == "torch":
            return model.network(name, fold, self.device)
        last = last_of(model, name, fold)
        if model.is_quantised:
            return _joined(OpenVino(model.quantised(name, fold), self.numbers, self._threads), last)
        graph = self._graph(model, name, fold, last)
        self._compare(model, name, fold, graph, last)
        return _joined(self._opened(graph, self.numbers), last)

    @property
    def numbers(self) -> Numbers:
        """What OpenVINO computes in, apart from layers that are int8."""
        wish: Precision = "auto" if self.precision == "int8" else self.precision
        return "bf16" if autocast_type(wish, torch.device("cpu")) is torch.bfloat16 else "f32"

    @property
    def _threads(self) -> int:
        return self.threads or torch.get_num_threads()

    def _opened(self, graph: bytes, numbers: Numbers) -> Engine:
        if self.engine == "onnx":
            return OnnxRuntime(graph, self._threads)
        return OpenVino(graph, numbers, self._threads)

    def _graph(self, model: Model, name: str, fold: int, last: Last | None) -> bytes:
        """The network as ONNX, converted now or earlier; without its last layer, where that is apart."""
        file = self._file(model, name, fold, ".onnx")
        if file is not None and file.is_file():
            return file.read_bytes()
        graph = converted(model, name, fold, last)
        if file is not None:
            write_bytes(file, graph)
        return graph

    def _compare(self, model: Model, name: str, fold: int, graph: bytes, last: Last | None) -> None:
        """Compares a converted network with torch, unless this version of the engine was compared before."""
        made = "_".join("-".join(pair) for pair in (versions(self.engine) or {}).items())
        file = self._file(model, name, fold, f".{made}.json")
        if file is not None and file.is_file():
            return
        example = windows(model.plan.configuration(name), inputs_of(model.plan, name))
        network = model.network(name, fold)
        apart = difference(network, _joined(self._opened(graph, "f32"), last), example)
        check_same(apart, f"{name} fold {fold} in the engine {self.engine}")
        if file is not None:
            write_json(
                file, {"largest difference of a logit in float32": apart.largest, "largest logit": apart.of}
            )

    def _file(self, model: Model, name: str, fold: int, ending: str) -> Path | None:
        if self.cache is None:
            return None
        return home(self.cache, model) / f"{name}_fold_{fold}.torch-{torch.__version__}{ending}"

    def _check_form(self, model: Model) -> None:
        if model.is_quantised and self.engine != "openvino":
            raise PlanError(
                f"{model.folder}: holds int8 networks, which the engine openvino runs, not {self.engine}. "
                f"Use it, or the model that this one was made from."
            )
        if model.is_quantised and self.precision == "fp32":
            raise PlanError(
                f"{model.folder}: holds int8 networks, which cannot be computed in fp32. Use 'auto' or "
                f"'int8', or the model that this one was made from."
            )
        if self.precision == "int8" and not model.is_quantised:
            raise PlanError(
                f"{model.folder}: holds no int8 networks. Make them with:  delineate compress "
                f"{model.folder} OUT --on DATASET"
            )


def last_of(model: Model, name: str, fold: int) -> Last | None:
    """The last layer of a network, where it is computed apart: it gives more classes than it reads features.

    So what other engines give is as little as what torch gives, however many classes there are: see `head`.
    """
    outputs = len(model.plan.labels.outputs)
    if model.plan.configuration(name).network.features[0] >= outputs:
        return None
    if model.is_quantised:
        return Last(*kept) if (kept := model.last(name, fold)) else None
    layer = last_layer(model.network(name, fold))
    return Last.of(layer) if layer is not None and layer.in_channels < outputs else None


def converted(model: Model, name: str, fold: int, last: Last | None) -> bytes:
    """A network as ONNX, without its last layer where that is apart."""
    network = model.network(name, fold)
    whole = network if last is None else without_last_layer(network)
    return exported(whole, model.plan.configuration(name), inputs_of(model.plan, name))


def _joined(engine: Engine, last: Last | None) -> Engine:
    return engine if last is None else Parted(engine, last)


def made_for(model: Model) -> EngineName:
    """The engine that computes a model where nobody asks for another."""
    return "openvino" if model.is_quantised else "torch"


def home(cache: Path, model: Model) -> Path:
    """Where a cache keeps what belongs to a model."""
    return cache / "engines" / model.digest[:16]
