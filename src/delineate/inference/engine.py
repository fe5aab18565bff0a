"""Engine: what computes the logits of windows."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from torch import Tensor

EngineName = Literal["torch", "openvino", "onnx"]
EngineWish = Literal["auto", "torch", "openvino", "onnx"]
ENGINES: tuple[EngineName, ...] = get_args(EngineName)


class Engine(Protocol):
    """One network at work: a torch module is one, and so is what another runtime makes of it."""

    def __call__(self, patches: Tensor, /) -> Tensor:
        """Logits (batch, class, ...) of windows (batch, channel, ...), in float32 or as they come."""
