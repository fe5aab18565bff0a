"""Engine: what computes the logits of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol, Self, get_args

import torch
from torch import Tensor, nn

EngineName = Literal["torch", "openvino", "onnx"]
EngineWish = Literal["auto", "torch", "openvino", "onnx"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """One network at work: a torch module is one, and so is what another runtime makes of it."""

    def __call__(self, patches: Tensor, /) -> Tensor:
        """Logits (batch, class, ...) of windows (batch, channel, ...), in float32 or as they come."""


@dataclass(frozen=True, eq=False)
class Last:
    """The last layer of a network, which weighs features.

    weight  (class, feature)
    bias    (class,)
    """

    weight: Tensor
    bias: Tensor

    @classmethod
    def of(cls, layer: nn.Conv2d | nn.Conv3d) -> Self:
        """That of a 1x1 convolution."""
        weight = layer.weight.detach().flatten(1).float()
        bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()
        return cls(weight, bias)

    def __call__(self, features: Tensor) -> Tensor:
        """Logits (batch, class, ...) of features (batch, feature, ...)."""
        weight = self.weight.expand(len(features), -1, -1)
        logits = torch.baddbmm(self.bias[:, None], weight, features.flatten(2))
        return logits.view(*logits.shape[:2], *features.shape[2:])


@dataclass(frozen=True, eq=False)
class Parted:
    """A network of many classes in two parts, of which another engine computes the first."""

    trunk: Engine
    last: Last

    def __call__(self, patches: Tensor, /) -> Tensor:
        """Logits (batch, class, ...)."""
        return self.last(self.trunk(patches))


@dataclass(frozen=True, eq=False)
class Together:
    """Engines side by side: (batch, features of all, ...)."""

    engines: tuple[Engine, ...]

    def __call__(self, patches: Tensor, /) -> Tensor:
        """The features of all, one after the other."""
        seen = [engine(patches) for engine in self.engines]
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=1)
