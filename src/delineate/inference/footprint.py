"""Footprint: the memory of a network at work, counted without running it.

The forward pass is walked through on torch's device "meta", which has shapes and no numbers, while what is
alive is added up. A convolution on a CPU besides copies what it reads and what it writes into its own order
of channels (oneDNN's blocked layout).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from itertools import chain
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from delineate.inference.predictor import FEATURES, Predictor

VALUES = (
    6  # for a network that cannot be walked through: features at full resolution alive at once, of a U-Net
)
COPYING = (torch.ops.aten.convolution.default,)


def forward_bytes(predict: Predictor, shape: tuple[int, ...]) -> tuple[int, int]:
    """Bytes of main memory while patches (1, channel, i, j, k) of `shape` are predicted: each, and besides.

    Besides are copies of the weights in the numbers that convolutions compute in.
    """
    if predict.device.type != "cpu":
        return 0, 0
    networks = [network for network in predict.networks if isinstance(network, nn.Module)]
    if len(networks) < len(predict.networks):  # what another engine does is not known
        return 4 * VALUES * max(FEATURES, predict.outputs) * prod(shape[2:]), 0
    weights = 2 * sum(each.numel() for network in networks for each in network.parameters())
    meta = torch.device("meta")
    walker = replace(predict, networks=list(map(weightless, networks)), device=meta, autocast=None)
    with torch.inference_mode(False), torch.no_grad(), _Alive() as alive:
        walker(torch.empty(shape, device=meta))
    if predict.autocast is None:
        return alive.most, weights
    means = 8 * predict.outputs * prod(shape[2:]) if predict.mirror_axes or len(networks) > 1 else 0
    return alive.most // 2 + means, weights  # means over copies and folds are float32


def weightless(network: nn.Module) -> nn.Module:
    """The network on the device "meta": all of it but its numbers."""
    tensors = chain(network.parameters(), network.buffers())
    return deepcopy(network, {id(each): _shape_of(each) for each in tensors}).eval()


def _shape_of(tensor: Tensor) -> Tensor:
    empty = torch.empty_like(tensor, device="meta")
    return nn.Parameter(empty, requires_grad=False) if isinstance(tensor, nn.Parameter) else empty


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up the bytes of tensors while they are alive."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now, self.most = 0, 0
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for tensor in _tensors(result):
            storage = tensor.untyped_storage()
            if storage not in self._known:
                self._known.add(storage)
                self.now += storage.nbytes()
                weakref.finalize(storage, self._gone, storage.nbytes())
        copies = sum(_bytes(t) for t in (args[0], result)) if func in COPYING else 0
        self.most = max(self.most, self.now + copies)
        return result

    def _gone(self, size: int) -> None:
        self.now -= size


def _tensors(tree: object) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
