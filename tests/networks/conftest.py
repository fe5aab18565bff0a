"""One thread: the tensors are tiny, and the machine is shared."""

import pytest
import torch

from delineate.planning.plan import (
    Augmentation,
    ChannelPlan,
    Configuration,
    NetworkSpec,
    Normalization,
    Plan,
    Training,
)
from delineate.space import LabelSchema

torch.set_num_threads(1)

SPEC = NetworkSpec(
    features=(2, 3),
    strides=((1, 1, 1), (2, 2, 2)),
    kernels=((3, 3, 3), (3, 3, 3)),
    encoder_blocks=(1, 1),
    decoder_blocks=(1,),
)


def _plan(*, cascade=False, **changes):
    full = Configuration(
        spacing=(1.0, 1.0, 1.0),
        median_shape=(8, 8, 8),
        patch=(8, 8, 8),
        batch=2,
        network=SPEC,
        batch_dice=False,
    )
    configurations = {"3d_fullres": full}
    if cascade:
        configurations["3d_lowres"] = full
        configurations["3d_cascade_fullres"] = full.but(previous="3d_lowres")
    fields = {
        "dataset": "knees",
        "fingerprint": "0" * 64,
        "labels": LabelSchema.of("bone", "cartilage"),
        "channels": tuple(
            ChannelPlan(name=name, normalization=Normalization(rule="zscore")) for name in ("T1", "T2")
        ),
        "orientation": "RAS",
        "configurations": configurations,
        "use": ("3d_cascade_fullres",) if cascade else ("3d_fullres",),
        "augmentation": dict.fromkeys(configurations, Augmentation()),
        "training": Training(
            optimizer="adamw", learning_rate=1e-3, weight_decay=0.01, schedule="cosine", steps=10
        ),
        "reasons": {},
    }
    return Plan(**(fields | changes))


@pytest.fixture
def make_plan():
    """A function that gives a small valid plan."""
    return _plan
