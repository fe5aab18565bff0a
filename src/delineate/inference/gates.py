"""Gates: where an Attention U-Net let features through, as volumes on the scan's own grid.

A gate is a number between 0 and 1 for every voxel of a skip: how much of the encoder's features goes on to
the decoder. Windows overlap and folds differ; maps are their mean, as logits are. A map says where features
were used, not why: it is something to look at, and no explanation (Adebayo 2018, arXiv:1810.03292).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from delineate.errors import ModelError
from delineate.inference.predictor import Predictor
from delineate.inference.ready import Ready
from delineate.inference.segmenter import Segmenter, predicting
from delineate.inference.source import Source
from delineate.inference.stage import Stage
from delineate.networks.attention import AttentionUNet
from delineate.networks.precision import device_of
from delineate.space import Volume, resample


def gate_maps(segmenter: Segmenter, scan: Ready) -> Volume:
    """The gates of the first configuration, finest first: channels "gate 1", "gate 2", ...; 0 beyond it.

    Raises:
        ModelError: its network has no gates, or torch does not compute it.
    """
    plan, name = segmenter.plan, segmenter.plan.first
    configuration = plan.configuration(name)
    gated = [network for network in segmenter.networks[name] if isinstance(network, AttentionUNet)]
    if len(gated) < len(segmenter.networks[name]):
        raise ModelError(
            f"{name} of this model is a {configuration.network.kind}: only an attention_unet that torch "
            "computes has gates. Train one with  --network attention_unet"
        )
    prepared = scan.prepared.get(name)
    if prepared is None:
        raise ModelError("gates are shown of a whole scan: leave out --fast, and take a model of one stage.")
    levels = len(gated[0].attention)
    predict = Predictor(
        networks=[GateView(network) for network in gated],
        outputs=levels,
        slice_axis=configuration.slice_axis,
        mirror_axes=(),
        device=device_of(segmenter.device),
        autocast=None,
    )
    stage = Stage(
        name=name,
        source=Source.of(prepared.array, None, 0, configuration.patch),
        geometry=prepared.geometry,
        patch=configuration.patch,
        predict=predict,
        batch=predict.batch(configuration.patch),
        step=segmenter.step,
        across=configuration.sampling.across,
    )
    planes = stage.onto(scan.cropped, 0, lambda: None)
    maps = np.zeros((levels, *scan.cropped.shape), np.float32)
    with predicting(gated):
        for number in range(scan.cropped.shape[0]):
            maps[:, number] = planes.plane(number, slice(None)).float().cpu().numpy()
    array = resample(maps, scan.cropped, scan.scan, order=0, outside=0)
    return Volume(array, scan.scan, names_of(levels))


def names_of(levels: int) -> tuple[str, ...]:
    """What the gates are called, finest first."""
    return tuple(f"gate {number}" for number in range(1, levels + 1))


class GateView(nn.Module):
    """A network as one that gives its gates (batch, gate, ...) instead of logits."""

    def __init__(self, network: AttentionUNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """How far each gate is open, for an image (batch, channel, ...)."""
        openings: Sequence[Tensor] = self.network.gates(x)
        return torch.cat(tuple(openings), dim=1)
