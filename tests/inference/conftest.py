"""Plans, scans and networks small enough to reason about. One thread: the machine is shared."""

import numpy as np
import pytest
import torch
from torch import nn

from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import Geometry, LabelSchema, Volume, triple

torch.set_num_threads(1)


def spec(dims):
    return NetworkSpec(
        features=(4, 8),
        strides=((1,) * dims, (2,) * dims),
        kernels=((3,) * dims,) * 2,
        encoder_blocks=(1, 1),
        decoder_blocks=(1,),
        deep_supervision=False,
    )


def _configuration(patch=(8, 8, 8), spacing=(1.0, 1.0, 1.0), slice_axis=None, previous=None):
    return Configuration(
        spacing=spacing,
        median_shape=(16, 16, 16),
        patch=patch,
        batch=2,
        slice_axis=slice_axis,
        network=spec(3 if slice_axis is None else 2),
        batch_dice=False,
        previous=previous,
    )


def _plan(configurations=None, *, use=None, labels=None, channels=("T1",), **changes):
    configurations = configurations or {"3d_fullres": _configuration()}
    fields = {
        "dataset": "tests",
        "fingerprint": "0" * 64,
        "labels": labels or LabelSchema.of("one", "two"),
        "channels": tuple(
            ChannelPlan(name=name, normalization=Normalization(rule="none")) for name in channels
        ),
        "orientation": "RAS",
        "configurations": configurations,
        "use": use or tuple(configurations),
        "augmentation": dict.fromkeys(configurations, Augmentation()),
        "training": Training(
            optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=10
        ),
        "reasons": {},
    }
    return Plan(**(fields | changes))


def _scan(shape=(16, 16, 16), spacing=(1.0, 1.0, 1.0), channels=("T1",), seed=0, turn=None):
    """Smooth noise around 3 on a grid that starts anywhere."""
    rng = np.random.default_rng(seed)
    array = 3 + rng.normal(size=(len(channels), *shape)).astype(np.float32)
    affine = np.diag([*spacing, 1.0])
    if turn is not None:
        affine[:3, :3] = turn @ affine[:3, :3]
    affine[:3, 3] = rng.uniform(-50, 50, size=3)
    return Volume(array, Geometry(triple(shape), affine), channels)


class Filter(nn.Module):
    """A convolution with random weights, fixed by `seed`: sees two voxels far, so that borders matter."""

    def __init__(self, channels, classes, dims=3, seed=0):
        super().__init__()
        kind = nn.Conv3d if dims == 3 else nn.Conv2d
        self.conv = kind(channels, classes, 5, padding=2)
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.conv.parameters():
            parameter.data.normal_(0, 0.2, generator=generator).requires_grad_(False)
        self.requires_grad_(False)

    def forward(self, x):
        return self.conv(x)


@pytest.fixture(scope="session")
def configuration():
    """A function that gives a small configuration."""
    return _configuration


@pytest.fixture(scope="session")
def make_plan():
    """A function that gives a small plan."""
    return _plan


@pytest.fixture(scope="session")
def make_scan():
    """A function that gives a small scan."""
    return _scan


@pytest.fixture(scope="session")
def make_network():
    """A function that gives a small network."""
    return Filter
