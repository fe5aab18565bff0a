"""MONAI's U-Nets as networks of ours, and their tensors under our names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.inference.foreign.bundle_config import Step
from delineate.networks import Weights
from delineate.planning.plan import NetworkSpec

WIDEST = {2: 512, 3: 320}  # of a DynUNet that does not say its filters


def spec_of(step: Step) -> NetworkSpec:
    """The network that a bundle defines.

    Raises:
        ModelError: it is another network, or one that cannot be built here exactly.
    """
    makers: dict[str, Callable[[Step], dict[str, Any]]] = {
        "UNet": _kerfoot,
        "DynUNet": _dynunet,
        "SegResNet": _segresnet,
    }
    if step.name not in makers:
        raise ModelError(
            f"{step.where}: {step.name} cannot be imported; known networks are {', '.join(sorted(makers))}."
        )
    return NetworkSpec.model_validate(makers[step.name](step))


def translated(source: Mapping[str, Tensor], step: Step, network: nn.Module, *, where: Path) -> Weights:
    """The weights of `network` (a blueprint will do), taken from MONAI's.

    Raises:
        ModelError: a tensor is missing or of another shape.
    """
    expected = network.state_dict()
    names = dict(_names(step, expected))
    found: dict[str, Tensor] = {}
    for name, blank in expected.items():
        module, _, parameter = name.rpartition(".")
        theirs = f"{names[module]}.{parameter}"
        if theirs in source:
            tensor = source[theirs]
        elif _is_neutral(name, step):
            tensor = torch.ones(blank.shape) if parameter == "weight" else torch.zeros(blank.shape)
        else:
            raise ModelError(f"{where}: has no tensor {theirs!r}. {OTHER}")
        if tensor.shape != blank.shape:
            raise ModelError(
                f"{where}: {theirs!r} has shape {tuple(tensor.shape)}, expected {tuple(blank.shape)}. {OTHER}"
            )
        found[name] = tensor.to(blank.dtype).contiguous()
    return found


OTHER = "The configuration describes another network than this file holds."


def _kerfoot(step: Step) -> dict[str, Any]:
    step.only(*KERFOOT)
    dims, features = _dims(step), tuple(int(n) for n in step["channels"])
    kernel, strides = int(step.given.get("kernel_size", 3)), [int(n) for n in step["strides"]]
    norm, _ = _named(step.given.get("norm", "instance"))
    _expect(step, "act", _named(step.given.get("act", "prelu"))[0], "prelu")
    _expect(step, "up_kernel_size", int(step.given.get("up_kernel_size", 3)), kernel)
    _expect(step, "bias", step.given.get("bias", True), True)
    _expect(step, "adn_ordering", step.given.get("adn_ordering", "NDA"), "NDA")
    units = int(step.given.get("num_res_units", 0))
    return {
        "kind": "kerfoot_unet",
        "features": features,
        "strides": tuple((n,) * dims for n in (*strides[: len(features) - 1], 1)),
        "kernels": ((kernel,) * dims,) * len(features),
        "encoder_blocks": (max(1, units),) * len(features),
        "decoder_blocks": (1,) * (len(features) - 1),
        "deep_supervision": False,
        "norm": norm,
        "residual": units > 0,
    }


def _dynunet(step: Step) -> dict[str, Any]:
    step.only(*DYNUNET)
    dims = _dims(step)
    strides = tuple(_edges(n, dims) for n in step["strides"])
    kernels = tuple(_edges(n, dims) for n in step["kernel_size"])
    ups = tuple(_edges(n, dims) for n in step["upsample_kernel_size"])
    widest = WIDEST[dims]
    usual = [min(2 ** (5 + n), widest) for n in range(len(strides))]
    features = tuple(int(n) for n in (step.given.get("filters") or usual))
    norm, options = _named(step.given.get("norm_name", ["instance", {"affine": True}]))
    act, slope = _named(step.given.get("act_name", ["leakyrelu", {"negative_slope": 0.01}]))
    _expect(step, "res_block", step.given.get("res_block", False), False)
    _expect(step, "norm_name", (norm, options.get("affine", False)), ("instance", True))
    _expect(step, "act_name", (act, slope.get("negative_slope", 0.01)), ("leakyrelu", 0.01))
    _expect(step, "upsample_kernel_size", ups, strides[1:])
    _expect(step, "kernel_size", kernels, (kernels[0],) * len(kernels))  # on the way up, those below it
    return {
        "kind": "unet",
        "features": features,
        "strides": strides,
        "kernels": kernels,
        "encoder_blocks": (2,) * len(strides),
        "decoder_blocks": (2,) * (len(strides) - 1),
        "deep_supervision": False,
    }


def _segresnet(step: Step) -> dict[str, Any]:
    step.only(*SEGRESNET)
    dims, first = _dims(step), int(step.given.get("init_filters", 8))
    down = tuple(int(n) for n in step.given.get("blocks_down", (1, 2, 2, 4)))
    up = tuple(int(n) for n in step.given.get("blocks_up", (1, 1, 1)))
    return {
        "kind": "segresnet",
        "features": tuple(first * 2**n for n in range(len(down))),
        "strides": tuple((2 if n else 1,) * dims for n in range(len(down))),
        "kernels": ((3,) * dims,) * len(down),
        "encoder_blocks": down,
        "decoder_blocks": up[::-1],
        "deep_supervision": False,
    }


COMMON = ("spatial_dims", "in_channels", "out_channels")
KERFOOT = (
    *COMMON,
    *("channels", "strides", "kernel_size", "up_kernel_size", "num_res_units", "act", "norm", "dropout"),
    *("bias", "adn_ordering"),
)
DYNUNET = (
    *COMMON,
    *("kernel_size", "strides", "upsample_kernel_size", "filters", "dropout", "norm_name", "act_name"),
    *("deep_supervision", "deep_supr_num", "res_block", "trans_bias"),
)
SEGRESNET = (*COMMON, "init_filters", "blocks_down", "blocks_up", "dropout_prob")


def _dims(step: Step) -> int:
    dims = int(step.given.get("spatial_dims", 3))
    if dims != 3:
        raise ModelError(
            f"{step.where}: expected spatial_dims 3, got {dims}: a plan would not know its slices."
        )
    return dims


def _edges(value: Any, dims: int) -> tuple[int, ...]:
    return tuple(int(n) for n in value) if isinstance(value, Sequence) else (int(value),) * dims


def _named(value: Any) -> tuple[str, Mapping[str, Any]]:
    """A part of MONAI's by name, alone or with its options."""
    name, options = (value, {}) if isinstance(value, str) else (value[0], value[1] if value[1:] else {})
    return str(name).lower(), options


def _expect(step: Step, what: str, got: Any, expected: Any) -> None:
    if got != expected:
        raise ModelError(
            f"{step.where}: {step.name} with {what} {got!r} cannot be imported; expected {expected!r}."
        )


def _is_neutral(name: str, step: Step) -> bool:
    """Whether a tensor that MONAI's network lacks would do nothing.

    It is the scale and shift of a norm that has none, or a bias that the instance norm after it removes.
    """
    if step.name == "UNet":
        norm, options = _named(step.given.get("norm", "instance"))
        return norm == "instance" and not options.get("affine") and ".1." in name
    return step.name == "DynUNet" and name.endswith(".bias") and ("conv." in name or "ups." in name)


def _names(step: Step, expected: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Modules of ours and what MONAI calls them."""
    match step.name:
        case "UNet":
            yield from _kerfoot_names(len(step["channels"]), int(step.given.get("num_res_units", 0)))
        case "DynUNet":
            yield from _dynunet_names(len(step["strides"]))
        case _:
            for name in expected:
                module = name.rpartition(".")[0]
                yield module, module.removeprefix("network.")


def _kerfoot_names(stages: int, units: int) -> Iterator[tuple[str, str]]:
    """Each level is the middle of the one above it."""
    for level in range(stages):
        within, bottom = "model." + "1.submodule." * level, level == stages - 1
        down, up = within + ("" if bottom else "0."), within + "2."
        for unit in range(max(1, units)):
            yield from _part(f"down.{level}.parts.{unit}", f"{down}conv.unit{unit}." if units else down)
        yield f"down.{level}.shortcut", f"{down}residual"
        if not bottom:
            yield from _part(f"up.{level}.enlarge", f"{up}0." if units else up)
            yield from _part(f"up.{level}.unit.parts.0", f"{up}1.conv.unit0.")


def _part(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Convolution, norm, activation."""
    yield f"{ours}.0", f"{theirs}conv"
    yield f"{ours}.1", f"{theirs}adn.N"
    yield f"{ours}.2", f"{theirs}adn.A"


def _dynunet_names(stages: int) -> Iterator[tuple[str, str]]:
    """Its decoder counts from the bottleneck, ours from the top."""
    places = ["input_block", *(f"downsamples.{n}" for n in range(stages - 2)), "bottleneck"]
    for stage, place in enumerate(places):
        yield from _twice(f"encoder.{stage}", place)
    for level in range(stages - 1):
        up = f"upsamples.{stages - 2 - level}"
        yield f"decoder.ups.{level}", f"{up}.transp_conv.conv"
        yield from _twice(f"decoder.stages.{level}", f"{up}.conv_block")
    yield "decoder.heads.0", "output_block.conv.conv"


def _twice(ours: str, theirs: str) -> Iterator[tuple[str, str]]:
    """Two convolutions with their norms."""
    for block in range(2):
        yield f"{ours}.{block}.conv", f"{theirs}.conv{block + 1}.conv"
        yield f"{ours}.{block}.norm", f"{theirs}.norm{block + 1}"
