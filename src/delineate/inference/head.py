"""Head: classes told apart at the very end.

The last layer of a network is linear, as are averaging windows, folds and mirrored copies and reading
between voxels. So windows add up features, planes of features are brought onto the scan, and only there
become logits: the same numbers but for rounding, in memory that does not grow with the classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from delineate.inference.engine import Engine, Last, Parted, Together
from delineate.inference.planes import PlaneSource
from delineate.networks.split import Trunks, last_layer, without_last_layer


@dataclass(frozen=True, eq=False)
class Head:
    """The last layers of one network per fold, as one.

    weight  (class, feature) features of all folds one after the other
    bias    (class,)
    """

    weight: Tensor
    bias: Tensor

    @property
    def features(self) -> int:
        """How many it reads."""
        return self.weight.shape[1]


def split(networks: Sequence[Engine], outputs: int) -> tuple[Sequence[Engine], Head | None]:
    """What is predicted window by window, and what makes logits of it afterwards.

    The networks themselves and None, unless their last layers read fewer features than there are classes.
    The mean over folds of sums of features is a sum of the features of all folds.
    """
    layers = [_last(network) for network in networks]
    heads = [layer for layer in layers if layer is not None and len(layer.weight) == outputs]
    if len(heads) < len(networks) or sum(layer.weight.shape[1] for layer in heads) >= outputs:
        return networks, None
    weights = torch.cat([layer.weight for layer in heads], dim=1) / len(heads)
    bias = torch.stack([layer.bias for layer in heads]).mean(dim=0)
    return (_trunks(networks),), Head(weights, bias)


def _last(network: Engine) -> Last | None:
    if isinstance(network, Parted):
        return network.last
    layer = last_layer(network) if isinstance(network, nn.Module) else None
    return None if layer is None else Last.of(layer)


def _trunks(networks: Sequence[Engine]) -> Engine:
    of_torch = [network for network in networks if isinstance(network, nn.Module)]
    if len(of_torch) == len(networks):
        return Trunks([without_last_layer(network) for network in of_torch]).eval()
    return Together(tuple(network.trunk for network in networks if isinstance(network, Parted)))


class Told:
    """Planes of logits (class, a, b) from planes of features (feature, a, b)."""

    def __init__(self, features: PlaneSource, head: Head) -> None:
        self._features, self._head = features, head
        self._number, self._plane = -1, torch.empty(0)

    def plane(self, number: int, classes: slice) -> Tensor:
        """Logits of some classes. The plane asked for last is kept: classes are asked for part by part."""
        if number != self._number:
            self._plane = torch.empty(0)  # before the next is made, not after
            self._plane, self._number = self._features.plane(number, slice(None)).contiguous(), number
        plane, head = self._plane, self._head
        weight, bias = (each[classes].to(plane.device) for each in (head.weight, head.bias))
        return torch.addmm(bias[:, None], weight, plane.flatten(1)).view(-1, *plane.shape[1:])
