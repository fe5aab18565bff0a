"""Graph: a network as ONNX, and whether it still gives the same logits."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.inference.engine import Engine
from delineate.inference.engines.packages import package
from delineate.planning.plan import Configuration

INPUT, OUTPUT = "scan", "logits"
OPSET = 18
MOST = 1e-3  # difference of a logit, in float32, that a converted network must stay below; see `Apart`
LARGE = 2**17  # voxels of a window
SEED = 4  # of the noise on which both are compared
REFUSED = {
    "mask_rcnn": "it gives single objects, and how many there are is not known before it runs",
    "segnet": "it puts values back where its pools took them from, and ONNX has no such operation",
    "swinunetr": "its shifted windows have sizes that ONNX does not know before it runs",
}


def exported(network: nn.Module, configuration: Configuration, channels: int) -> bytes:
    """The network as ONNX: windows of the configuration's patch in, any number at once; logits out.

    Raises:
        ModelError: the network has parts that ONNX does not know.
        MissingPackage: onnx is not installed.
    """
    kind = configuration.network.kind
    if kind in REFUSED:
        raise _refusal(kind, REFUSED[kind])
    package("onnx", "converting a network")
    try:
        with TemporaryDirectory() as folder:
            return _written(network, windows(configuration, channels), Path(folder) / "network.onnx")
    except (RuntimeError, TypeError, ValueError) as error:  # the exporter's own are RuntimeErrors
        raise _refusal(kind, str(error).strip().partition("\n")[0]) from None


def _written(network: nn.Module, example: Tensor, file: Path) -> bytes:
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network.eval(),
            (example,),
            file,
            dynamo=False,  # the newer exporter takes twenty times longer for the same graph
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
        )
    return file.read_bytes()


def windows(configuration: Configuration, channels: int, count: int | None = None) -> Tensor:
    """Windows of noise, the same ones every time, as the network of the configuration sees them.

    count  None is two, which torch computes faster than one where they are small; one where they are large
    """
    count = count or (1 if math.prod(configuration.edges) > LARGE else 2)
    noise = np.random.default_rng(SEED).normal(size=(count, channels, *configuration.edges))
    return torch.from_numpy(noise.astype(np.float32))


class Apart(NamedTuple):
    """How far an engine is from torch: the largest difference of a logit, and the largest logit."""

    largest: float
    of: float

    @property
    def allowed(self) -> float:
        """What the difference must stay below.

        Relative where logits are large: norms add up millions of voxels, which OpenVINO does in float32, and
        then three digits behind the point are not there (0.002 of 6.6 for windows of 128 x 128 x 128).
        """
        return MOST * max(1.0, self.of)


def difference(network: nn.Module, engine: Engine, example: Tensor) -> Apart:
    """How far another engine is from a network in float32."""
    with torch.inference_mode():
        expected, got = network.eval()(example), engine(example)
    return Apart(float((expected - got).abs().max()), float(expected.abs().max()))


def check_same(apart: Apart, what: str) -> None:
    """Refuses a converted network that gives other logits.

    Raises:
        ModelError: it differs by more than is allowed.
    """
    if not apart.largest < apart.allowed:  # so NaN is refused too
        raise ModelError(
            f"{what}: gives other logits than torch, by up to {apart.largest:.2g} in float32 where logits "
            f"reach {apart.of:.2g}; less than {apart.allowed:.2g} is allowed. Use the engine torch, and "
            f"report this network."
        )


def _refusal(kind: str, why: str) -> ModelError:
    return ModelError(f"a network of the kind {kind} cannot be converted: {why}. Use the engine torch.")
