"""nnU-Net's checkpoints: tensors under our names, with the axes of kernels in our order.

nnU-Net reads arrays as k, j, i; we as i, j, k. A convolution does not care how axes are called, as long as
its kernel is turned the same way as the image.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.networks import Weights

PREFIXES = ("module.", "_orig_mod.")  # of networks that were trained in parallel, or compiled
SCALAR = np._core.multiarray.scalar  # type: ignore[attr-defined]  # noqa: SLF001 - it has no public name
NUMBERS: list[Any] = [  # what the figures in a training's log are made of; older pickles name it otherwise
    (SCALAR, "numpy.core.multiarray.scalar"),
    (SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *(type(np.dtype(kind)) for kind in ("float16", "float32", "float64", "int32", "int64", "bool")),
]


@dataclass(frozen=True)
class Checkpoint:
    """What a prediction needs of a checkpoint."""

    weights: Mapping[str, Tensor]
    mirror_axes: tuple[int, ...]  # of the image as nnU-Net sees it

    @classmethod
    def read(cls, path: Path) -> Checkpoint:
        """The checkpoint in a file, by a reader that runs no code of the file.

        Raises:
            ModelError: it is not whole, holds something that is no data, or no weights.
        """
        try:
            with torch.serialization.safe_globals(NUMBERS):
                content: Any = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except pickle.UnpicklingError as error:
            found = re.search(r"GLOBAL (\S+)", str(error))
            what = found[1] if found else "something else"
            raise ModelError(
                f"{path}: holds {what}, which is no data and could run code; it was not opened. A checkpoint "
                "of nnU-Net holds tensors, numbers and texts only: ask who made it."
            ) from None
        except (RuntimeError, OSError, EOFError) as error:
            raise ModelError(
                f"{path}: cannot be read as a checkpoint: {str(error).splitlines()[0]}. Copy it again."
            ) from None
        weights = content.get("network_weights") if isinstance(content, dict) else None
        if not isinstance(weights, dict) or not all(isinstance(value, Tensor) for value in weights.values()):
            raise ModelError(f"{path}: holds no network_weights; expected a checkpoint of nnU-Net version 2.")
        mirrored = content.get("inference_allowed_mirroring_axes") or ()
        return cls(_plain(weights), tuple(int(axis) for axis in mirrored))


def translated(
    source: Mapping[str, Tensor], network: nn.Module, order: tuple[int, ...], *, where: Path
) -> Weights:
    """The weights of `network` (a blueprint will do), taken from nnU-Net's.

    order  for each spatial axis of ours, which one of nnU-Net's it is

    Raises:
        ModelError: a tensor is missing or of another shape: the plans describe another network.
    """
    expected = network.state_dict()
    stages = 1 + max(int(match[1]) for name in expected if (match := re.match(r"encoder\.(\d+)\.", name)))
    residual = any(".first." in name for name in expected)
    found: dict[str, Tensor] = {}
    for name, blank in expected.items():
        theirs = source_name(name, stages, is_kernel=blank.ndim > 1, residual=residual)
        if theirs not in source:
            raise ModelError(f"{where}: has no tensor {theirs!r}. {OTHER}")
        tensor = turned(source[theirs], order)
        if tensor.shape != blank.shape:
            raise ModelError(
                f"{where}: {theirs!r} has shape {tuple(tensor.shape)}, expected {tuple(blank.shape)}. {OTHER}"
            )
        found[name] = tensor.float().contiguous()
    return found


OTHER = "The plans describe another network than this checkpoint holds."


def turned(tensor: Tensor, order: tuple[int, ...]) -> Tensor:
    """A kernel (out, in, ...) with its spatial axes in our order; other tensors as they are."""
    if tensor.ndim < 3:
        return tensor
    return tensor.permute(0, 1, *(2 + axis for axis in order))


def source_name(name: str, stages: int, *, is_kernel: bool, residual: bool) -> str:
    """What nnU-Net calls a tensor of ours; its decoder counts from the bottleneck, ours from the top."""
    for pattern, template in (*(RESIDUAL if residual else ()), *NAMES):
        if match := re.fullmatch(pattern, name):
            parts = match.groupdict()
            if "level" in parts:
                parts["level"] = str(stages - 2 - int(parts["level"]))
            if "step" in parts:  # pooling, then a convolution with its norm: one part there, two here
                parts["step"] = str(int(parts["step"]) - (not is_kernel))
                parts["kind"] = "conv" if is_kernel else "norm"
            return template.format(**parts)
    raise ModelError(f"no name of nnU-Net is known for {name!r}.")


PARAMETER = r"(?P<parameter>weight|bias)"
NAMES: tuple[tuple[str, str], ...] = (
    (rf"stem\.(?P<kind>conv|norm)\.{PARAMETER}", "encoder.stem.convs.0.{kind}.{parameter}"),
    (
        rf"encoder\.(?P<stage>\d+)\.(?P<block>\d+)\.(?P<kind>conv|norm)\.{PARAMETER}",
        "encoder.stages.{stage}.0.convs.{block}.{kind}.{parameter}",
    ),
    (
        rf"decoder\.stages\.(?P<level>\d+)\.(?P<block>\d+)\.(?P<kind>conv|norm)\.{PARAMETER}",
        "decoder.stages.{level}.convs.{block}.{kind}.{parameter}",
    ),
    (rf"decoder\.ups\.(?P<level>\d+)\.{PARAMETER}", "decoder.transpconvs.{level}.{parameter}"),
    (rf"decoder\.heads\.(?P<level>\d+)\.{PARAMETER}", "decoder.seg_layers.{level}.{parameter}"),
)
RESIDUAL: tuple[tuple[str, str], ...] = (
    (
        rf"encoder\.(?P<stage>\d+)\.(?P<block>\d+)\.first\.(?P<kind>conv|norm)\.{PARAMETER}",
        "encoder.stages.{stage}.blocks.{block}.conv1.{kind}.{parameter}",
    ),
    (
        rf"encoder\.(?P<stage>\d+)\.(?P<block>\d+)\.(?P<kind>conv|norm)\.{PARAMETER}",
        "encoder.stages.{stage}.blocks.{block}.conv2.{kind}.{parameter}",
    ),
    (
        rf"encoder\.(?P<stage>\d+)\.(?P<block>\d+)\.shortcut\.(?P<step>\d+)\.{PARAMETER}",
        "encoder.stages.{stage}.blocks.{block}.skip.{step}.{kind}.{parameter}",
    ),
)


def _plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Names without what wrapping a network puts before them."""
    found = {}
    for name, tensor in weights.items():
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        found[name] = tensor
    return found
