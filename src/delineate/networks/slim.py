"""Slim: a U-Net without its least important channels.

A channel that a norm scales by little says little: channels are ranked by the size of the norm's scale, and
those of transposed convolutions, which have no norm, by the sum of their weights. Every stage keeps the
same share, so what is left is a planned U-Net with fewer features, and needs nothing of its own.
Sources: Liu 2017, doi:10.1109/ICCV.2017.298 (scales of norms); Li 2017, arXiv:1608.08710 (sums of weights).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from delineate.errors import PlanError
from delineate.networks.build import build_network
from delineate.networks.unet import ResidualUNet, UNet
from delineate.planning.plan import NetworkSpec

State = Mapping[str, Tensor]
WHOLE = 8  # wide stages keep a multiple of this: processors compute so many channels at once


def narrower(spec: NetworkSpec, keep: float) -> NetworkSpec:
    """The description with a share of the features of every stage.

    Raises:
        PlanError: the share is not between 0 and 1, or it is no U-Net of ours.
    """
    if spec.kind not in ("unet", "residual_unet"):
        raise PlanError(
            f"only the planned U-Nets (unet, residual_unet) can be pruned, got {spec.kind}: its channels "
            "hang together otherwise."
        )
    if not 0 < keep < 1:
        raise PlanError(f"the share of channels that is kept lies between 0 and 1, got {keep:g}.")
    return spec.but(features=tuple(_width(features, keep) for features in spec.features))


def slimmed(network: nn.Module, spec: NetworkSpec, keep: float) -> tuple[nn.Module, NetworkSpec]:
    """The network with a share of the channels of every layer, the most important ones, and its description.

    Raises:
        PlanError: what `narrower` refuses.
    """
    narrow = narrower(spec, keep)
    if not isinstance(network, (UNet, ResidualUNet)):
        raise PlanError(f"expected a planned U-Net, got {type(network).__name__}.")
    state = network.state_dict()
    first = "stem" if spec.kind == "residual_unet" else "encoder.0.0"
    inputs = state[f"{first}.conv.weight"].shape[1]
    outputs = state["decoder.heads.0.weight"].shape[0]
    cut = _Cut(state)
    if spec.kind == "residual_unet":
        skips = _residual_encoder(cut, narrow, inputs)
    else:
        skips = _plain_encoder(cut, narrow, inputs)
    _decoder(cut, spec, narrow, skips, outputs)
    lean = build_network(narrow, inputs, outputs)
    lean.load_state_dict(cut.made)
    return lean.train(network.training), narrow


def _width(features: int, keep: float) -> int:
    if features < 2 * WHOLE:
        return max(1, round(features * keep))
    return max(WHOLE, WHOLE * round(features * keep / WHOLE))


class _Cut:
    """The weights of a network, and those that are kept so far, by name."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.made: dict[str, Tensor] = {}

    def scale(self, norm: str) -> Tensor:
        """How much each channel is scaled by a norm."""
        return self.state[f"{norm}.weight"].abs()

    def blocks(self, name: str) -> list[str]:
        """The names of the blocks of a stage."""
        found = {key[len(name) + 1 :].partition(".")[0] for key in self.state if key.startswith(f"{name}.")}
        return [f"{name}.{number}" for number in sorted(found, key=int)]

    def convolution(self, name: str, inputs: Tensor, outputs: Tensor) -> None:
        """Keeps some inputs and outputs of a convolution."""
        self.made[f"{name}.weight"] = self.state[f"{name}.weight"][outputs][:, inputs].clone()
        if f"{name}.bias" in self.state:
            self.made[f"{name}.bias"] = self.state[f"{name}.bias"][outputs].clone()

    def transposed(self, name: str, inputs: Tensor, count: int) -> Tensor:
        """Keeps some inputs of a transposed convolution and its largest outputs, and returns which."""
        weight = self.state[f"{name}.weight"][inputs]
        outputs = top(weight.abs().transpose(0, 1).flatten(1).sum(1), count)
        self.made[f"{name}.weight"] = weight[:, outputs].clone()
        self.made[f"{name}.bias"] = self.state[f"{name}.bias"][outputs].clone()
        return outputs

    def norm(self, name: str, channels: Tensor) -> None:
        """Keeps some channels of a norm."""
        for part in ("weight", "bias"):
            self.made[f"{name}.{part}"] = self.state[f"{name}.{part}"][channels].clone()

    def block(self, name: str, inputs: Tensor, outputs: Tensor) -> None:
        """Keeps some channels of a convolution and the norm after it."""
        self.convolution(f"{name}.conv", inputs, outputs)
        self.norm(f"{name}.norm", outputs)

    def row(self, name: str, inputs: Tensor, count: int) -> Tensor:
        """Keeps the best `count` channels of each block of a stage, and returns which the last one has."""
        for block in self.blocks(name):
            outputs = top(self.scale(f"{block}.norm"), count)
            self.block(block, inputs, outputs)
            inputs = outputs
        return inputs


def top(scores: Tensor, count: int) -> Tensor:
    """The numbers of the channels with the largest scores, in ascending order."""
    return torch.sort(torch.argsort(scores, descending=True, stable=True)[:count]).values


def _plain_encoder(cut: _Cut, narrow: NetworkSpec, inputs: int) -> list[Tensor]:
    channels, skips = torch.arange(inputs), []
    for stage, count in enumerate(narrow.features):
        channels = cut.row(f"encoder.{stage}", channels, count)
        skips.append(channels)
    return skips


def _residual_encoder(cut: _Cut, narrow: NetworkSpec, inputs: int) -> list[Tensor]:
    """What is added up must keep the same channels: all blocks of stages that no convolution joins."""
    groups = _groups(cut, len(narrow.features))
    kept: dict[int, Tensor] = {}
    for group in set(groups):
        stages = [stage for stage, its in enumerate(groups) if its == group]
        blocks = [block for stage in stages for block in cut.blocks(f"encoder.{stage}")]
        norms = [f"{block}.norm" for block in blocks] + (["stem.norm"] if group == 0 else [])
        norms += [name for block in blocks if (name := _shortcut(cut, block)[1])]
        score = torch.stack([cut.scale(norm) for norm in norms]).sum(0)
        kept[group] = top(score, narrow.features[stages[0]])
    channels, skips = kept[0], []
    cut.block("stem", torch.arange(inputs), channels)
    for stage, count in enumerate(narrow.features):
        outputs = kept[groups[stage]]
        for block in cut.blocks(f"encoder.{stage}"):
            inner = top(cut.scale(f"{block}.first.norm"), count)
            cut.block(f"{block}.first", channels, inner)
            cut.block(block, inner, outputs)
            convolution, norm = _shortcut(cut, block)
            if convolution:
                cut.convolution(convolution, channels, outputs)
                cut.norm(norm, outputs)
            channels = outputs
        skips.append(channels)
    return skips


def _groups(cut: _Cut, stages: int) -> list[int]:
    """For every stage a number; stages of one number add up the same channels."""
    groups: list[int] = []
    for stage in range(stages):
        joined = not _shortcut(cut, f"encoder.{stage}.0")[0]
        groups.append((groups[-1] if groups else 0) if joined else (groups[-1] + 1 if groups else 1))
    return groups


def _shortcut(cut: _Cut, block: str) -> tuple[str, str]:
    """The names of the convolution and the norm around a block; empty where nothing is projected."""
    names = [key.removesuffix(".weight") for key in cut.state if key.startswith(f"{block}.shortcut.")]
    found = [name for name in dict.fromkeys(names) if not name.endswith(".bias")]
    return (found[0], found[1]) if found else ("", "")


def _decoder(
    cut: _Cut, spec: NetworkSpec, narrow: NetworkSpec, skips: Sequence[Tensor], outputs: int
) -> None:
    channels, every = skips[-1], torch.arange(outputs)
    for level in reversed(range(len(spec.features) - 1)):
        count = narrow.features[level]
        up = cut.transposed(f"decoder.ups.{level}", channels, count)
        joined = torch.cat((up, spec.features[level] + skips[level]))  # as they are concatenated
        channels = cut.row(f"decoder.stages.{level}", joined, count)
        if f"decoder.heads.{level}.weight" in cut.state:
            cut.convolution(f"decoder.heads.{level}", channels, every)
