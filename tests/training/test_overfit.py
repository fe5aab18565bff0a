"""Every network that has a name learns one batch by heart: Dice above 0.99 on it, in 2D and in 3D."""

import pytest
import torch

from delineate.networks import build_network
from delineate.planning.architectures import ARCHITECTURES
from delineate.planning.plan import Training
from delineate.planning.presets import PRESETS
from delineate.space import LabelSchema
from delineate.training.losses import make_loss, supervised

LEAST = {"segresnet": 8, "swinunetr": 8, "unetr": 12}  # their norms and heads divide the channels
SIDES = {2: (32, 32), 3: (16, 16, 16)}
LAYERED = ("deeplabv3plus",)  # answers for every fourth voxel, too coarse for balls in so small an image
RATES = {"unetr": 1e-3, "swinunetr": 1e-3, "original_unet": 1e-3}  # larger ones go up and down
OF_ONE = ("swinunetr", "unetr", "original_unet")  # large patches, or much work: one image is the batch
MOST, LOOK = 400, 10  # steps at most, and between looks
EVERY = {"unet": PRESETS["default"], "residual_unet": PRESETS["M"], **ARCHITECTURES}


def _batch(edges, count, axes=3):
    """Images of two balls, one in the other, and noise; of two layers where they extend along one axis."""
    generator = torch.Generator().manual_seed(7)
    places = torch.stack(torch.meshgrid(*((torch.arange(n) + 0.5) / n for n in edges), indexing="ij"))
    labels = torch.zeros((count, *edges), dtype=torch.int64)
    for number in range(count):
        away = (places - 0.5 - 0.05 * number)[:axes].square().sum(0).sqrt()
        labels[number][away < 0.44] = 1
        labels[number][away < (0.24 if axes > 1 else 0.14)] = 2
    images = labels[:, None].float() + 0.2 * torch.randn((count, 1, *edges), generator=generator)
    return images, labels


def _dice(network, images, labels):
    with torch.no_grad():
        found = network.eval()(images).argmax(dim=1)
    network.train()
    both = [
        2 * ((found == n) & (labels == n)).sum() / ((found == n).sum() + (labels == n).sum()) for n in (1, 2)
    ]
    return min(float(dice) for dice in both)


PAIRS = [(name, dims) for name in EVERY for dims in (2, 3) if (name, dims) != ("swinunetr", 3)]
# SwinUNETR's smallest volume, 64 x 32 x 32, takes minutes: it is 0.97 after twenty steps.


@pytest.mark.slow
@pytest.mark.parametrize(("name", "dims"), PAIRS)
def test_one_batch_is_learnt_by_heart(name, dims):
    torch.set_num_threads(1)
    preset = EVERY[name]
    edges = (32,) * dims if name in LAYERED else SIDES[dims]
    shape = preset.shape((1.0,) * dims, edges)
    spec = preset.network(shape, max(8, LEAST.get(name, 1)))
    network = build_network(spec, 1, 3, seed=1).train()
    training = Training(
        optimizer="adamw",
        learning_rate=RATES.get(name, 3e-3),
        weight_decay=0,
        schedule="constant",
        steps=MOST,
    )
    loss = make_loss(training, LabelSchema.of("outer", "inner"), batch_dice=True)
    optimizer = torch.optim.AdamW(network.parameters(), lr=training.learning_rate, weight_decay=0)
    images, labels = _batch(tuple(shape.patch), 1 if name in OF_ONE else 2, 1 if name in LAYERED else 3)
    for step in range(1, MOST + 1):
        optimizer.zero_grad()
        supervised(loss, network(images), labels).total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), training.clip)
        optimizer.step()
        if step % LOOK == 0 and _dice(network, images, labels) > 0.99:
            return
    assert _dice(network, images, labels) > 0.99
