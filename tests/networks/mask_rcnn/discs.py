"""Small pictures of discs of two kinds, and a network that is large enough for them."""

import numpy as np
import torch

from delineate.networks import build_network
from delineate.planning.plan import DetectorSpec, NetworkSpec

SPEC = NetworkSpec(
    kind="mask_rcnn",
    features=(8, 16, 32),
    strides=((1, 1), (2, 2), (2, 2)),
    kernels=((3, 3),) * 3,
    encoder_blocks=(1, 1, 1),
    decoder_blocks=(),
    deep_supervision=False,
    detector=DetectorSpec(
        level=1,
        width=16,
        hidden=32,
        sizes=((6.0, 9.0), (13.0, 18.0)),
        ratios=(1.0,),
        compared=64,
        proposals=64,
        regions=64,
        objects=32,
    ),
)


def discs(seed=0, samples=2, edge=48, count=8):
    """Images (sample, 1, i, j) and labels (sample, 2, i, j): kinds, small or large, and ids."""
    rng = np.random.default_rng(seed)
    place = np.indices((edge, edge))
    images, labels = [], []
    for _ in range(samples):
        ids, kinds = np.zeros((edge, edge), int), np.zeros((edge, edge), int)
        image = rng.normal(0, 0.1, (edge, edge))
        for number in range(1, count + 1):
            radius = rng.choice([rng.uniform(3, 4.5), rng.uniform(6, 9)])
            middle = rng.uniform(radius, edge - radius, (2, 1, 1))
            disc = np.hypot(*(place - middle)) < radius
            if not ids[disc].any():
                ids[disc], kinds[disc] = number, 1 + (radius > 5)
                image[disc] += rng.uniform(0.8, 1.2)
        images.append(image[None])
        labels.append(np.stack([kinds, ids]))
    return torch.tensor(np.stack(images), dtype=torch.float32), torch.tensor(np.stack(labels))


def network(seed=0, inputs=1, outputs=3, **detector):
    """The network, with other numbers where they are given."""
    spec = SPEC.but(detector=SPEC.detector.but(**detector)) if detector else SPEC
    return build_network(spec, inputs, outputs, seed=seed)
