"""MONAI's networks: UNETR, SwinUNETR and SegResNet, made by the package `monai`, which must be installed.

They are MONAI's own, weights and all; here they only learn what a plan says. Sources: Hatamizadeh 2022,
doi:10.1109/WACV51458.2022.00181 and doi:10.1007/978-3-031-08999-2_22; Myronenko 2018,
doi:10.1007/978-3-030-11726-9_28.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

from torch import Tensor, nn

from delineate.errors import PlanError
from delineate.networks.unet import check_edges
from delineate.planning.plan import NetworkSpec

WINDOW = 7  # voxels along each edge in which SwinUNETR attends; Hatamizadeh 2022
WIDER = 4  # the layers between attentions of UNETR, over its tokens; ViT, Dosovitskiy 2021


class FromMonai(nn.Module):
    """A network of MONAI's that refuses what does not fit it, in our words."""

    def __init__(self, network: nn.Module, divisor: tuple[int, ...], image: tuple[int, ...] | None) -> None:
        super().__init__()
        self.network, self.divisor, self.image = network, divisor, image

    def forward(self, x: Tensor) -> Tensor:
        """Logits (batch, class, ...) for an image (batch, channel, ...)."""
        edges = tuple(x.shape[2:])
        check_edges(edges, self.divisor)
        if self.image is not None and edges != self.image:
            raise PlanError(
                f"this network has learnt the places of {list(self.image)} voxels, got an image of "
                f"{list(edges)}."
            )
        return self.network(x)  # type: ignore[no-any-return]


def monai_network(spec: NetworkSpec, inputs: int, outputs: int) -> nn.Module:
    """UNETR, SwinUNETR or SegResNet.

    Raises:
        PlanError: MONAI is not installed.
    """
    nets = _nets(spec.kind)
    common = {"spatial_dims": spec.dims, "in_channels": inputs, "out_channels": outputs}
    match spec.kind:
        case "unetr":
            network = nets.UNETR(
                **common,
                img_size=spec.image,
                feature_size=spec.features[0],
                hidden_size=spec.features[-1],
                mlp_dim=WIDER * spec.features[-1],
                num_heads=(spec.heads or (12,))[0],
            )
        case "swinunetr":
            network = nets.SwinUNETR(
                **common,
                depths=spec.encoder_blocks[1:5],
                num_heads=spec.heads,
                window_size=WINDOW,
                feature_size=spec.features[0],
            )
        case _:
            network = nets.SegResNet(
                **common,
                init_filters=spec.features[0],
                blocks_down=spec.encoder_blocks,
                blocks_up=spec.decoder_blocks[::-1],
            )
    return FromMonai(network, spec.divisor, spec.image)


def _nets(kind: str) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI warns of what it imports itself
        try:
            return importlib.import_module("monai.networks.nets")
        except ImportError:
            raise PlanError(
                f"{kind} is made by MONAI, which is not installed. "
                "Install it:  pip install 'delineate[monai]'"
            ) from None
