"""Split: a network taken apart into what it sees and the last layer, which only weighs that.

The last layer of most networks is a 1x1 convolution: each class is a weighted sum of features. Averaging
windows and reading between voxels are weighted sums too, and of two such sums either may come first. So
both can be done to 32 features instead of to 118 classes, and the classes be told apart at the very end.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from itertools import chain

import torch
from torch import Tensor, nn

from delineate.networks.attention import AttentionUNet
from delineate.networks.densenet import DenseNetUNet
from delineate.networks.mednext import MedNeXt
from delineate.networks.resnet import ResNetUNet
from delineate.networks.unet import ResidualUNet, UNet

Convolution = nn.Conv2d | nn.Conv3d


class Trunks(nn.Module):
    """Networks without their last layers, side by side: (batch, features of all, ...)."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.networks = nn.ModuleList(networks)

    def forward(self, x: Tensor) -> Tensor:
        """The features of all networks for an image (batch, channel, ...)."""
        seen = [network(x) for network in self.networks]
        return seen[0] if len(seen) == 1 else torch.cat(seen, dim=1)


def last_layer(network: nn.Module) -> Convolution | None:
    """The 1x1 convolution that a network ends in outside training; None where it ends otherwise."""
    match network:
        case UNet() | ResidualUNet() | ResNetUNet() | DenseNetUNet():
            heads: nn.ModuleList = network.decoder.heads
        case AttentionUNet() | MedNeXt():
            heads = network.heads
        case _:
            return None
    head = heads[0]
    return head if isinstance(head, Convolution) and set(head.kernel_size) == {1} else None


def without_last_layer(network: nn.Module) -> nn.Module:
    """The network up to its last layer, with the same weights: not a copy of them."""
    weights = {id(each): each for each in chain(network.parameters(), network.buffers())}
    head = last_layer(network)
    return deepcopy(network, {**weights, id(head): nn.Identity()})
